// `raftmark sim`: a simulated cluster on one seed, or a search over many. The simulator is loaded when it is asked for.
import { randomInt } from "node:crypto";
import { availableParallelism } from "node:os";
import { Command } from "commander";
import { BenchError } from "../../bench/harness/bench-error.js";
import { clock, grouped, plural } from "../../bench/report/numbers.js";
import { FAULTS, PROFILES } from "../../bench/sim/profiles.js";
import type { Found } from "../../bench/sim/search.js";
import type { Outcome } from "../../bench/sim/world.js";
import { untilInterrupted } from "./interrupt.js";
import { wholeNumber } from "./words.js";

interface Words {
  readonly seed?: string;
  readonly steps?: string;
  readonly profile: string;
  readonly nodes?: string;
  readonly reads?: string;
  readonly snapshots?: string;
  readonly tickMs?: string;
  readonly electionTicks?: string;
  readonly seeds?: string;
  readonly minutes?: string;
  readonly shrink?: boolean;
  readonly without?: string;
  readonly skip?: string;
}

const STEPS = 30_000;
const SEED_MAX = 2 ** 32 - 1;
const NODES_MAX = 7;
/** That --shrink runs at most. */
const SHRINK_WORLDS = 150;

export function simCommand(): Command {
  return new Command("sim")
    .summary("look for faults of the engine: a simulated cluster under failures drawn from a seed")
    .description(
      "Runs one to seven real nodes (driver, core, log and its recovery) on simulated disks, clocks and network, with " +
        "faults drawn from a seed, and checks after every event what Raft promises. The same seed gives the same events " +
        "and the same hash. One such world takes some seconds. With --seeds or --minutes it goes on to the next seeds, " +
        "on every core, until something breaks.",
    )
    .option("--seed <number>", "the first seed (default: drawn)")
    .option("--steps <number>", `events with faults in a world (default: ${STEPS})`)
    .option("--profile <name>", "what goes wrong, listed below", "all")
    .option("--nodes <number>", `members, 1 to ${NODES_MAX} (default: drawn)`)
    .option("--reads <mode>", "safe or lease (default: drawn)")
    .option("--snapshots <yes|no>", "whether members take snapshots (default: as the profile has it)")
    .option("--tick-ms <number>", "of all members, at first (default: drawn)")
    .option("--election-ticks <number>", "of all members, at first (default: drawn)")
    .option("--shrink", "if it fails, find a shorter schedule that fails in the same way")
    .option("--without <kinds>", "leave out faults of these kinds")
    .option("--skip <numbers>", "leave out these faults, numbered from 0 as they come")
    .option("--seeds <number>", "run so many worlds")
    .option("--minutes <number>", "run worlds for so long")
    .addHelpText("after", EXAMPLES)
    .action(async (words: Words) => {
      process.exitCode = await sim(words);
    });
}

const EXAMPLES = `
Examples:
  raftmark sim --seed 7                    one world
  raftmark sim --minutes 10                as many as there is time for
  raftmark sim --profile disk --seeds 100

Profiles:
${Object.entries(PROFILES)
  .map(([name, { about }]) => `  ${name.padEnd(11)}${about}`)
  .join("\n")}

Exit codes: 0 nothing broke; 1 something did: the last events of each node and the command that replays them are
printed; 2 bad usage; 130 (143) a search was interrupted (terminated), and nothing had broken until then.`;

async function sim(words: Words): Promise<number> {
  const { profile } = words;
  if (!Object.hasOwn(PROFILES, profile)) {
    const names = Object.keys(PROFILES).join(", ");
    throw new BenchError("usage", `--profile: "${profile}" is not allowed: it takes one of ${names}.`);
  }
  const first = words.seed === undefined ? randomInt(2 ** 31) : wholeNumber("seed", words.seed, 0, SEED_MAX);
  const steps = words.steps === undefined ? STEPS : wholeNumber("steps", words.steps, 1, 1e9);
  if (words.seeds === undefined && words.minutes === undefined) return await one(words, first, steps);
  const ofOne = [
    "nodes",
    "reads",
    "snapshots",
    "tickMs",
    "electionTicks",
    "shrink",
    "without",
    "skip",
  ] as const;
  const given = ofOne.find((name) => words[name] !== undefined);
  if (given !== undefined) {
    throw new BenchError(
      "usage",
      `--${given.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)} is for one world: leave out --seeds and --minutes.`,
    );
  }
  const seeds = words.seeds === undefined ? Infinity : wholeNumber("seeds", words.seeds, 1, 1e9);
  const minutes = words.minutes === undefined ? Infinity : wholeNumber("minutes", words.minutes, 1, 1e6);
  const { search } = await import("../../bench/sim/search.js");
  const processes = availableParallelism();
  const plan = { first, seeds, ms: minutes * 60_000, steps, profile, processes };
  const startedAt = performance.now();
  let toldAt = startedAt;
  const told = ({ worlds, events }: Found): void => {
    const now = performance.now();
    if (now - toldAt < 10_000) return;
    toldAt = now;
    process.stderr.write(
      `${plural(worlds, "world")}, ${grouped(events)} events (${clock(now - startedAt)} elapsed)\n`,
    );
  };
  return await untilInterrupted(async (signal) => {
    process.stderr.write(`seeds from ${first}, profile ${profile}, ${processes} processes\n`);
    const found = await search(plan, told, signal);
    for (const failure of found.failures) process.stdout.write(`${failure}\n`);
    const broken = found.failures.length;
    const end = broken > 0 ? `something broke in ${broken}` : "nothing broke";
    process.stdout.write(`${signal.aborted ? "interrupted, " : ""}${end}: ${describeFound(found)}\n`);
    if (broken > 0) return 1;
    return signal.aborted ? (signal.reason as BenchError).exitCode : 0;
  });
}

