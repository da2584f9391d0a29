// The gate never fails by itself: what keeps it from measuring is counted, told, tried again, and in the end no
// judgement. Sides are made up; what they do is what real ones did.
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { GATE_DEFAULTS, type GateOutcome, runGate } from "../../bench/gate/run-gate.js";
import { differingParts, enginePartsOf } from "../../bench/gate/same-engine.js";
import { COUNTER_NAMES, type LoadedSide, type SidePlan, type Window } from "../../bench/gate/side.js";
import { BenchError } from "../../bench/harness/bench-error.js";
import { Prng } from "../../src/base/prng.js";
import { tempDir } from "../temp-dir.js";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const dir = tempDir();
const never = new AbortController().signal;

/** What one side is asked for, counted over the whole gate. */
interface Asked {
  readonly plan: SidePlan;
  readonly starts: number;
  readonly windows: number;
}

/** A gate of made-up sides; `spoil` is asked before each start, window and end. */
async function gate(
  spoil: (at: "start" | "warm-up" | "window" | "finish", asked: Asked) => void,
  counted = false,
  signal = never,
  countsOf: (plan: SidePlan) => number = () => 8,
) {
  const prng = new Prng(5);
  let starts = 0;
  let windows = 0;
  const ended: string[] = [];
  const told: string[] = [];
  const start = async (plan: SidePlan): Promise<LoadedSide> => {
    starts++;
    spoil("start", { plan, starts, windows });
    const window = (): Window => {
      windows++;
      const counts = COUNTER_NAMES.map((name) => [name, countsOf(plan)]);
      const counters = Object.fromEntries(counts) as Window["counters"];
      const figures = { proposalsPerS: 1e5 + prng.below(1000), acked: 1000, cpuMs: 10, counters };
      try {
        spoil("window", { plan, starts, windows });
        return figures;
      } catch (error) {
        // As a cluster that stood still for the window, and committed what was under way behind it.
        if (error === STOOD_STILL) return { ...figures, proposalsPerS: 0 };
        throw error;
      }
    };
    return {
      load: async () => window(),
      warmUp: async () => spoil("warm-up", { plan, starts, windows }),
      window: async () => window(),
      finish: async () => {
        spoil("finish", { plan, starts, windows });
        return [];
      },
      destroy: async () => void ended.push(plan.dir),
    };
  };
  const plan = { ...GATE_DEFAULTS, base: ROOT, head: ROOT, headEnv: {}, counted, seed: 1, dir };
  const observer = { counted() {}, pair() {}, trouble: (text: string) => told.push(text) };
  const running = runGate(plan, observer, signal, start);
  const outcome = await running.catch((error: unknown) => error);
  return { outcome, told, starts: () => starts, ended };
}

const STOOD_STILL = new Error("stood still");

/** Whether there was something to keep or not. */
function isUnmeasured(ended: unknown, why: RegExp): void {
  const outcome = ended instanceof Error ? ended : (ended as GateOutcome).cut;
  assert.ok(outcome instanceof BenchError, String(outcome));
  assert.equal(outcome.exitCode, 2);
  assert.match(outcome.message, /^the speed could not be measured \(this says nothing of head\): /);
  assert.match(outcome.message, why);
}

test("where neither side commits, that is told and both windows measured again", async () => {
  const { outcome, told } = await gate((at, { windows }) => {
    if (at === "window" && (windows === 7 || windows === 8)) throw STOOD_STILL;
  });
  assert.ok(!(outcome instanceof Error), String(outcome));
  const judged = outcome as GateOutcome;
  assert.equal(judged.state, "open");
  assert.equal(judged.samples.length, GATE_DEFAULTS.pairs * GATE_DEFAULTS.windows * 2);
  assert.equal(told.length, 1);
  assert.match(
    told[0],
    /^pair 1, \d+ in flight: (base and head|head and base) committed nothing in a window of 150 ms$/,
  );
  assert.deepEqual(judged.troubles, told);
});

test("a machine that stands still too often cannot be measured", async () => {
  const { outcome } = await gate((at, { windows }) => {
    if (at === "window" && (windows - 1) % 12 < 2) throw STOOD_STILL;
  });
  isUnmeasured(outcome, /8 windows in which neither side committed, more than 7; the last: pair \d/);
});

