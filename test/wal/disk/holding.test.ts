// A log whose lock, directory or newest segment is taken away while it is open: nothing is acknowledged from then on.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import type { RaftmarkError } from "../../../src/base/errors.js";
import { openWal, type Wal } from "../../../src/wal/index.js";
import { atEnd, tempDir } from "../../temp-dir.js";
import {
  allEntries,
  assertSameEntries,
  durable,
  entry,
  newestSegment,
  open,
  options,
  run,
  WRITERS,
} from "../helpers.js";

/** What is taken away of the log in `dir`, and what the fault says of it. */
const LOSSES: Readonly<Record<string, { take(dir: string): void; says: RegExp }>> = {
  "the lock is deleted": { take: (dir) => fs.rmSync(`${dir}.lock`), says: /its lock \S+ was deleted/ },
  "the lock is renamed": {
    take: (dir) => fs.renameSync(`${dir}.lock`, `${dir}.lock.aside`),
    says: /its lock \S+ was deleted/,
  },
  "the lock is replaced": {
    take: (dir) => {
      const text = fs.readFileSync(`${dir}.lock`);
      fs.rmSync(`${dir}.lock`);
      fs.writeFileSync(`${dir}.lock`, text);
    },
    says: /its lock \S+ was replaced or changed/,
  },
  "the lock is written over": {
    take: (dir) => fs.writeFileSync(`${dir}.lock`, "{}"),
    says: /its lock \S+ was replaced or changed/,
  },
  "the directory is deleted": {
    take: (dir) => fs.rmSync(dir, { recursive: true }),
    says: /the directory was deleted or renamed/,
  },
  "the directory is renamed": {
    take: (dir) => fs.renameSync(dir, `${dir}.aside`),
    says: /the directory was deleted or renamed/,
  },
  "the directory is renamed, and another one made": {
    take: (dir) => {
      fs.renameSync(dir, `${dir}.aside`);
      fs.mkdirSync(dir);
    },
    says: /its newest segment, \S+\.wal, is not there/,
  },
  "the directory is replaced by a copy": {
    take: (dir) => {
      fs.renameSync(dir, `${dir}.aside`);
      fs.cpSync(`${dir}.aside`, dir, { recursive: true });
    },
    says: /another file is under the name of its newest segment/,
  },
  "the directory above it is renamed": {
    take: (dir) => {
      const above = path.dirname(dir);
      fs.renameSync(above, `${above}.aside`);
      fs.mkdirSync(above);
    },
    says: /the directory was deleted or renamed/,
  },
  "the newest segment is deleted": {
    take: (dir) => fs.rmSync(newestSegment(dir)),
    says: /its newest segment, \S+\.wal, is not there/,
  },
};

const SETTLED_MS = 150;

/** The fault that the next append ends with. */
function faultOf(wal: Wal, index: number): Promise<RaftmarkError> {
  return new Promise((resolve, reject) => {
    wal.onDurable = () => reject(new Error("acknowledged"));
    wal.onFault = resolve;
    wal.append({ term: 1, vote: 1, commit: 0 }, run(index, index));
  });
}

