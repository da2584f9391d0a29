// `npm run bench:selftest`: is the instrument right? Puts known things into it, prints every figure and a table, and
// ends with 1 if any is not as it must be. Long; what it consists of has a smoke in test/bench/selftest.test.ts.

import Table from "cli-table3";
import { Command, InvalidArgumentError } from "commander";
import { untilInterrupted } from "../../src/cli/interrupt.js";
import { estimateGateMs, GATE_DEFAULTS } from "../gate/run-gate.js";
import { BenchError, EXIT_CODES } from "../harness/bench-error.js";
import { roughly } from "../report/numbers.js";
import { alarmsOf, percent } from "./alarms.js";
import {
  addNote,
  calibrate,
  DEFAULT_NOTES,
  type GateKind,
  type GateNote,
  gateRuns,
  PLANTED_AT,
  readNotes,
} from "./gate-runs.js";
import { type Finding, histogramPart, openLoopPart, wrongStatePart } from "./parts.js";
import { estimateSamplingMs, SAMPLED_AT, samplingCost, samplingFinding } from "./sampling.js";
import { verdictPart } from "./verdicts.js";

const PARTS = ["open-loop", "histograms", "verdict", "void", "sampling", "equal", "slower"] as const;
type Part = (typeof PARTS)[number];

interface Words {
  readonly runs: number;
  readonly pairs: number;
  readonly seed: number;
  readonly notes: string;
  readonly resume?: true;
  readonly spins?: number;
}

process.exitCode = await main(process.argv);

async function main(argv: string[]): Promise<number> {
  const command = new Command("bench:selftest")
    .description(`Tests the bench itself. Parts: ${PARTS.join(", ")}; all without any.`)
    .argument("[parts...]", "what to test")
    .option("--runs <number>", "gate runs of each kind", whole, 20)
    .option(
      "--pairs <number>",
      "pairs of clusters in a gate run, and clusters of the sampling part",
      whole,
      GATE_DEFAULTS.pairs,
    )
    .option("--seed <number>", "seeds everything", whole, 1)
    .option("--spins <number>", "the planted slowdown's work an entry, instead of calibrating it", whole)
    .option("--notes <file>", "gate runs are noted there as they end", DEFAULT_NOTES)
    .option("--resume", "take gate runs with the same seed from the notes instead of running them again")
    .parse(argv);
  const parts = (command.args.length > 0 ? command.args : PARTS) as Part[];
  const unknown = parts.find((part) => !PARTS.includes(part));
  if (unknown !== undefined)
    return complain(`there is no part "${unknown}": there is ${PARTS.join(", ")}.`, EXIT_CODES.usage);
  try {
    return await untilInterrupted((signal) => selfTest(parts, command.opts<Words>(), signal));
  } catch (error) {
    if (error instanceof BenchError) return complain(error.message, error.exitCode);
    throw error;
  }
}

function whole(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError("It takes a whole number.");
  return Number(text);
}

function complain(sentence: string, exitCode: number): number {
  process.stderr.write(`bench:selftest: ${sentence}\n`);
  return exitCode;
}

async function selfTest(parts: readonly Part[], words: Words, signal: AbortSignal): Promise<number> {
  const begun = performance.now();
  const gates = parts.filter((part) => part === "equal" || part === "slower").length;
  const gateMs = estimateGateMs({ ...GATE_DEFAULTS, pairs: words.pairs, seed: 0 });
  const samplingMs = parts.includes("sampling") ? estimateSamplingMs(words.pairs) : 0;
  say(
    `about ${roughly(30_000 + samplingMs + gates * words.runs * gateMs)}: ${parts.join(", ")}; seed ${words.seed}`,
  );
  const findings: Finding[] = [];
  for (const part of parts) {
    say(`\n${part}`);
    const found = await runPart(part, words, signal);
    for (const finding of found) sayFinding(finding);
    findings.push(...found);
  }
  const table = new Table({ head: ["", "what", "expected", "measured"], style: { head: [], border: [] } });
  for (const { ok, what, expected, measured } of findings)
    table.push([ok ? "ok" : "WRONG", what, expected, measured]);
  say(`\n${table.toString()}`);
  const wrong = findings.filter(({ ok }) => !ok).length;
  const took = roughly(performance.now() - begun);
  say(
    wrong === 0
      ? `\nThe instrument is right in all ${findings.length} points (${took}).`
      : `\n${wrong} of ${findings.length} points are wrong (${took}).`,
  );
  return wrong === 0 ? 0 : 1;
}

async function runPart(part: Part, words: Words, signal: AbortSignal): Promise<Finding[]> {
  switch (part) {
    case "open-loop":
      return openLoopPart();
    case "histograms":
      return histogramPart(words.seed);
    case "verdict":
      return verdictPart(words.seed);
    case "void":
      return wrongStatePart("results/local");
    case "sampling": {
      const found: Finding[] = [];
      for (const inFlight of SAMPLED_AT) {
        const plan = { inFlight, clusters: words.pairs, seed: words.seed };
        found.push(samplingFinding(inFlight, await samplingCost(plan, signal)));
      }
      return found;
    }
    case "equal":
      return alarmsOf("equal", await runsOf("equal", 0, words, signal));
    case "slower": {
      const spins =
        words.spins ??
        (await calibrate(words.seed, signal, ({ spins: tried, ratio }) =>
          say(
            `  calibrating: ${tried} rounds of work an entry leave ${percent(ratio)} of the throughput at ${PLANTED_AT} in flight`,
          ),
        ));
      say(`  planted: ${spins} rounds of work an applied entry on every node (repeat with --spins ${spins})`);
      return alarmsOf("slower", await runsOf("slower", spins, words, signal));
    }
  }
}

async function runsOf(kind: GateKind, spins: number, words: Words, signal: AbortSignal): Promise<GateNote[]> {
  const { runs, pairs, seed, notes, resume } = words;
  const done = resume === true ? await readNotes(notes) : [];
  const plan = { kind, runs, pairs, seed, spins };
  return gateRuns(plan, done, signal, async (note) => {
    const ratios = Object.entries(note.ratios).map(
      ([name, [estimate, low, high]]) =>
        `${name} ${estimate.toFixed(3)} (${low.toFixed(3)} to ${high.toFixed(3)})`,
    );
    const said =
      note.unmeasured ?? (note.passed ? "open" : `closed: ${[...note.alarms, ...note.voids].join("; ")}`);
    say(
      `  run ${note.run + 1} of ${runs}, ${(note.ms / 1000).toFixed(0)} s, seed ${note.seed}: ${said} | ${ratios.join(", ")}`,
    );
    await addNote(notes, note);
  });
}

function sayFinding({ ok, what, expected, measured }: Finding): void {
  say(`  ${ok ? "ok" : "WRONG"}: ${what}: ${measured} (expected: ${expected})`);
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
