// The end that has a snapshot: what it gives to whom, when it gives up, and for how long it holds the log.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { SnapshotLane } from "../../src/link/index.js";
import { SnapshotSender } from "../../src/node/snapshot-sender.js";
import {
  decodeSnapshotMessage,
  encodeEnd,
  encodeWait,
  encodeWant,
  GONE,
  NOT_WANTED,
  PIECE,
  type Piece,
  type SnapshotMessage,
  TAKEN,
  UNSOUND,
} from "../../src/node/snapshot-wire.js";
import type { Wal } from "../../src/wal/index.js";
import { until } from "../process/support.js";
import { meta } from "../wal/helpers.js";

const FILE = Uint8Array.from({ length: 1000 }, (_, i) => i & 255);
const NAME = { group: 0, index: 50, term: 2 };
const TICK_MS = 1000;

class Bench {
  readonly seen: string[] = [];
  readonly held: number[] = [];
  newest = 50;
  logBytes = 0;
  firstIndex = 31;
  lastIndex = 100;
  match: number | null = -1;
  readonly sender: SnapshotSender;

  constructor(isKept = true, bytesPerS = 1e9, snapshotCatchUpBytes = 125) {
    const newFile = () => {
      let isOpen = true;
      return {
        bytes: FILE.length,
        read: async (into: Uint8Array, at: number) => {
          assert.ok(isOpen, "read after it was closed");
          into.set(FILE.subarray(at, at + into.length));
        },
        close: async () => {
          isOpen = false;
          this.seen.push("file closed");
        },
      };
    };
    const bench = this;
    const wal = {
      storage: {
        snapshot: () => ({ metadata: meta(this.newest, 2) }),
        firstIndex: () => this.firstIndex,
        lastIndex: () => this.lastIndex,
        get logBytes() {
          return bench.logBytes;
        },
      },
      openSnapshotFile: async () => (isKept ? newFile() : null),
      holdFrom: (index: number) => this.held.push(index),
    };
    this.sender = new SnapshotSender({
      group: 0,
      wal: wal as unknown as Wal,
      tickMs: TICK_MS,
      pieceBytes: 100,
      bytesPerS,
      snapshotCatchUpBytes,
      onEnd: (to, { index }, why) => this.seen.push(`end ${to} ${index} ${why}`),
      onUnsound: () => this.seen.push("unsound"),
      matchOf: () => this.match,
    });
  }

  get holds(): number {
    return this.held[this.held.length - 1]!;
  }
}

/** The member's side of a connection. */
class Lane implements SnapshotLane {
  readonly got: SnapshotMessage[] = [];
  takes = Infinity;
  closed = false;
  send(bytes: Uint8Array): boolean {
    if (this.got.length >= this.takes) return false;
    this.got.push(decodeSnapshotMessage(bytes.slice())!);
    return true;
  }
  close(): void {
    this.closed = true;
  }
  get pieces(): Piece[] {
    return this.got.filter((message) => message.kind === PIECE);
  }
  get places(): number[] {
    return this.pieces.map(({ at }) => at);
  }
}

async function settled(): Promise<void> {
  for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve));
}

test("pieces as far as there is room, from where it is asked, over whatever connection; and the log is held", async () => {
  const bench = new Bench();
  const { sender } = bench;
  sender.begin(3, meta(50, 2));
  assert.equal(bench.holds, 50);
  const lane = new Lane();
  assert.equal(sender.onMessage(3, encodeWant(NAME, 0, 250, true), lane), true);
  await settled();
  assert.deepEqual(lane.places, [0, 100, 200]);
  assert.equal(lane.pieces[2]!.bytes.length, 50);
  // More room; then it is asked for anew from an earlier place.
  sender.onMessage(3, encodeWant(NAME, 0, 450, false), lane);
  await settled();
  assert.deepEqual(lane.places, [0, 100, 200, 250, 350]);
  sender.onMessage(3, encodeWant(NAME, 300, 400, true), lane);
  await settled();
  assert.deepEqual(lane.places.slice(5), [300]);
  sender.onClosed(3, lane);
  const second = new Lane();
  sender.onMessage(3, encodeWant(NAME, 900, 5000, true), second);
  await settled();
  assert.deepEqual(second.places, [900]);
  const pieces = [...lane.pieces, ...second.pieces];
  assert.equal(pieces.length, lane.got.length + second.got.length);
  assert.ok(pieces.every(({ isSound, fileBytes }) => isSound && fileBytes === FILE.length));
  sender.onMessage(3, encodeEnd(NAME, TAKEN), second);
  assert.deepEqual(bench.seen, ["file closed", "end 3 50 null"]);
  assert.equal(sender.sent, 1);
  // Until it has caught up with the newest.
  bench.newest = 90;
  bench.match = 60;
  sender.tick();
  assert.equal(bench.holds, 60);
  bench.match = 90;
  sender.tick();
  assert.equal(bench.holds, Infinity);
});

