// The gate against itself: many gate runs of one engine against the same engine, and against it with a slowdown
// planted. Counts alarms. Each run is noted in a file as it ends, so that an interrupted self-test goes on there.
import { appendFile, readFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { median } from "simple-statistics";
import { z } from "zod";
import { MEASURES } from "../gate/judge.js";
import { runPairs } from "../gate/pairs.js";
import { GATE_DEFAULTS, GATE_SETTINGS, type GatePlan, runGate } from "../gate/run-gate.js";
import { startSide } from "../gate/side.js";
import { Troubles } from "../gate/troubles.js";
import { voidText } from "../gate/voids.js";
import { BenchError } from "../harness/bench-error.js";
import { ENGINE_TREE, TEST_SLOWDOWN } from "../harness/engine-from.js";
import { makeDirs } from "../harness/make-dirs.js";
import { withRunDir } from "../harness/with-run-dir.js";

const OWN_TREE = fileURLToPath(new URL("../../../", import.meta.url));

export type GateKind = "equal" | "slower";

/** A gate run as noted. Throughput is head/base. */
const GateNote = z.object({
  kind: z.enum(["equal", "slower"]),
  run: z.number(),
  seed: z.number(),
  pairs: z.number(),
  spins: z.number(),
  passed: z.boolean(),
  voids: z.array(z.string()),
  alarms: z.array(z.string()),
  ratios: z.record(z.string(), z.array(z.number())).describe("estimate, low, high by measure and load"),
  ms: z.number(),
  troubles: z.array(z.string()).default([]).describe("what was tried again"),
  unmeasured: z
    .string()
    .nullable()
    .default(null)
    .describe("why it ended without a judgement; null: it judged"),
});
export type GateNote = z.output<typeof GateNote>;

export interface GateRunsPlan {
  readonly kind: GateKind;
  readonly runs: number;
  readonly pairs: number;
  readonly seed: number;
  /** Rounds of arithmetic an applied entry; 0: none. */
  readonly spins: number;
  readonly shape?: Partial<Pick<GatePlan, "windows" | "windowMs" | "warmupMs" | "counted">>;
}

/** Runs what is not in `done` yet, and tells each. */
export async function gateRuns(
  plan: GateRunsPlan,
  done: readonly GateNote[],
  signal: AbortSignal,
  onRun: (note: GateNote) => Promise<void>,
): Promise<GateNote[]> {
  const notes: GateNote[] = [];
  for (let run = 0; run < plan.runs; run++) {
    const { kind, pairs, spins } = plan;
    const seed = (plan.seed + Math.imul(run + 1, 0x9e3779b1)) >>> 0;
    const same = (note: GateNote) =>
      note.kind === kind &&
      note.run === run &&
      note.seed === seed &&
      note.pairs === pairs &&
      note.spins === spins;
    const earlier = done.find(same);
    if (earlier !== undefined) {
      notes.push(earlier);
      continue;
    }
    const note = await gateRun(plan, run, seed, signal);
    notes.push(note);
    await onRun(note);
  }
  return notes;
}

async function gateRun(
  plan: GateRunsPlan,
  run: number,
  seed: number,
  signal: AbortSignal,
): Promise<GateNote> {
  const { kind, pairs, spins } = plan;
  const begun = performance.now();
  const sinceMs = () => Math.round(performance.now() - begun);
  const common = { kind, run, seed, pairs, spins };
  const running = runGate(
    {
      ...GATE_DEFAULTS,
      // Counters do not see slowness; against an equal they must not cry.
      counted: kind === "equal",
      ...plan.shape,
      base: OWN_TREE,
      head: OWN_TREE,
      headEnv: spins === 0 ? {} : { [TEST_SLOWDOWN]: String(spins) },
      pairs,
      seed,
      dir: null,
    },
    { counted: () => {}, pair: () => {}, trouble: () => {} },
    signal,
  );
  const whole = running.then((made) => {
    if (made.cut !== null) throw made.cut;
    return made;
  });
  const outcome = await whole.catch((error: unknown) => {
    if (error instanceof BenchError && error.kind === "unmeasured") return error;
    throw error;
  });
  if (outcome instanceof BenchError) {
    const none = { passed: true, voids: [], alarms: [], ratios: {}, troubles: [] };
    return { ...common, ...none, ms: sinceMs(), unmeasured: outcome.message };
  }
  const alarms = [
    ...outcome.findings
      .filter(({ verdict }) => verdict === "worse")
      .map(({ measure, inFlight }) => `${measure} at ${inFlight}`),
    ...outcome.limits
      .filter(({ broken }) => broken)
      .map(({ counter, inFlight }) => `${counter} at ${inFlight}`),
  ];
  const ratios = Object.fromEntries(
    outcome.findings.map(({ measure, inFlight, ratio: { estimate, low, high } }) => [
      `${measure} at ${inFlight}`,
      [estimate, low, high],
    ]),
  );
  const { state, voids, troubles } = outcome;
  const told = {
    passed: state === "open",
    voids: voids.map(voidText),
    alarms,
    ratios,
    troubles: [...troubles],
  };
  return { ...common, ...told, ms: sinceMs(), unmeasured: null };
}

/** The throughput that the slowdown is planted for. */
export const PLANTED_AT = 1024;
export const PLANTED_RATIO = 0.9;
/** A first guess, near what the planted loss takes on the machine this was written on. */
const FIRST_SPINS = 70;
const CALIBRATIONS = 4;

export interface Calibration {
  readonly spins: number;
  /** Throughput with it, by throughput without. */
  readonly ratio: number;
}

/**
 * Finds the work an entry that costs a tenth of the throughput at 1024 in flight: tries, and corrects in proportion.
 * The last correction is not tried; what was reached is what the gate runs themselves then measure.
 */
export async function calibrate(
  seed: number,
  signal: AbortSignal,
  onTry: (found: Calibration) => void,
): Promise<number> {
  const tried: Calibration[] = [];
  let spins = FIRST_SPINS;
  for (let i = 0; i < CALIBRATIONS; i++) {
    await withRunDir(null, false, async (runDir) => {
      const { samples, cut } = await runPairs(
        {
          plan: {
            ...GATE_DEFAULTS,
            env: {
              base: { [ENGINE_TREE]: OWN_TREE },
              head: { [ENGINE_TREE]: OWN_TREE, [TEST_SLOWDOWN]: String(spins) },
            },
            inFlight: [PLANTED_AT],
            settings: GATE_SETTINGS,
            pairs: 2,
            windows: 10,
            seed: seed + i,
            dir: runDir.path,
          },
          signal,
          troubles: new Troubles(() => {}),
          start: startSide,
        },
        () => {},
      );
      if (cut !== null) throw cut.error;
      const { of } = MEASURES.throughput;
      const ratio = Math.exp(median(samples.map(({ base, head }) => Math.log(of([head]) / of([base])))));
      tried.push({ spins, ratio });
      onTry({ spins, ratio });
      spins = corrected(tried);
    });
  }
  return spins;
}

/** Loss grows in proportion to the work; all tries count, through the median of what they say. */
export function corrected(tried: readonly Calibration[]): number {
  const wanted = 1 / PLANTED_RATIO - 1;
  const perSpin = median(tried.map(({ spins, ratio }) => Math.max(0.1 * wanted, 1 / ratio - 1) / spins));
  return Math.max(1, Math.round(wanted / perSpin));
}

/** The notes of an earlier self-test; a line that was cut short is none. */
export async function readNotes(path: string): Promise<GateNote[]> {
  const text = await readFile(path, "utf8").catch(() => "");
  return text.split("\n").flatMap((line) => {
    try {
      return [GateNote.parse(JSON.parse(line))];
    } catch {
      return [];
    }
  });
}

export async function addNote(path: string, note: GateNote): Promise<void> {
  await makeDirs(dirname(resolve(path)));
  await appendFile(path, `${JSON.stringify(note)}\n`);
}

export const DEFAULT_NOTES = join("results", "local", "selftest.ndjson");
