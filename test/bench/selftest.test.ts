// A smoke of `npm run bench:selftest`: each part at a size that says whether it works, with bounds that a busy machine
// cannot break. The figures themselves are the long run's.
import assert from "node:assert/strict";
import { test } from "node:test";
import { alarmsOf } from "../../bench/selftest/alarms.js";
import { corrected, type GateNote, PLANTED_RATIO } from "../../bench/selftest/gate-runs.js";
import { histogramPart } from "../../bench/selftest/parts.js";
import { expectedPercentiles, measureStall, STALL } from "../../bench/selftest/stalled-engine.js";

const SMALL = { ...STALL, windowMs: 1000, ratePerS: 500 };

test("an open loop sees the whole stall: no latency can be below what the plan says", async () => {
  const expected = expectedPercentiles(SMALL);
  const open = await measureStall(SMALL, "open");
  // Proposals are due by the clock and answered by it: being late can only add. 2 ms: timers and buckets.
  for (const name of ["p50", "p95", "p99", "max"] as const) {
    assert.ok(open[name] >= expected[name] - 2, `${name}: ${open[name]} ms, at least ${expected[name]}`);
  }
});

test("expected percentiles: the stalled share waits for what is left of the stall", () => {
  const expected = expectedPercentiles(STALL);
  assert.equal(expected.p50, 2);
  assert.ok(Math.abs(expected.p95 - 100) < 1e-9);
  assert.ok(Math.abs(expected.p99 - 180) < 1e-9);
  assert.equal(expected.max, 202);
});

test("histograms merge exactly", () => {
  for (const finding of histogramPart(3)) assert.ok(finding.ok, finding.measured);
});

function note(
  kind: GateNote["kind"],
  run: number,
  passed: boolean,
  ratio = 0.9,
  voids: string[] = [],
): GateNote {
  const alarms = passed ? [] : ["cpu at 64"];
  const ratios = { "throughput at 1024": [ratio, ratio - 0.01, ratio + 0.01] };
  const untroubled = { troubles: [], unmeasured: null };
  return { kind, run, seed: run, pairs: 6, spins: 1, passed, voids, alarms, ratios, ms: 1000, ...untroubled };
}

const many = (count: number, make: (run: number) => GateNote) =>
  Array.from({ length: count }, (_, run) => make(run));
const allOk = (findings: readonly { ok: boolean }[]) => findings.every(({ ok }) => ok);

test("one false alarm in 20 is allowed, one missed loss too, void runs never", () => {
  assert.ok(
    allOk(
      alarmsOf(
        "equal",
        many(20, (run) => note("equal", run, run !== 0)),
      ),
    ),
  );
  assert.ok(
    !allOk(
      alarmsOf(
        "equal",
        many(20, (run) => note("equal", run, run > 1)),
      ),
    ),
  );
  assert.ok(
    allOk(
      alarmsOf(
        "slower",
        many(20, (run) => note("slower", run, run === 0)),
      ),
    ),
  );
  assert.ok(
    !allOk(
      alarmsOf(
        "slower",
        many(20, (run) => note("slower", run, run < 2)),
      ),
    ),
  );
  assert.ok(
    !allOk(
      alarmsOf(
        "slower",
        many(20, (run) => note("slower", run, false, 0.9, run === 7 ? ["x"] : [])),
      ),
    ),
  );
});

test("a planted loss that is larger than said proves nothing", () => {
  assert.ok(
    !allOk(
      alarmsOf(
        "slower",
        many(20, (run) => note("slower", run, false, 0.8)),
      ),
    ),
  );
});

test("the slowdown is corrected in proportion to what was tried", () => {
  // One round of work costs 1/10,000 of a commit.
  const ratioOf = (spins: number) => 1 / (1 + spins / 10_000);
  const wanted = 10_000 * (1 / PLANTED_RATIO - 1);
  assert.equal(corrected([{ spins: 500, ratio: ratioOf(500) }]), Math.round(wanted));
  assert.ok(corrected([{ spins: 500, ratio: 1.2 }]) > 500, "no loss seen: more work");
});
