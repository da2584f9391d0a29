// The pace of members that lag: they gain on the group by what was promised and not by much more, and are let go when the
// group does nothing. The clock is the test's.
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { ReadPace } from "../../../src/wal/read/read-pace.js";

const MB = 1e6;
const PIECE_BYTES = MB;
const STEP_MS = 5;
const READER = 3;

class Time {
  now = 1000;
  commit = 1;

  constructor(t: TestContext) {
    t.mock.method(performance, "now", () => this.now);
  }

  /** Bytes read for each of `readers` in `ms`, while the log grows. */
  run(pace: ReadPace, ms: number, grownPerS: number, readers: readonly number[] = [READER]): number[] {
    const read = readers.map(() => 0);
    for (const end = this.now + ms; this.now < end; this.now += STEP_MS) {
      if (grownPerS > 0) this.commit++;
      pace.grew((grownPerS * STEP_MS) / 1000);
      readers.forEach((reader, i) => {
        if (pace.waitMs(reader, this.commit) >= 1) return;
        pace.took(reader, PIECE_BYTES);
        read[i]! += PIECE_BYTES;
      });
    }
    return read;
  }
}

function near(found: number, wanted: number): void {
  assert.ok(Math.abs(found / wanted - 1) < 0.1, `${found}, not about ${wanted}`);
}

test("each member gains on the group by the rate that was set, or a quarter of what is written", (t) => {
  for (const { grown, gain, gained } of [
    { grown: 2 * MB, gain: 10 * MB, gained: 10 * MB },
    { grown: 80 * MB, gain: 10 * MB, gained: 20 * MB },
  ]) {
    const time = new Time(t);
    const pace = new ReadPace(gain);
    time.run(pace, 3000, grown);
    for (const read of time.run(pace, 10_000, grown, [READER, 4])) near(read / 10, grown + gained);
    t.mock.restoreAll();
  }
});

test("where nothing is committed nobody waits, whatever is owed, and nothing of it is owed when the group goes on", (t) => {
  const time = new Time(t);
  const pace = new ReadPace(MB);
  time.run(pace, 2000, 10 * MB);
  pace.took(READER, 1000 * MB);
  assert.ok(pace.waitMs(READER, time.commit) > 10_000);
  const steps = 1000 / STEP_MS;
  assert.ok(time.run(pace, 1000, 0)[0]! > 0.8 * steps * PIECE_BYTES);
  time.run(pace, 1000, 10 * MB);
  near(time.run(pace, 10_000, 10 * MB)[0]! / 10, 12.5 * MB);
});

test("what was read before it was known how much the group writes is made up for as soon as that is known", (t) => {
  const time = new Time(t);
  const pace = new ReadPace(4096);
  // At the set rate alone its first piece would take four minutes.
  near(time.run(pace, 20_000, 10 * MB)[0]! / 20, 12.5 * MB);
  // Nor does it, when a quiet group goes to work.
  time.run(pace, 2000, 100);
  near(time.run(pace, 20_000, 10 * MB)[0]! / 20, 12.5 * MB);
});
