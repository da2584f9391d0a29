// A log whose threads look for news before they sleep: nothing is missed when one of them goes to sleep just as news
// comes, and while both look nobody has to be woken.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { Prng } from "../../../src/base/prng.js";
import { openWal, type Wal } from "../../../src/wal/index.js";
import { seedOf } from "../../seed.js";
import { tempDir } from "../../temp-dir.js";
import { assertSameEntries, durable, entry, open, options, replay, run } from "../helpers.js";

const POLL_US = 300;

test("appends that come just as the threads go to sleep are written", async (t) => {
  const seed = seedOf(t, import.meta.url);
  const prng = new Prng(seed);
  const walOptions = options(tempDir(t), { writer: "pool-wasm", durability: "none", busyPollUs: POLL_US });
  const wal = await open(t, walOptions);
  const appends = 2000;
  for (let index = 1; index <= appends; index++) {
    // From none to twice as long as they look.
    const until = performance.now() + (prng.below(2 * POLL_US) + 1) / 1000;
    const blocks = prng.below(2) === 0;
    while (performance.now() < until) if (!blocks) await new Promise(setImmediate);
    await durable(wal, wal.append({ term: 1, vote: 1, commit: 0 }, [entry(index)]));
  }
  await wal.close();
  assertSameEntries(replay(walOptions.dir), run(1, appends));
});

test("a log that polls and has nothing to do goes to sleep, and is there when it is wanted", async (t) => {
  const wal = await open(t, options(tempDir(t), { writer: "pool-wasm", busyPollUs: 1000 }));
  await durable(wal, wal.append({ term: 1, vote: 1, commit: 0 }, run(1, 10)));
  await setTimeout(50);
  const before = process.cpuUsage();
  const begun = performance.now();
  await setTimeout(400);
  const { user, system } = process.cpuUsage(before);
  const share = (user + system) / 1000 / (performance.now() - begun);
  assert.ok(share < 0.5, `doing nothing took ${share} of a core`);
  await durable(wal, wal.append(null, run(11, 20)));
});

test("while both threads look, no sleep is asked for", async (t) => {
  const waits = async (busyPollUs: number): Promise<number> => {
    const wal = await open(t, options(tempDir(t), { writer: "pool-wasm", busyPollUs }));
    const { waitAsync } = Atomics as unknown as { waitAsync: (...args: unknown[]) => unknown };
    let calls = 0;
    Object.assign(Atomics, {
      waitAsync: (...args: unknown[]) => {
        calls++;
        return waitAsync(...args);
      },
    });
    try {
      for (let index = 1; index <= 100; index++) {
        await durable(wal, wal.append({ term: 1, vote: 1, commit: 0 }, [entry(index)]));
      }
    } finally {
      Object.assign(Atomics, { waitAsync });
    }
    return calls;
  };
  assert.ok((await waits(0)) >= 50);
  assert.ok((await waits(1_000_000)) <= 1);
});

test("busyPollUs that means nothing is refused", async (t) => {
  const opened: Promise<Wal>[] = [-1, 1_000_001, Number.NaN].map((busyPollUs) =>
    openWal(options(tempDir(t), { writer: "pool-wasm", busyPollUs })),
  );
  for (const each of opened) await assert.rejects(each, { code: "RAFT_BAD_OPTION", message: /busyPollUs/ });
});
