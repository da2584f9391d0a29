// The gate's judgement on made-up windows: what it lets through, what it stops, and how often it is wrong.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Counted } from "../../bench/gate/counted.js";
import { judge, MEASURES, pairedRatio, verdictOf } from "../../bench/gate/judge.js";
import type { Sample } from "../../bench/gate/pairs.js";
import { estimateGateMs, GATE_DEFAULTS } from "../../bench/gate/run-gate.js";
import { COUNTER_NAMES, type CounterName, countersOf, type Window } from "../../bench/gate/side.js";
import { benchmarkEntries, type GateFacts, gateMarkdown, headline } from "../../bench/gate/summary.js";
import { voidsOf } from "../../bench/gate/voids.js";
import { Prng } from "../../src/base/prng.js";
import { gatePlanOf } from "../../src/cli/gate-command.js";
import { sampleResult } from "./sample-result.js";

/** About normal, by the sum of twelve uniforms. */
function noise(prng: Prng): number {
  let sum = -6;
  for (let i = 0; i < 12; i++) sum += prng.nextU32() / 4294967296;
  return sum;
}

const COUNTERS = Object.fromEntries(COUNTER_NAMES.map((name) => [name, 1])) as Window["counters"];

interface Noise {
  /** Logarithmic deviation of a pair of processes, and of a window within it. */
  readonly pair: number;
  readonly window: number;
}

/** Head does `factor` of base's throughput, and takes as much more CPU. */
function samples(factor: number, { pair: ofPair, window: ofWindow }: Noise, seed: number): Sample[] {
  const prng = new Prng(seed);
  const all: Sample[] = [];
  for (let pair = 0; pair < GATE_DEFAULTS.pairs; pair++) {
    for (const inFlight of [64, 1024]) {
      const shift = Math.exp(ofPair * noise(prng));
      for (let i = 0; i < GATE_DEFAULTS.windows; i++) {
        const window = (scale: number): Window => {
          const speed = scale * Math.exp(ofWindow * noise(prng));
          return { proposalsPerS: 1e5 * speed, acked: 1000, cpuMs: 10 / speed, counters: COUNTERS };
        };
        all.push({ pair, inFlight, base: window(1), head: window(factor * shift) });
      }
    }
  }
  return all;
}

const QUIET: Noise = { pair: 0.01, window: 0.04 };

function judged(factor: number, noiseOf: Noise, seed: number) {
  return judge({ samples: samples(factor, noiseOf, seed), counted: [], voids: [] }, 0.05);
}

test("equals pass and a tenth lost does not, with noise of 1 % a pair and 4 % a window", () => {
  let alarms = 0;
  let caught = 0;
  for (let seed = 1; seed <= 40; seed++) {
    if (judged(1, QUIET, seed).state !== "open") alarms++;
    if (judged(0.9, QUIET, seed).state !== "open") caught++;
  }
  assert.equal(alarms, 0);
  assert.ok(caught >= 38, `caught ${caught} of 40`);
});

test("noise makes the gate doubt, not cry", () => {
  const noisy = { pair: 0.1, window: 0.3 };
  const judgements = Array.from({ length: 40 }, (_, seed) => judged(1, noisy, seed));
  assert.ok(judgements.filter(({ state }) => state !== "open").length <= 2);
  const doubts = judgements.filter(({ findings }) => findings.some(({ verdict }) => verdict === "undecided"));
  assert.ok(doubts.length >= 30, `${doubts.length} doubt`);
});

test("a loss within the tolerance is told and accepted", () => {
  const { state, findings } = judged(0.98, { pair: 0.001, window: 0.002 }, 3);
  assert.equal(state, "open");
  assert.deepEqual([...new Set(findings.map(({ verdict }) => verdict))], ["within tolerance"]);
});

