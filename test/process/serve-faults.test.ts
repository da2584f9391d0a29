// Three `raftmark serve` processes under puts, compare-and-sets and reads through all of them, and what befalls them, step by
// step, while each takes a snapshot every second or so. After each step: no acknowledged change is missing, all states are
// equal, and the history of every key is linearizable.
//
// CLUSTER_ROUNDS=4 is the long form (npm run test:cluster): clusters one after another, cuts last longer, and the steps come in
// an order of their own. SEED repeats order, members and kinds of cuts, if not the machine's pace.
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, test } from "node:test";
import { Prng } from "../../src/base/prng.js";
import { seedOf } from "../seed.js";
import { FaultyCluster } from "./faulty-cluster.js";
import { KvHistory } from "./kv-history.js";
import { KvLoad } from "./kv-load.js";
import { MEMBER_STEPS, type Scene, STEPS, shuffled } from "./serve-faults.js";
import { Command, scratchDir } from "./support.js";

const ROUNDS = Number(process.env["CLUSTER_ROUNDS"] ?? 1);
const IS_LONG = process.env["CLUSTER_ROUNDS"] !== undefined;
const CALLERS = 12;
const SPAN_MS = IS_LONG ? 10_000 : 5000;
/** What the callers bring into the log in less than a second. */
const SNAPSHOT_ENTRIES = 100;

const scratch = scratchDir("serve-faults");
after(() => {
  Command.killAll();
  scratch.remove();
});

interface Stage extends Scene {
  readonly load: KvLoad;
  /** Keys that were read at the end of an earlier step. */
  readonly looked: Set<string>;
}

/** Nobody calls: all are level and equal, and what callers were told is true. `isLast`: of every key ever changed. */
async function check({ cluster, history, load, looked }: Stage, isLast: boolean): Promise<void> {
  await cluster.heal();
  await load.rest();
  await cluster.until("all to know one leader, and to have applied the same", async () => {
    const all = await cluster.statuses();
    const [first] = all;
    return (
      all.length === cluster.ids.length &&
      all.every(
        ({ leader, applied, commit }) =>
          leader !== 0 && leader === first!.leader && applied === first!.applied && commit === applied,
      )
    );
  });
  await cluster.until("the newest snapshot of each to be a recent one", async () => {
    const all = await cluster.statuses();
    return all.every(({ applied, snapshot }) => applied - (snapshot?.index ?? 0) < 2 * SNAPSHOT_ENTRIES);
  });
  await cluster.agreed();
  const keys = history.changedKeys.filter((key) => isLast || !looked.has(key));
  await load.readAll(keys);
  for (const key of keys) if (key.startsWith("own-")) looked.add(key);
  assert.deepEqual(history.findings(), []);
  assert.deepEqual(load.surprises, []);
}

async function round(dir: string, seed: number, say: (line: string) => void): Promise<void> {
  const random = new Prng(seed);
  const cluster = new FaultyCluster(dir, 3, {
    durability: undefined,
    tickMs: 30,
    readOnly: seed % 2 === 0 ? "safe" : "lease",
    requestTimeoutMs: 2000,
    segmentBytes: 256 * 1024,
    snapshotEveryEntries: SNAPSHOT_ENTRIES,
    snapshotCatchUpBytes: 0,
  });
  const history = new KvHistory();
  const load = new KvLoad(cluster, history, new Prng(seed + 1));
  const stage: Stage = { cluster, history, load, looked: new Set(), random, spanMs: SPAN_MS };
  try {
    await cluster.start();
    const steps = [...(IS_LONG ? shuffled(STEPS, random) : STEPS), ...MEMBER_STEPS];
    for (const [i, { name, run }] of steps.entries()) {
      const before = history.acknowledged;
      const begun = performance.now();
      load.run(CALLERS);
      await run(stage);
      const seconds = (performance.now() - begun) / 1000;
      await check(stage, i === steps.length - 1);
      const acknowledged = history.acknowledged - before;
      say(`${name}: ${seconds.toFixed(1)} s, ${acknowledged} changes acknowledged; all hold`);
    }
    const { acknowledged, refused, reads, lost, open } = history;
    assert.ok(acknowledged > 0 && refused > 0 && reads > 0);
    say(
      `${acknowledged} changes and ${reads} reads, ${refused} conditions that did not hold, ${lost} changes called lost, ${open} unknown`,
    );
  } catch (error) {
    throw new Error(`${(error as Error).message}\n\n${cluster.lastWords}`, { cause: error });
  } finally {
    load.end();
    await cluster.end();
  }
}

test("the service under faults: nothing acknowledged is lost, states are equal, histories linearizable", async (t) => {
  const begin = seedOf(t, import.meta.url);
  for (let i = 0; i < ROUNDS; i++) {
    const seed = begin + i;
    const long = IS_LONG ? "CLUSTER_ROUNDS=1 " : "";
    const replay = `SEED=${seed} ${long}node --test dist/test/process/serve-faults.test.js`;
    await t.test(`seed ${seed}`, async (inner) => {
      // At once, where one waits for it.
      const say = (line: string) => (IS_LONG ? console.log(line) : inner.diagnostic(line));
      try {
        await round(join(scratch.path, String(i)), seed, say);
      } catch (error) {
        throw new Error(`${(error as Error).message}\n\nReplay: ${replay}\n`, { cause: error });
      }
    });
  }
});
