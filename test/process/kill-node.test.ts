// kill -9 of a loaded single node, five times on one directory: nothing that it reported durable is missing, and the
// log holds what was proposed, in order, and nothing else.
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, test } from "node:test";
import { Prng } from "../../src/base/prng.js";
import { crc32c, openWal, readWal } from "../../src/wal/index.js";
import { seedOf } from "../seed.js";
import { payload, placeOf } from "./payloads.js";
import { scratchDir, until } from "./support.js";
import { type Reported, Victim } from "./victim.js";

const scratch = scratchDir("kill-node");
after(() => scratch.remove());

const ROUNDS = 5;
/** Small enough that every round cuts some. */
const SEGMENT_BYTES = 512 << 10;
const START_MS = 30_000;

test("five rounds of kill -9 under load: nothing reported durable is missing", async (t) => {
  const seed = seedOf(t, import.meta.url);
  const random = new Prng(seed);
  const dir = join(scratch.path, "node");
  const reported: Reported[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const victim = new Victim(dir, round, SEGMENT_BYTES);
    const enough = 200 + random.below(3000);
    try {
      await until(`${enough} reports in round ${round}`, START_MS, () => {
        victim.check();
        return victim.reported.length >= enough;
      });
      await new Promise((resolve) => setTimeout(resolve, random.below(30)));
    } finally {
      await victim.kill();
    }
    reported.push(...victim.reported);
    await checkLog(dir, reported, round);
  }
});

/** Reopens the log as a restarted node does, and holds it against everything reported so far. */
async function checkLog(dir: string, reported: readonly Reported[], rounds: number): Promise<void> {
  const wal = await openWal({
    dir: join(dir, "wal"),
    metadata: new Uint8Array(0),
    writer: "inline-wasm",
    durability: "fdatasync",
    segmentBytes: SEGMENT_BYTES,
  });
  const { lastIndex } = wal.recovered;
  await wal.close();
  const crcs = new Map<number, number>();
  const next = new Array<number>(rounds + 1).fill(0);
  let index = 0;
  for (const record of readWal(join(dir, "wal"))) {
    if (record.type !== "entry") continue;
    const { entry } = record;
    assert.equal(entry.index, ++index, "a single leader overwrites nothing and leaves no gap");
    if (entry.data.length === 0) continue; // The empty entry of a new leader, or a change of members.
    const { round, seq } = placeOf(entry.data);
    if (entry.type !== 0) continue;
    assert.equal(seq, next[round]++, `round ${round} proposed in order, and the log is a prefix of it`);
    assert.deepEqual(Buffer.from(entry.data), Buffer.from(payload(round, seq)));
    crcs.set(entry.index, crc32c(0, entry.data));
  }
  assert.equal(index, lastIndex);
  for (const { index, round, seq, crc } of reported) {
    assert.equal(crcs.get(index), crc, `entry ${index} (round ${round}, seq ${seq}) was reported durable`);
  }
}
