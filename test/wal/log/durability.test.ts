// How an append becomes durable where nobody says, and what is refused because it would not be durable.
import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { chooseDurability } from "../../../src/wal/log/files.js";

const BAD_OPTION = { code: "RAFT_BAD_OPTION" };

test("where O_DSYNC stops at the drive's cache, as on macOS, each write is synced, and O_DSYNC is refused", () => {
  const file = join(tmpdir(), `raftmark-durability-${process.pid}`);
  writeFileSync(file, new Uint8Array(4096));
  try {
    assert.equal(chooseDurability(undefined, file, false), "fdatasync");
    assert.equal(chooseDurability("fdatasync", file, false), "fdatasync");
    assert.equal(chooseDurability("none", file, false), "none");
    for (const asked of ["o_dsync", "o_direct"] as const)
      assert.throws(() => chooseDurability(asked, file, false), { ...BAD_OPTION, message: /give fdatasync/ });
    assert.match(chooseDurability(undefined, file, true), /^o_/);
    assert.equal(chooseDurability("o_dsync", file, true), "o_dsync");
  } finally {
    rmSync(file);
  }
});
