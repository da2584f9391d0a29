// The threads of a log: those that scanned it write it, none is left over, and none keeps the priority of a scan.
import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { openWal } from "../../../src/wal/index.js";
import { tempDir } from "../../temp-dir.js";
import { assertSameEntries, durable, open, options, replay, run, WRITERS } from "../helpers.js";

const TASKS = "/proc/self/task";
const skip = fs.existsSync(TASKS) ? false : `no ${TASKS} on this system`;

function threads(): number[] {
  return fs.readdirSync(TASKS).map(Number);
}

/** Linux may still list a thread that has just been joined. */
async function assertThreads(expected: number[], which: string): Promise<void> {
  for (let tries = 0; tries < 100 && threads().length > expected.length; tries++) await setTimeout(10);
  assert.deepEqual(threads(), expected, which);
}

/** They are there from their first task on. */
async function startThreadsOfLibuv(): Promise<void> {
  const reads = Array.from({ length: 64 }, () => fs.promises.stat("/"));
  await Promise.all(reads);
}

test("whatever scans and whatever writes, a log has two threads at most, and none when closed", {
  skip,
}, async (t) => {
  const walOptions = options(tempDir(t));
  const wal = await open(t, walOptions);
  await durable(wal, wal.append({ term: 1, vote: 1, commit: 0 }, run(1, 2000)));
  await wal.close();
  assert.ok(fs.readdirSync(walOptions.dir).length > 3, "one segment a thread, and more");
  await startThreadsOfLibuv();
  const before = threads();
  let last = 2000;
  for (const writer of WRITERS) {
    for (const recoveryThreads of [0, 1, 2, 3]) {
      const which = `${writer}, scanned by ${recoveryThreads}`;
      const again = await openWal({ ...walOptions, writer, recoveryThreads });
      try {
        assert.equal(again.recovered.lastIndex, last, which);
        await durable(again, again.append(null, run(last + 1, last + 5)));
        const own = threads().filter((id) => !before.includes(id));
        assert.ok(own.length <= (writer === "pool-wasm" ? 2 : 0), `${which}: ${own.length} threads`);
        for (const id of own) assert.equal(os.getPriority(id), os.getPriority(), which);
      } finally {
        await again.close();
      }
      await assertThreads(before, which);
      last += 5;
    }
  }
  assertSameEntries(replay(walOptions.dir), run(1, last));
});

test("a log that cannot be opened leaves no thread", { skip }, async (t) => {
  const walOptions = options(tempDir(t));
  const wal = await open(t, walOptions);
  await durable(wal, wal.append({ term: 1, vote: 1, commit: 0 }, run(1, 2000)));
  await wal.close();
  const segment = fs.readdirSync(walOptions.dir).filter((name) => name.endsWith(".wal"))[1]!;
  const file = `${walOptions.dir}/${segment}`;
  fs.writeFileSync(file, fs.readFileSync(file).fill(7, 300, 320));
  await startThreadsOfLibuv();
  const before = threads();
  for (const writer of WRITERS) {
    for (const recoveryThreads of [0, 2]) {
      const opening = openWal({ ...walOptions, writer, recoveryThreads });
      await assert.rejects(opening, { code: "WAL_CORRUPT" });
      await assertThreads(before, `${writer}, scanned by ${recoveryThreads}`);
    }
  }
});