function describeFound({ worlds, events, cpuMs, writes, reads, histories, faults }: Found): string {
  return (
    `${plural(worlds, "world")}, ${grouped(events)} events ` +
    `(${grouped((events / Math.max(1, cpuMs)) * 1000)} a core-second), ` +
    `${plural(sum(faults), "fault")}, ${grouped(writes)} acknowledged writes, ${grouped(reads)} reads, ` +
    `${grouped(histories)} registers' histories`
  );
}

async function one(words: Words, seed: number, steps: number): Promise<number> {
  const { describeFailure, runWorld } = await import("../../bench/sim/run-sim.js");
  const { profile, reads, snapshots } = words;
  if (reads !== undefined && reads !== "safe" && reads !== "lease") {
    throw new BenchError("usage", `--reads: "${reads}" is not allowed: it takes safe or lease.`);
  }
  if (snapshots !== undefined && snapshots !== "yes" && snapshots !== "no") {
    throw new BenchError("usage", `--snapshots: "${snapshots}" is not allowed: it takes yes or no.`);
  }
  const plan = {
    seed,
    steps,
    profile,
    ...(words.nodes === undefined ? {} : { nodes: wholeNumber("nodes", words.nodes, 1, NODES_MAX) }),
    ...(reads === undefined ? {} : { lease: reads === "lease" }),
    ...(snapshots === undefined ? {} : { snapshots: snapshots === "yes" }),
    ...(words.tickMs === undefined ? {} : { tickMs: wholeNumber("tick-ms", words.tickMs, 1, 1000) }),
    ...(words.electionTicks === undefined
      ? {}
      : { electionTicks: wholeNumber("election-ticks", words.electionTicks, 2, 1000) }),
    ...(words.without === undefined ? {} : { without: kindsOf(words.without) }),
    ...(words.skip === undefined
      ? {}
      : { skip: words.skip.split(",").map((each) => wholeNumber("skip", each, 0, 1e9)) }),
  };
  const outcome = await runWorld(plan);
  if (outcome.violation !== null) process.stdout.write(describeFailure(plan, outcome));
  if (outcome.violation !== null && words.shrink === true) {
    const { shrink } = await import("../../bench/sim/shrink.js");
    const shorter = await shrink(plan, outcome, runWorld, SHRINK_WORLDS);
    const { events, drawn } = outcome;
    process.stdout.write(
      `\n${describeFailure(shorter.plan, shorter.outcome)}\n` +
        `Shorter by ${shorter.worlds} worlds: ${events} events and ${drawn} faults were ${shorter.outcome.events} and ` +
        `${sum(shorter.outcome.faults)}\n`,
    );
  }
  if (outcome.violation === null) process.stdout.write(`${describe(seed, outcome)}\n`);
  return outcome.violation === null ? 0 : 1;
}

function kindsOf(words: string): string[] {
  const kinds = words.split(",");
  const wrong = kinds.find((kind) => !(FAULTS as readonly string[]).includes(kind));
  if (wrong === undefined) return kinds;
  throw new BenchError("usage", `--without: "${wrong}" is no kind of fault: ${FAULTS.join(", ")}.`);
}

function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, each) => sum + each, 0);
}

function describe(seed: number, outcome: Outcome): string {
  const { digest, events, ms, nodes, writes, reads, lost, terms, starts, faults } = outcome;
  const kinds = Object.entries(faults).sort(([, a], [, b]) => b - a);
  return (
    `nothing broke: seed ${seed}, hash ${digest}\n` +
    `${plural(nodes, "node")}, ${grouped(events)} events in ${(ms / 1000).toFixed(1)} simulated seconds: ` +
    `${plural(starts, "start")} of a node, ${plural(terms, "term")} with a leader\n` +
    `${grouped(writes)} writes acknowledged, ${grouped(lost)} refused for sure; ${grouped(reads)} reads\n` +
    `${plural(sum(faults), "fault")}${kinds.length === 0 ? "" : `: ${kinds.map((each) => each.join(" ")).join(", ")}`}`
  );
}