test("ratios in words", () => {
  const ratio = (low: number, high: number, pValue = 0.008) => ({ estimate: 1, low, high, pValue, pairs: 6 });
  assert.equal(verdictOf(ratio(0.85, 0.94), "higher", 0.05), "worse");
  assert.equal(verdictOf(ratio(0.85, 0.96), "higher", 0.05), "undecided");
  assert.equal(verdictOf(ratio(0.96, 0.98), "higher", 0.05), "within tolerance");
  assert.equal(verdictOf(ratio(0.85, 0.94, 0.02), "higher", 0.05), "undecided");
  assert.equal(verdictOf(ratio(0.98, 1.03, 0.5), "higher", 0.05), "no difference found");
  assert.equal(verdictOf(ratio(0.8, 1.2, 0.5), "higher", 0.05), "undecided");
  assert.equal(verdictOf(ratio(1.06, 1.2), "lower", 0.05), "worse");
  assert.equal(verdictOf(ratio(0.7, 0.9), "lower", 0.05), "better");
});

/** Of one load; head does `ratio` of base's throughput. */
function sampleOf(pair: number, ratio: number): Sample {
  const window = (speed: number) => ({
    proposalsPerS: 1e5 * speed,
    acked: 1000,
    cpuMs: 10,
    counters: COUNTERS,
  });
  return { pair, inFlight: 64, base: window(1), head: window(ratio) };
}

test("samples of one pair are no independent witnesses", () => {
  const prng = new Prng(4);
  const all = Array.from({ length: 6 }, (_, pair) => {
    const shift = Math.exp(0.1 * noise(prng));
    return Array.from({ length: 5 }, () => sampleOf(pair, shift * Math.exp(0.001 * noise(prng))));
  });
  const { low, high, pairs } = pairedRatio(all.flat(), MEASURES.throughput.of);
  assert.equal(pairs, 6);
  assert.ok(high / low > 1.05, `${low} to ${high}: as wide as the pairs differ, not the windows`);
});

test("the interval of pairs holds the truth as often as it says", () => {
  const prng = new Prng(5);
  const trials = 1000;
  for (const count of [6, 8, 20]) {
    let held = 0;
    for (let trial = 0; trial < trials; trial++) {
      const all = Array.from({ length: count }, (_, pair) =>
        sampleOf(pair, 0.9 * Math.exp(0.1 * noise(prng))),
      );
      const { low, high } = pairedRatio(all, MEASURES.throughput.of);
      if (low <= 0.9 && high >= 0.9) held++;
    }
    assert.ok(held >= 0.93 * trials && held <= 0.985 * trials, `${held} of ${trials} with ${count} pairs`);
  }
});

function counted(counter: CounterName, head: readonly number[], inFlight = 64): Counted {
  return { inFlight, counter, base: [8, 8.01, 8.02], head };
}

test("a counter fails the gate when no repeat of head is near base, and only a hard one", () => {
  const passes = (...all: Counted[]) =>
    judge({ samples: samples(1, QUIET, 1), counted: all, voids: [] }, 0.05).state === "open";
  assert.equal(passes(counted("messagesSent", [8, 8.02, 8.04])), true);
  assert.equal(passes(counted("messagesSent", [10, 10.01, 8.1])), true);
  assert.equal(passes(counted("messagesSent", [10, 10.01, 10])), false);
  assert.equal(passes(counted("walSyncs", [8.5, 8.5, 8.5])), true);
  assert.equal(passes(counted("walSyncs", [12, 12, 12])), false);
  assert.equal(passes(counted("framesSent", [20, 20, 20])), true);
  assert.equal(passes(counted("allocatedBytes", [20, 20, 20], 1)), true);
  assert.equal(passes(counted("messagesSent", [4, 4, 4])), true);
});