/** A gate in which one side commits nothing in one of twelve of its windows. */
async function stalling(name: "base" | "head") {
  let own = 0;
  const { outcome, told } = await gate((at, { plan }) => {
    if (at === "window" && plan.name === name && ++own % 12 === 0) throw STOOD_STILL;
  });
  assert.ok(!(outcome instanceof Error), String(outcome));
  return { judged: outcome as GateOutcome, told };
}

test("a side that stands still in one window of twelve is slower by them, and told", async () => {
  const { judged, told } = await stalling("head");
  assert.equal(judged.state, "closed", "head");
  assert.match(
    told[0],
    /^pair 1, 1024 in flight: head committed nothing in a window of 150 ms, which counts$/,
  );
  const { judged: faster } = await stalling("base");
  assert.equal(faster.state, "open", "base");
  assert.ok(faster.findings.some(({ verdict }) => verdict === "better"));
});

test("a head that commits nothing in any window closes the gate", async () => {
  const { outcome } = await gate((at, { plan }) => {
    if (at === "window" && plan.name === "head") throw STOOD_STILL;
  });
  assert.equal((outcome as GateOutcome).state, "closed");
});

test("clusters that do not come up, break, or end in disorder are replaced; all of them are ended", async () => {
  const { outcome, told, starts, ended } = await gate((at, asked) => {
    if (at === "start" && asked.starts === 3) throw new BenchError("failed", "no leader within 15 s.");
    if (at === "window" && asked.windows === 40) throw new BenchError("failed", "the cluster went away.");
    if (at === "finish" && asked.starts === 10) throw new BenchError("failed", "node 2 did not close.");
  });
  assert.ok(!(outcome instanceof Error), String(outcome));
  assert.ok(
    told.some((text) => /^pair 2: no leader within 15 s$/.test(text)),
    told.join("\n"),
  );
  assert.ok(
    told.some((text) => /node 2 did not close$/.test(text)),
    told.join("\n"),
  );
  assert.equal(ended.length, starts() - 1, "every side that came up");
});

test("clusters that never come up: exit code 2, with the reason", async () => {
  const { outcome, told } = await gate((at) => {
    if (at === "start") throw new BenchError("failed", "no leader within 15 s.");
  });
  isUnmeasured(
    outcome,
    /4 pairs of clusters that came to nothing, more than 3; the last: pair 1: no leader within 15 s\.$/,
  );
  assert.equal(told.length, 4);
  const exact = await gate((at) => {
    if (at === "start") throw new BenchError("failed", "no leader within 15 s.");
  }, true);
  isUnmeasured(exact.outcome, /3 counted runs that came to nothing/);
});

/** Clusters that come up until the counted run and `pairs` pairs are done. */
const dyingAfter =
  (pairs: number) =>
  (at: string, { starts }: Asked): void => {
    if (at === "start" && starts > 2 + 2 * pairs) throw new BenchError("failed", "node 2 went away.");
  };

test("clusters that break for good after some pairs leave them, and what was counted, and no verdict on speed", async () => {
  const { outcome } = await gate((at, asked) => {
    dyingAfter(3)(at, asked);
    if (at === "window" && asked.plan.name === "head" && asked.starts > 2) throw STOOD_STILL;
  }, true);
  const kept = outcome as GateOutcome;
  isUnmeasured(
    kept,
    /4 pairs of clusters that came to nothing, more than 3; the last: pair 4: node 2 went away/,
  );
  assert.deepEqual([...new Set(kept.samples.map(({ pair }) => pair))], [0, 1, 2]);
  assert.ok(kept.limits.length > 0 && kept.troubles.length > 4);
  assert.equal(kept.state, "open", "however slow head seemed to be");
});

test("a broken limit stays proved where no pair could be measured", async () => {
  const { outcome } = await gate(dyingAfter(0), true, never, ({ name }) => (name === "head" ? 16 : 8));
  const kept = outcome as GateOutcome;
  isUnmeasured(kept, /came to nothing/);
  assert.equal(kept.state, "closed");
  assert.ok(kept.limits.some(({ broken }) => broken));
});