for (const writer of WRITERS) {
  for (const [what, { take, says }] of Object.entries(LOSSES)) {
    test(`${writer}: ${what}: fenced before anything more is acknowledged`, async (t) => {
      const above = path.join(tempDir(t), "node");
      const wal = await open(t, options(above, { writer }));
      await durable(wal, wal.append({ term: 1, vote: 1, commit: 0 }, run(1, 1)));
      // From then on the directory is looked at, and not the segment.
      if (writer !== "inline-js") await new Promise((resolve) => setTimeout(resolve, SETTLED_MS));
      await durable(wal, wal.append({ term: 1, vote: 1, commit: 0 }, run(2, 3)));
      take(options(above).dir);
      const fault = await faultOf(wal, 4);
      assert.equal(fault.code, "WAL_GONE");
      assert.equal(fault.mayCommit, true);
      assert.match(fault.message, says);
      assert.match(fault.message, /stop this node, (make sure|put it back)/);
      assert.equal(wal.storage.lastIndex(), 3);
      assert.throws(() => wal.append(null, run(4, 4)), { code: "RAFT_FENCED" });
    });
  }

  test(`${writer}: an append during which the lock goes is not acknowledged`, async (t) => {
    const walOptions = options(tempDir(t), { writer });
    const wal = await open(t, walOptions);
    await durable(wal, wal.append({ term: 1, vote: 1, commit: 0 }, run(1, 3)));
    let acknowledged = 3;
    const fault = new Promise<RaftmarkError>((resolve) => {
      wal.onFault = resolve;
    });
    let at = 4;
    const append = (): void => void wal.append({ term: 1, vote: 1, commit: 0 }, run(at, at++));
    // The look before a write is not enough: a busy log does not look there.
    wal.onDurable = (seq) => {
      acknowledged = seq + 2;
      append();
      if (at === 20) fs.rmSync(`${walOptions.dir}.lock`);
    };
    append();
    assert.equal((await fault).code, "WAL_GONE");
    assert.equal(wal.storage.lastIndex(), acknowledged);
    assert.ok(acknowledged <= 19, `${acknowledged}`);
  });

  test(`${writer}: cuts, a restart and a lock that others read are no loss`, async (t) => {
    const walOptions = options(tempDir(t), { writer, segmentBytes: 4096 });
    for (let start = 0; start < 3; start++) {
      const wal = await openWal(walOptions);
      const from = wal.recovered.lastIndex + 1;
      for (let index = from; index < from + 60; index++) {
        fs.readFileSync(`${walOptions.dir}.lock`);
        await durable(wal, wal.append({ term: 1, vote: 1, commit: 0 }, run(index, index)));
      }
      await wal.close();
    }
  });
}

test("a process whose lock was deleted and one that opened the log since do not both acknowledge", async (t) => {
  const walOptions = options(tempDir(t));
  const module = JSON.stringify(new URL("../../../src/wal/index.js", import.meta.url).href);
  const script = `
    const { openWal } = await import(${module});
    const { Entry } = await import(${JSON.stringify(new URL("../../../src/raft/raftpb/index.js", import.meta.url).href)});
    const wal = await openWal({ ...JSON.parse(process.argv[1]), metadata: new Uint8Array(4), writer: "pool-wasm" });
    wal.onDurable = (seq) => console.log(seq);
    wal.onFault = ({ code }) => console.log(code);
    process.stdin.on("data", () => wal.append({ term: 1, vote: 1, commit: 0 },
      [new Entry(0, 1, wal.storage.lastIndex() + 1, new Uint8Array(100))]));
    console.log("open");`;
  const child = spawn(
    process.execPath,
    ["--input-type=module", "-e", script, JSON.stringify({ ...walOptions, metadata: undefined })],
    { stdio: ["pipe", "pipe", "inherit"] },
  );
  atEnd(t, () => child.kill("SIGKILL"));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async (): Promise<unknown> => (await lines.next()).value;
  assert.equal(await next(), "open");
  child.stdin.write("x");
  assert.equal(await next(), "1");
  fs.rmSync(`${walOptions.dir}.lock`);
  const wal = await open(t, walOptions);
  assert.equal(wal.recovered.lastIndex, 1);
  const mine = entry(2, 2);
  await durable(wal, wal.append({ term: 2, vote: 1, commit: 0 }, [mine]));
  // A log that was written within the last 10 ms is not looked at before the next write, only behind it.
  await new Promise((resolve) => setTimeout(resolve, 50));
  child.stdin.write("x");
  assert.equal(await next(), "WAL_GONE");
  // Nor was anything of this one's written over.
  await durable(wal, wal.append(null, [entry(3, 2)]));
  await wal.close();
  const again = await open(t, walOptions);
  assertSameEntries(allEntries(again).slice(1), [mine, entry(3, 2)]);
});
