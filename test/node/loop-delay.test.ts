// How late the event loop is, as a node measures it for whoever asks.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { LoopDelayWatch } from "../../src/node/loop-delay.js";

function spin(ms: number): number {
  const begun = performance.now();
  while (performance.now() - begun < ms);
  return performance.now() - begun;
}

test("a block of the event loop is seen, by every reader for at least half a minute, and then not any more", async () => {
  let now = 1000;
  const watch = new LoopDelayWatch(() => now);
  assert.deepEqual(watch.read(), { meanMs: 0, p99Ms: 0, maxMs: 0 });
  await sleep(60);
  const blockedMs = spin(200);
  await sleep(60);
  const seen = watch.read();
  // A sample was due at most 20 ms after it began.
  assert.ok(seen.maxMs > blockedMs - 30, `${seen.maxMs} of ${blockedMs}`);
  assert.ok(seen.meanMs > 0 && seen.meanMs <= seen.maxMs && seen.p99Ms <= seen.maxMs * 1.01);
  now += 29_000;
  assert.ok(watch.read().maxMs >= seen.maxMs, "another reader");
  // The older one begins anew at this call, and the other has seen it as well.
  now += 1_000;
  assert.ok(watch.read().maxMs >= seen.maxMs);
  now += 29_999;
  assert.ok(watch.read().maxMs >= seen.maxMs, "after less than two windows");
  now += 1;
  watch.read();
  // A busy machine may hold this process up for as long again.
  for (let tries = 0; tries < 100; tries++) {
    await sleep(60);
    if (watch.read().maxMs < seen.maxMs) break;
    now += 30_000;
    watch.read();
  }
  assert.ok(watch.read().maxMs < seen.maxMs, "long ago");
  watch.end();
  assert.deepEqual(watch.read(), { meanMs: 0, p99Ms: 0, maxMs: 0 });
});
