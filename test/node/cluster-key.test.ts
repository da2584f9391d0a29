// A key that cannot be derived is an error of whoever opens the node, and no rejection that nobody handles.
import assert from "node:assert/strict";
import crypto from "node:crypto";
import { syncBuiltinESMExports } from "node:module";
import path from "node:path";
import { test } from "node:test";
import { RaftNode } from "../../src/index.js";
import { tempDir } from "../temp-dir.js";
import { SOLE } from "./nodes.js";

test("open rejects where the key cannot be derived, and another try may do", async (t) => {
  const unhandled: unknown[] = [];
  const note = (cause: unknown): unknown => unhandled.push(cause);
  process.on("unhandledRejection", note);
  t.after(() => process.off("unhandledRejection", note));
  t.mock.method(crypto, "scrypt", (...args: unknown[]) => {
    (args.at(-1) as (error: Error) => void)(new Error("no memory for it"));
  });
  syncBuiltinESMExports();
  t.after(() => {
    t.mock.restoreAll();
    syncBuiltinESMExports();
  });
  const dir = path.join(tempDir(t), "1");
  const open = (): Promise<RaftNode> =>
    RaftNode.open({
      id: 1,
      dir,
      ...SOLE,
      secret: "of a test that derives no key",
      stateMachine: { apply: () => undefined },
    });
  await assert.rejects(open(), /no memory for it/);
  assert.deepEqual(unhandled, []);
  t.mock.restoreAll();
  syncBuiltinESMExports();
  const node = await open();
  await node.close();
});
