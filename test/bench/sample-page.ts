// Results with everything a page can show: rounds, a void run, a waterfall, an open loop at several rates, text that
// would be HTML. The figures mean nothing.
import type { Settings } from "../../bench/harness/axes.js";
import { expand, resolveAxes, type Scenario } from "../../bench/harness/scenario.js";
import type { Result, Run, Waterfall } from "../../bench/report/result-schema.js";
import { verdict } from "../../bench/report/verdict.js";
import { sampleResult, sampleRun } from "./sample-result.js";

const STAGES = ["queued", "stepped", "waiting for the ring", "encode+CRC", "disk", "wire", "quorum", "apply"];

function waterfall(scale: number): Waterfall {
  const us = (mean: number) => ({ mean, p50: mean * 0.9, p90: mean * 2, p99: mean * 4 });
  const stages = STAGES.map((name, i) => ({ name, us: us(scale * (1 + (i % 4))) }));
  const total = stages.reduce((sum, stage) => sum + stage.us.mean, 0);
  const beside = [{ name: "follower disk", us: us(scale * 2) }];
  return { sampled: 500, followerLast: 420, totalUs: us(total), stages, beside };
}

/** Two writers at two loads, three rounds each; one run is void. */
export function richResult(hostile = ""): Result {
  const base = sampleResult([]);
  const runs: Run[] = [];
  for (let round = 0; round < 3; round++) {
    for (let position = 0; position < 4; position++) {
      const inFlight = position < 2 ? 64 : 1024;
      const writer = position % 2 === 0 ? ("inline-js" as const) : ("pool-wasm" as const);
      const rate = inFlight * 100 * (1 + (position % 2) * 0.4 + round * 0.05);
      const run = sampleRun(position, {
        settings: { writer, inFlight },
        proposalsPerS: rate,
        p50: inFlight / 100,
      });
      const applied = Array.from({ length: 10 }, (_, i) => (rate / 10) * (1 + 0.2 * Math.sin(i + position)));
      const isVoid = position === 3 && round === 1;
      runs.push({
        ...run,
        round,
        sequence: runs.length,
        series: { stepMs: 100, applied, p99Ms: applied.map((_, i) => (i === 4 ? null : 2 + i / 5)) },
        waterfall: position === 2 ? null : waterfall(inFlight / 4),
        void: isVoid ? [`logs: index 7 differs${hostile}`] : [],
      });
    }
  }
  const axes = { ...base.options.axes, writer: ["inline-js", "pool-wasm"], inFlight: [64, 1024] };
  return {
    ...base,
    command: `raftmark bench${hostile}`,
    scenario: { ...base.scenario, question: `Which writer is fastest?${hostile}` },
    options: { ...base.options, axes, rounds: 3 },
    interrupted: true,
    nullRun: { proposalsPerS: 2e6, p50Us: 12, p99Us: 40, generatorUs: 0.4, hashUs: 0.02 },
    stages: Object.fromEntries(STAGES.map((name) => [name, `what ${name} is${hostile}`])),
    runs,
    verdict: `pool-wasm is faster.${hostile}`,
  };
}

/** One configuration under an open loop at four rates. */
export function openResult(): Result {
  const base = sampleResult([]);
  const runs = [1000, 5000, 20_000, 50_000].map((ratePerS, position): Run => {
    const settings = { rate: ratePerS, arrivals: "poisson" as const };
    const run = sampleRun(position, { settings, proposalsPerS: ratePerS, p50: 1 + position ** 2 });
    return { ...run, load: { kind: "open", ratePerS, arrivals: "poisson", due: ratePerS, from: "client" } };
  });
  return { ...base, options: { ...base.options, axes: {} }, runs, verdict: "It bends at 20,000 a second." };
}

