// The order in which a leader's snapshot, and what comes behind it, get into log, core and state machine.
import assert from "node:assert/strict";
import { test } from "node:test";
import { NO_DATA } from "../../src/base/bytes.js";
import { SnapshotInstall } from "../../src/node/snapshot-install.js";
import { Message, MsgStorageAppend, MsgStorageAppendResp, type Snapshot } from "../../src/raft/index.js";
import type { Wal } from "../../src/wal/index.js";
import { meta } from "../wal/helpers.js";

/** Steps that the test lets happen, and what happened. */
class Bench {
  readonly seen: string[] = [];
  private readonly waiting = new Map<string, { go(): void; fail(cause: Error): void }>();
  readonly install: SnapshotInstall;
  hasEnded = false;

  constructor() {
    const wal = {
      recordSnapshot: ({ index }: { index: number }) => this.until(`record ${index}`),
      openSnapshot: async (index: number) => ({ size: 1, metadata: meta(index, 1), close: async () => {} }),
    };
    this.install = new SnapshotInstall({
      wal: wal as unknown as Wal,
      restore: async (stream) => {
        await this.until(`restore ${stream.metadata.index}`);
        return stream.size;
      },
      append: (message) => {
        assert.equal(message.snapshot, null);
        this.seen.push(`append ${message.commit}`);
      },
      step: (message) => this.seen.push(`step ${message.index}`),
      restored: ({ index }) => this.seen.push(`restored ${index}`),
      hasEnded: () => this.hasEnded,
      failed: (cause, what) => this.seen.push(`${what}: ${(cause as Error).message}`),
    });
  }

  private until(name: string): Promise<void> {
    return new Promise((go, fail) => this.waiting.set(name, { go, fail }));
  }

  async go(name: string, cause?: Error): Promise<void> {
    const one = this.waiting.get(name);
    assert.ok(one !== undefined, `${name} was not asked for`);
    if (cause === undefined) one.go();
    else one.fail(cause);
    await new Promise((resolve) => setImmediate(resolve));
  }

  /** A MsgStorageAppend, told by its commit index. */
  append(commit: number, snapshotAt = 0): void {
    const message = new Message(MsgStorageAppend);
    message.commit = commit;
    if (snapshotAt > 0) message.snapshot = { data: NO_DATA, metadata: meta(snapshotAt, 1) } as Snapshot;
    if (!this.install.takesAppend(message)) this.seen.push(`at once ${commit}`);
  }

  /** A notice of what is stored: entries up to `index`, or a snapshot. */
  step(index: number, isSnapshot = false): void {
    const message = new Message(MsgStorageAppendResp);
    message.index = index;
    if (isSnapshot) message.snapshot = { data: NO_DATA, metadata: meta(index, 1) } as Snapshot;
    if (!this.install.takesStep(message)) this.seen.push(`at once step ${index}`);
  }
}

test("behind the record what is to be stored, behind the state machine that it is stored; entries wait for the record alone", async () => {
  const bench = new Bench();
  bench.append(1);
  bench.step(1);
  bench.append(10, 10);
  bench.append(11);
  bench.append(12);
  assert.deepEqual(bench.seen.splice(0), ["at once 1", "at once step 1"]);
  await bench.go("record 10");
  assert.deepEqual(bench.seen.splice(0), ["append 10", "append 11", "append 12"]);
  bench.append(13);
  bench.step(10, true);
  bench.step(11);
  // The core forgets them: however long the state machine takes, what others send meanwhile does not pile up there.
  assert.deepEqual(bench.seen.splice(0), ["at once 13", "at once step 11"]);
  await bench.go("restore 10");
  assert.deepEqual(bench.seen.splice(0), ["restored 10", "step 10"]);
  bench.append(14);
  bench.step(14);
  assert.deepEqual(bench.seen, ["at once 14", "at once step 14"]);
});

test("a second one waits for the first, and what comes behind it for both", async () => {
  const bench = new Bench();
  bench.append(10, 10);
  await bench.go("record 10");
  bench.append(20, 20);
  bench.append(21);
  bench.step(10, true);
  assert.deepEqual(bench.seen.splice(0), ["append 10"]);
  await bench.go("restore 10");
  assert.deepEqual(bench.seen.splice(0), ["restored 10", "step 10"]);
  bench.append(22);
  await bench.go("record 20");
  assert.deepEqual(bench.seen.splice(0), ["append 20", "append 21", "append 22"]);
  await bench.go("restore 20");
  assert.deepEqual(bench.seen, ["restored 20"]);
});

test("what fails ends it, with who failed; nothing behind it is stored or stepped", async () => {
  for (const [at, what] of [
    ["record", "a leader's snapshot could not be recorded: no"],
    ["restore", "stateMachine.restore threw: no"],
  ] as const) {
    const bench = new Bench();
    bench.append(10, 10);
    bench.append(11);
    if (at === "restore") await bench.go("record 10");
    bench.step(10, true);
    bench.seen.length = 0;
    await bench.go(`${at} 10`, new Error("no"));
    assert.deepEqual(bench.seen, [what]);
  }
});

test("a state machine is given nothing once its node has ended", async () => {
  const bench = new Bench();
  bench.append(10, 10);
  bench.hasEnded = true;
  await bench.go("record 10");
  await assert.rejects(bench.go("restore 10"), /was not asked for/);
});