test("a member that has it while pieces wait for their turn gets none of them, and that is no failure", async () => {
  const bench = new Bench(true, 2000);
  const { sender } = bench;
  const [lane, other] = [new Lane(), new Lane()];
  for (const [to, its] of [
    [3, lane],
    [4, other],
  ] as const) {
    sender.begin(to, meta(50, 2));
    sender.onMessage(to, encodeWant(NAME, 0, 1000, true), its);
  }
  await settled();
  sender.onMessage(3, encodeEnd(NAME, TAKEN), lane);
  assert.deepEqual(bench.seen, ["file closed", "end 3 50 null"]);
  const { length } = lane.places;
  const before = other.places.length;
  // They wait in turns: when this one had two more, the other's turn has come.
  await until("two pieces", 60_000, () => other.places.length >= before + 2);
  assert.ok(length < 10);
  assert.deepEqual([lane.places.length, bench.seen.length], [length, 2]);
});

test("who is not to have one, or asks for another, is told that there is none; what no member says is refused", async () => {
  const bench = new Bench();
  const { sender } = bench;
  sender.begin(3, meta(50, 2));
  for (const [from, name] of [
    [2, NAME],
    [3, { ...NAME, index: 40 }],
    [3, { ...NAME, term: 1 }],
  ] as const) {
    const lane = new Lane();
    assert.equal(sender.onMessage(from, encodeWant(name, 0, 100, true), lane), true);
    await settled();
    assert.deepEqual(
      lane.got.map(({ kind }) => kind),
      [GONE],
    );
  }
  const lane = new Lane();
  assert.equal(sender.onMessage(3, new Uint8Array(3), lane), false);
  assert.equal(sender.onMessage(3, encodeWant({ ...NAME, group: 1 }, 0, 100, true), lane), false);
  // Behind the end there is nothing.
  sender.onMessage(3, encodeWant(NAME, 2 ** 50, 2 ** 51, true), lane);
  await settled();
  assert.deepEqual(lane.got, []);
  // Another's end is not this one's.
  sender.onMessage(2, encodeEnd(NAME, TAKEN), lane);
  assert.deepEqual(bench.seen, []);
});

test("it fails where the member says so, does not come, or the file is gone; the log is held no longer", async () => {
  for (const [how, seen] of [
    [NOT_WANTED, ["file closed", "end 3 50 it did not take it"]],
    [UNSOUND, ["unsound", "file closed", "end 3 50 what arrived there is not sound"]],
  ] as const) {
    const bench = new Bench();
    bench.sender.begin(3, meta(50, 2));
    await settled();
    bench.sender.onMessage(3, encodeEnd(NAME, how), new Lane());
    assert.deepEqual(bench.seen, seen);
    assert.equal(bench.holds, Infinity);
  }
  const silent = new Bench();
  silent.sender.begin(3, meta(50, 2));
  await settled();
  for (let tick = 0; tick < 5; tick++) silent.sender.tick();
  assert.deepEqual(silent.seen, []);
  silent.sender.tick();
  assert.deepEqual(silent.seen, ["file closed", "end 3 50 it did not ask for it within 5 s"]);
  assert.equal(silent.holds, Infinity);
  // That it got as far by another way is no failure.
  const level = new Bench();
  level.sender.begin(3, meta(50, 2));
  level.match = 60;
  await settled();
  for (let tick = 0; tick < 6; tick++) level.sender.tick();
  assert.deepEqual([level.seen, level.holds], [["file closed", "end 3 50 null"], Infinity]);
  const gone = new Bench(false);
  gone.sender.begin(3, meta(50, 2));
  await settled();
  assert.deepEqual(gone.seen, ["end 3 50 it is not there any more"]);
});