/** What an event or reads leave behind; the values say which measure they are. */
const MEASURES: { readonly [K in Exclude<Settings["event"], "none"> | "reads"]: Run["measures"] } = {
  "kill-leader": {
    newLeaderMs: measure(272, "ms"),
    firstCommitMs: measure(281, "ms"),
    outageMs: measure(284, "ms"),
    rejoinedMs: measure(640, "ms"),
    askedAgain: measure(1, "proposals"),
    acknowledgedLost: measure(0, "proposals"),
  },
  "catch-up": {
    behindMB: measure(1024, "MB"),
    openMs: measure(12, "ms"),
    catchUpMs: measure(9000, "ms"),
    catchUpMBPerS: measure(150, "MB/s"),
    rateWhileAway: measure(104, "%"),
    rateWhileOpening: measure(71, "%"),
    rateWhileCatchingUp: measure(96, "%"),
  },
  "replace-member": {
    behindMB: measure(256, "MB"),
    addMs: measure(21, "ms"),
    catchUpMs: measure(4200, "ms"),
    changeMs: measure(33, "ms"),
    rateMeanwhile: measure(94, "%"),
    p99MeanwhileMs: measure(7.5, "ms"),
    p99OtherwiseMs: measure(4.5, "ms"),
  },
  snapshots: {
    snapshotMs: measure(640, "ms"),
    snapshotMBPerS: measure(400, "MB/s"),
    rateMeanwhile: measure(91, "%"),
    p99MeanwhileMs: measure(9.5, "ms"),
    p99OtherwiseMs: measure(4.5, "ms"),
  },
  "pause-follower": {
    pausedMs: measure(600, "ms"),
    catchUpMs: measure(45, "ms"),
    rateWhilePaused: measure(97, "%"),
  },
  restart: {
    logMB: measure(64, "MB"),
    openMs: measure(50, "ms"),
    openGBPerS: measure(1.28, "GB/s"),
    caughtUpMs: measure(400, "ms"),
  },
  reads: { readsPerS: measure(9000, "/s"), readP50Ms: measure(0.5, "ms"), readP99Ms: measure(2.5, "ms") },
};

function measure(value: number, unit: string): Run["measures"][string] {
  const better = unit === "ms" || unit === "proposals" ? "lower" : "higher";
  return { value, unit, better, meaning: `what is measured in ${unit}` };
}

/** A result of `scenario` at its smoke values, in so many rounds. */
export function scenarioResult(scenario: Scenario, rounds = 2): Result {
  const base = sampleResult([]);
  const axes = resolveAxes(scenario, true, {});
  const runs = Array.from({ length: rounds }, (_, round) =>
    expand(axes).map(({ position, settings }): Run => {
      const proposalsPerS = settings.rate > 0 ? settings.rate : 1000 * (position + 1) * (1 + round / 10);
      const run = sampleRun(position, { settings, proposalsPerS, p50: 1 + position });
      const { event, readsPerWrite, rate } = settings;
      const kill = event === "kill-leader";
      const applied = Array.from({ length: 10 }, (_, i) => (kill && i > 2 && i < 6 ? 0 : proposalsPerS / 10));
      const marks = [
        { atMs: 250, what: kill ? "the leader is killed" : "a follower stands still" },
        { atMs: 850, what: "it goes on" },
      ];
      return {
        ...run,
        round,
        sequence: round * 100 + position,
        load:
          rate > 0
            ? { kind: "open", ratePerS: rate, arrivals: "constant", due: rate, from: settings.from }
            : { ...run.load, from: settings.from },
        series: { stepMs: 100, applied, p99Ms: applied.map((count) => (count === 0 ? null : 2)) },
        ...(event === "none" || event === "restart" ? {} : { marks }),
        waterfall: kill ? null : waterfall(4 + position),
        measures: {
          ...(event === "none" ? {} : MEASURES[event]),
          ...(readsPerWrite > 0 ? MEASURES.reads : {}),
        },
      };
    }),
  ).flat();
  const { name, question, compares } = scenario;
  const made = {
    ...base,
    scenario: { name, question, compares },
    options: { ...base.options, axes: {}, rounds },
    runs: runs.sort((a, b) => a.position - b.position || a.round - b.round),
  };
  return { ...made, verdict: verdict(made) };
}