test("whoever interrupts a gate after some pairs has them, and what was counted", async () => {
  const controller = new AbortController();
  const why = new BenchError("interrupted", "interrupted.");
  const spoil = (at: string, { starts }: Asked): void => {
    if (at === "warm-up" && starts > 2 + 2 * 5) controller.abort(why);
    controller.signal.throwIfAborted();
  };
  const { outcome } = await gate(spoil, true, controller.signal);
  const kept = outcome as GateOutcome;
  assert.equal(kept.cut, why);
  assert.equal(new Set(kept.samples.map(({ pair }) => pair)).size, 5);
  assert.ok(kept.limits.length > 0 && kept.state === "open");
});

test("an error of the gate's own is tried again too, and told with its place", async () => {
  const broken = await gate((at) => {
    if (at === "window") throw new TypeError("undefined is not a function");
  });
  isUnmeasured(broken.outcome, /TypeError: undefined is not a function \(at .*gate-troubles\.test\.js/);
});

test("both sides are warmed up in turn, and either is last in some pairs", async () => {
  let order: string[] = [];
  const orders: string[][] = [];
  await gate((at, { plan }) => {
    if (at === "warm-up") order.push(plan.name);
    if (at !== "finish" || order.length === 0) return;
    orders.push(order);
    order = [];
  });
  assert.equal(orders.length, GATE_DEFAULTS.pairs);
  for (const names of orders) {
    for (let i = 0; i < names.length; i += 2) assert.notEqual(names[i], names[i + 1]);
  }
  const last = orders.map((names) => names[names.length - 1]);
  assert.deepEqual([...new Set(last)].sort(), ["base", "head"]);
});

test("what trying again does not mend ends it at once", async () => {
  const { outcome, told } = await gate((at) => {
    if (at === "start") throw new BenchError("environment", "the disk is full.");
  });
  assert.ok(outcome instanceof BenchError && outcome.kind === "environment");
  assert.deepEqual(told, []);
});

/** A tree as built, of `files`. */
function tree(name: string, files: Readonly<Record<string, string>>): string {
  for (const [file, text] of Object.entries(files)) {
    const path = join(dir, name, file);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }
  return join(dir, name);
}

test("the engine of two trees is the same whatever else differs, and not by one byte, file or package", async () => {
  const lock = (version: string, tool = "1.0.0") =>
    JSON.stringify({
      packages: {
        "": { version: "9" },
        "node_modules/uWebSockets.js": { version, integrity: "sha512-x" },
        "node_modules/tsc": { version: tool, dev: true },
      },
    });
  const engine = {
    "dist/src/index.js": "run()",
    "dist/assembly/wal.wasm": "wasm",
    "dist/src/cli/main.js": "cli",
    "dist/src/index.d.ts": "types",
    "dist/bench/x.js": "bench",
    "package-lock.json": lock("20"),
  };
  const base = await enginePartsOf(tree("base", engine));
  const differing = async (name: string, files: Readonly<Record<string, string>>) =>
    differingParts(base, await enginePartsOf(tree(name, { ...engine, ...files })));
  const beside = {
    "dist/src/cli/main.js": "other",
    "dist/src/index.d.ts": "other",
    "dist/bench/x.js": "other",
    "docs/a.md": "new",
    "package-lock.json": lock("20", "2.0.0"),
  };
  assert.deepEqual(await differing("beside", beside), []);
  assert.deepEqual(await differing("byte", { "dist/src/index.js": "run();" }), [
    join("dist", "src", "index.js"),
  ]);
  assert.deepEqual(await differing("wasm", { "dist/assembly/wal.wasm": "wasn" }), [
    join("dist", "assembly", "wal.wasm"),
  ]);
  assert.deepEqual(await differing("file", { "dist/src/wal/new.js": "" }), [
    join("dist", "src", "wal", "new.js"),
  ]);
  assert.deepEqual(await differing("package", { "package-lock.json": lock("21") }), [
    "node_modules/uWebSockets.js",
  ]);
});