test("a counter that one side does not keep is neither kept nor broken, and no figure of head's", () => {
  const none = [Number.NaN, Number.NaN, Number.NaN];
  const limits: Counted[] = [
    { ...counted("messagesSent", [9, 9, 9]), base: none },
    counted("walSyncs", none),
    { ...counted("walBytes", none), base: none },
    { ...counted("bytesSent", [0.02, 0.02, 0.02]), base: [0, 0, 0] },
  ];
  const told = facts({ samples: samples(1, QUIET, 1), counted: limits.slice(0, 3), voids: [] });
  assert.equal(told.judgement.state, "open");
  const markdown = gateMarkdown(told);
  assert.match(markdown, /\| messages \| – \| 9\.0* to 9\.0* \| not comparable: base does not keep it \|/);
  assert.match(markdown, /\| durable writes \| .* \| – \| not comparable: head does not keep it \|/);
  assert.match(markdown, /\| bytes logged \| – \| – \| not comparable: neither side keeps it \|/);
  assert.match(
    headline(told),
    /open: .*\(3 of the counters' limits compare nothing, as a side does not keep/,
  );
  assert.ok(benchmarkEntries(told.judgement).smaller.every(({ value }) => Number.isFinite(value)));
  const kept = facts({ samples: samples(1, QUIET, 1), counted: limits, voids: [] });
  assert.equal(kept.judgement.state, "closed", "a counter that base keeps at 0 went up");
});

test("what a side does not keep of its counters stays unknown over its nodes", () => {
  const of = (n: number, missing: string[]) => ({
    allocatedBytes: n,
    metrics: { messagesSent: n, framesSent: n, bytesSent: n, walSyncs: n, walBytes: 0, missing },
  });
  const found = countersOf([of(1, []), of(1, ["walBytes"])], [of(5, []), of(6, ["walBytes"])], 1);
  assert.equal(found.messagesSent, 9);
  assert.ok(Number.isNaN(found.walBytes));
  assert.equal(found.allocatedBytes, 5);
});

function facts(evidence: Parameters<typeof judge>[0]): GateFacts {
  const tree = {
    revision: "main",
    commit: "0123456789abcdef",
    dirty: false,
    dir: "/t",
    dependencies: "linked",
  };
  const { environment } = sampleResult([]);
  return {
    base: tree,
    head: { ...tree, revision: "worktree", dirty: true },
    judgement: judge(evidence, 0.05),
    troubles: ["pair 2, 64 in flight: head: nothing was committed in a window of 150 ms"],
    environment,
    command: "raftmark gate --base main",
    seed: 1,
    pairs: 6,
    windows: 5,
    elapsedMs: 60_000,
  };
}

test("a void run closes the gate, however fast it was", () => {
  const closed = facts({
    samples: samples(1.5, QUIET, 1),
    counted: [],
    voids: voidsOf("pair 1", ["a hash"], ["logs: a hash"]),
  });
  assert.equal(closed.judgement.state, "closed");
  assert.match(headline(closed), /closed: the run is void.*head, pair 1: logs: a hash/);
  assert.match(gateMarkdown(closed), /\*\*Void:\*\*\n- base, pair 1: a hash\n- head, pair 1/);
  assert.match(
    gateMarkdown(closed),
    /Troubles, tried again .* \(1\):\n- pair 2, 64 in flight: head: nothing was committed/,
  );
});

test("base's own void run says nothing of head: not closed, not open, and the counters told", () => {
  const { judgement, ...rest } = facts({
    samples: samples(0.5, QUIET, 1),
    counted: [counted("walSyncs", [12, 12, 12])],
    voids: voidsOf("pair 3", ["logs: lost"], []),
  });
  assert.equal(judgement.state, "unmeasured");
  const markdown = gateMarkdown({ judgement, ...rest });
  assert.match(
    markdown,
    /^### raftmark gate: could not be measured\n\nThe speed .* base's own logs .*\(base, pair 3: logs: lost\)/,
  );
  assert.match(markdown, /\| durable writes \| 8\.0* to 8\.02 \| 12\.0* to 12\.0* \|/);
});

test("a gate that did not finish says how far it came, what was counted, and nothing of what speed means", () => {
  const evidence = {
    samples: samples(0.5, QUIET, 1),
    counted: [counted("walSyncs", [8, 8, 8])],
    voids: [],
  };
  const unfinished = { why: "Interrupted.", pairsAsked: 8, pairsMax: 40 };
  const { judgement, ...rest } = facts(evidence);
  const cut = { ...rest, judgement: { ...judgement, state: "open" as const }, unfinished };
  const markdown = gateMarkdown(cut);
  assert.match(
    markdown,
    /^### raftmark gate: not finished\n\nThe gate did not finish; no limit .* is broken\.\n/,
  );
  assert.match(markdown, /\*\*Not finished: 6 of 8 pairs, no verdict on speed\.\*\* Interrupted\.\n/);
  assert.match(markdown, /\| 64 \| throughput, proposals\/s \| [^|]+ \| [^|]+ \| 0\.\d+ \|\n/);
  assert.match(markdown, /\| 64 \| durable writes \|.*kept/);
  assert.doesNotMatch(markdown, /worse\*\*/);
  assert.match(gateMarkdown({ ...cut, pairs: 12 }), /Not finished: 12 of up to 40 pairs/);
  const broken = facts({ ...evidence, counted: [counted("walSyncs", [12, 12, 12])] });
  const closed = gateMarkdown({ ...broken, unfinished });
  assert.match(
    closed,
    /^### raftmark gate: \*\*closed\*\*\n\nThe gate is closed: durable writes per commit .* went up\.\n/,
  );
});

test("the summary says what is worse and by how much; other tools get head's figures", () => {
  const closed = facts({
    samples: samples(0.9, QUIET, 1),
    counted: [counted("walSyncs", [12, 12, 12])],
    voids: [],
  });
  assert.match(headline(closed), /closed: throughput at 64 in flight is 0\.\d+ \(0\.\d+ to 0\.\d+\) of base/);
  assert.match(headline(closed), /durable writes per commit at 64 in flight went up/);
  const markdown = gateMarkdown(closed);
  assert.match(markdown, /\| 1024 \| CPU, all nodes, ms per 1000 commits \|.*\*\*worse\*\*/);
  assert.match(markdown, /`worktree` \(0123456789, with changes\)/);
  const fileSystem = { ...closed.environment.fileSystem, readAheadKb: 8192, scheduler: "none" };
  assert.match(
    gateMarkdown({ ...closed, environment: { ...closed.environment, fileSystem } }),
    /; ext4 on \/dev\/sda \(read-ahead 8192 KiB, I\/O scheduler none\); /,
  );
  const { bigger, smaller } = benchmarkEntries(closed.judgement);
  assert.deepEqual(
    bigger.map(({ name }) => name),
    ["throughput, 64 in flight", "throughput, 1024 in flight"],
  );
  assert.ok(
    smaller.some(({ name, value }) => name === "durable writes per commit, 64 in flight" && value === 12),
  );
  assert.match(
    headline(facts({ samples: samples(1, QUIET, 2), counted: [], voids: [] })),
    /^The gate is open/,
  );
});

test("words of the command line: percentages, counts, and what is refused", () => {
  const words = { base: "main", head: "worktree" };
  assert.equal(gatePlanOf({ ...words, tolerance: "7.5%" }).tolerance, 0.075);
  assert.equal(gatePlanOf({ ...words, pairs: "12", seed: "9" }).pairs, 12);
  assert.throws(() => gatePlanOf({ ...words, tolerance: "5" }), /Did you mean 5%\?/);
  assert.throws(() => gatePlanOf({ ...words, tolerance: "80%" }), /from 0% to 50%/);
  const tooFew = /--pairs: "7" is not allowed: .*from 8 to 100; of fewer pairs none could close it at 99 %/;
  assert.throws(() => gatePlanOf({ ...words, pairs: "7" }), tooFew);
  const more = estimateGateMs({ ...GATE_DEFAULTS, pairs: 12, seed: 1 });
  assert.ok(more > estimateGateMs({ ...GATE_DEFAULTS, seed: 1 }));
});