test("log is held without a bound for a member that comes nearer, and within one for a member that is stuck", async () => {
  for (const [snapshotCatchUpBytes, bytesMax] of [
    [125, 8 * FILE.length],
    [1500, 8 * 1500],
  ] as const) {
    const bench = new Bench(true, 1e9, snapshotCatchUpBytes);
    const { sender } = bench;
    const lane = new Lane();
    bench.logBytes = bytesMax + 1;
    sender.begin(3, meta(50, 2));
    // The file is not open yet.
    sender.tick();
    for (let limit = 100; limit <= FILE.length; limit += 100) {
      sender.onMessage(3, encodeWant(NAME, 0, limit, limit === 100), lane);
      await settled();
      sender.tick();
      sender.tick();
      assert.equal(bench.holds, 50);
    }
    // All of it is there, and is being restored.
    for (let tick = 0; tick < 9; tick++) sender.tick();
    assert.equal(bench.holds, 50);
    sender.tick();
    assert.equal(bench.holds, Infinity);
    bench.logBytes = bytesMax;
    sender.tick();
    assert.equal(bench.holds, 50);
    // It has it, and catches up behind it, with the group ahead of it.
    sender.onMessage(3, encodeEnd(NAME, TAKEN), lane);
    bench.logBytes = bytesMax + 1;
    bench.newest = 1e6;
    for (bench.match = 60; bench.match < 90; bench.match += 2) {
      bench.lastIndex += 1;
      sender.tick();
      assert.equal(bench.holds, bench.match);
    }
    for (let tick = 0; tick < 12; tick++) sender.tick();
    assert.equal(bench.holds, Infinity);
  }
});

test("log is not held for a member that is not heard any more, or is none; nor is anything more sent to that", async () => {
  const away = new Bench();
  away.newest = 90;
  away.sender.begin(3, meta(50, 2));
  await settled();
  away.sender.onMessage(3, encodeEnd(NAME, TAKEN), new Lane());
  for (let tick = 0; tick < 10; tick++) away.sender.tick();
  assert.equal(away.holds, 50);
  away.sender.tick();
  assert.equal(away.holds, Infinity);
  const gone = new Bench();
  const lane = new Lane();
  gone.sender.begin(3, meta(50, 2));
  // Nothing of it was asked for: the member may never have heard of it, and is to be told again all the more.
  assert.equal(gone.sender.underWay(3)?.index, 50);
  gone.sender.onMessage(3, encodeWant(NAME, 0, 100, true), lane);
  await settled();
  assert.equal(gone.sender.underWay(3)?.index, 50);
  gone.match = null;
  assert.equal(gone.sender.underWay(3), null);
  gone.sender.tick();
  assert.equal(gone.holds, Infinity);
  assert.deepEqual(gone.seen, ["file closed"]);
  assert.deepEqual([lane.got.at(-1)!.kind, gone.sender.progress], [GONE, []]);
});

test("a connection that takes no more is closed, and the next one goes on", async () => {
  const { sender } = new Bench();
  sender.begin(3, meta(50, 2));
  const lane = new Lane();
  lane.takes = 2;
  sender.onMessage(3, encodeWant(NAME, 0, 1000, true), lane);
  await settled();
  assert.deepEqual([lane.places, lane.closed], [[0, 100], true]);
  const next = new Lane();
  sender.onMessage(3, encodeWant(NAME, 200, 400, true), next);
  await settled();
  assert.deepEqual(next.places, [200, 300]);
});

test("a member that gets one from elsewhere has the log behind that held; without that log, it is told so", async () => {
  const older = { group: 0, index: 30, term: 1 };
  for (const how of [TAKEN, NOT_WANTED]) {
    const bench = new Bench();
    const { sender } = bench;
    const lane = new Lane();
    sender.begin(3, meta(50, 2));
    sender.onMessage(3, encodeWait({ ...older, index: 29 }, 10), lane);
    assert.deepEqual([lane.got.pop()!.kind, bench.holds], [GONE, 50]);
    sender.onMessage(3, encodeWait(older, 10), lane);
    assert.equal(bench.holds, 30);
    await settled();
    for (let tick = 0; tick < 20; tick++) sender.tick();
    assert.deepEqual([lane.got, sender.progress, sender.underWay(3)], [[], [], null]);
    sender.onMessage(3, encodeEnd(older, how), lane);
    sender.tick();
    assert.equal(bench.holds, how === TAKEN ? 30 : 50);
    assert.deepEqual(bench.seen, how === TAKEN ? ["file closed", "end 3 30 null"] : []);
    assert.equal(sender.sent, 0);
    if (how === TAKEN) continue;
    // From here, after all.
    sender.onMessage(3, encodeWant(NAME, 0, 100, true), lane);
    await settled();
    assert.deepEqual(lane.places, [0]);
  }
});

test("one that is on its way goes on when this node leads again, as long as the log leads on behind it", async () => {
  for (const [firstIndex, match, index] of [
    [51, 0, 50],
    [52, 0, 90],
    [51, 60, 90],
  ] as const) {
    const bench = new Bench();
    bench.sender.begin(3, meta(50, 2));
    await settled();
    Object.assign(bench, { firstIndex, match });
    assert.equal(bench.sender.begin(3, meta(90, 2)).index, index);
    assert.deepEqual(bench.seen, index === 50 ? [] : ["file closed"]);
  }
});
