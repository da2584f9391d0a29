// A log in a process whose file descriptors are all taken by others: it warns, and goes on.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { descriptorLimit } from "../../../src/link/descriptors.js";
import { tempDir } from "../../temp-dir.js";
import { allEntries, assertSameEntries, open, options, run, WRITERS } from "../helpers.js";

const HELPERS = JSON.stringify(new URL("../helpers.js", import.meta.url).href);
const ENTRIES = 400;

/** Long enough that the first cut is the first to take a checksum in WASM: of id and peers, as a node has it, it is. */
const METADATA_BYTES = 100;

/**
 * Opens a log of small segments, takes every descriptor that is left (`free` come back later), appends as many entries as take
 * some ten cuts, reads the oldest back, and prints what happened.
 */
const SCRIPT = `
  const { openSync, closeSync } = await import("node:fs");
  const { durable, run } = await import(${HELPERS});
  const { openWal } = await import(${JSON.stringify(new URL("../../../src/wal/index.js", import.meta.url).href)});
  const warnings = [];
  const onWarning = ({ message }) => warnings.push(message);
  const wal = await openWal({ ...JSON.parse(process.argv[1]), metadata: new Uint8Array(${METADATA_BYTES}), logCacheBytes: 1, onWarning });
  const hold = (held) => {
    try { for (;;) held.push(openSync("/dev/null")); } catch ({ code }) { return code; }
  };
  const held = [];
  const code = hold(held);
  let fault = null;
  let last = 0;
  try {
    for (let at = 1; at <= ${ENTRIES}; at++) {
      const seq = wal.append({ term: 1, vote: 1, commit: 0 }, run(at, at));
      await durable(wal, seq);
      last = at;
      // Whatever the log gave up, others take.
      hold(held);
    }
    const back = wal.storage.entries(1, last + 1, 1 << 20);
    last = Math.min(last, back.length);
  } catch (error) {
    fault = error.message;
  }
  held.forEach(closeSync);
  await wal.close();
  console.log(JSON.stringify({ code, last, fault, warnings }));
`;

for (const writer of WRITERS) {
  test(`${writer}: no file descriptor left: the log cuts segments and reads back with those that it kept`, {
    skip: descriptorLimit() === 0 && "the system does not tell of descriptors",
    timeout: 120_000,
  }, async (t) => {
    const walOptions = options(tempDir(t), { writer, segmentBytes: 4096 });
    const args = [
      "-c",
      'ulimit -n 100; exec "$0" --input-type=module -e "$1" "$2"',
      process.execPath,
      SCRIPT,
    ];
    const child = spawnSync("sh", [...args, JSON.stringify({ ...walOptions, metadata: undefined })], {
      encoding: "utf8",
    });
    assert.equal(child.status, 0, child.stderr);
    const said = JSON.parse(child.stdout) as Record<string, unknown>;
    assert.deepEqual([said["code"], said["fault"], said["last"]], ["EMFILE", null, ENTRIES]);
    const warnings = said["warnings"] as string[];
    assert.ok(warnings.length > 0);
    for (const warning of warnings) assert.match(warning, /EMFILE.*the log goes on, but close files/);
    const metadata = new Uint8Array(METADATA_BYTES);
    assertSameEntries(allEntries(await open(t, { ...walOptions, metadata })), run(1, ENTRIES));
  });
}
