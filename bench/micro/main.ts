// `npm run bench:micro`: the hot operations of the engine, one table. `--smoke` runs each a few times, to
// prove that they run; its figures mean nothing. Other arguments pick cases whose name contains one of them.
// `--group [its options]` runs a whole group of nodes in one thread instead (group.ts), in a process of its
// own.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { Bench } from "tinybench";
import { grouped } from "../report/numbers.js";
import { CRC_JS, CRC_SIZES, CRC_WASM, CRC_ZLIB, crcCases, nativeCrc } from "./crc.js";
import { inflightsCases } from "./inflights.js";
import { logCases } from "./log.js";
import { quorumCases } from "./quorum.js";
import { stepCases } from "./step.js";
import type { MicroCase, MicroSuite } from "./suite.js";
import { wireCases } from "./wire.js";

const SUITES: readonly MicroSuite[] = [quorumCases, inflightsCases, logCases, stepCases, crcCases, wireCases];

/** Each case runs once a round, so that what the machine does meanwhile is not in one case alone. */
const ROUNDS = 5;
const TIME_MS = 100;
const WARMUP_MS = 250;
const SMOKE_ITERATIONS = 3;

interface Row {
  readonly name: string;
  readonly nsPerOp: number;
  readonly p99NsPerOp: number;
  readonly opsPerSecond: number;
  /** Null where an operation has no size. */
  readonly gbPerSecond: number | null;
  readonly samples: number;
}

/** The median of a case's rounds, and what each of them had. */
interface Rounds {
  readonly typical: Row;
  readonly each: readonly Row[];
}

async function measureRounds(cases: readonly MicroCase[], smoke: boolean): Promise<Rounds[]> {
  const rounds: Row[][] = [];
  for (let i = 0; i < (smoke ? 1 : ROUNDS); i++) rounds.push(await measure(cases, smoke, i === 0));
  return cases.map((_, at) => {
    const each = rounds.map((rows) => rows[at]);
    const typical = [...each].sort((a, b) => a.nsPerOp - b.nsPerOp)[each.length >> 1];
    return { typical: { ...typical, samples: each.reduce((sum, { samples }) => sum + samples, 0) }, each };
  });
}

async function measure(cases: readonly MicroCase[], smoke: boolean, cold: boolean): Promise<Row[]> {
  const bench = new Bench(
    smoke
      ? { time: 0, iterations: SMOKE_ITERATIONS, warmup: false, throws: true }
      : { time: TIME_MS, warmup: cold, warmupTime: WARMUP_MS, throws: true },
  );
  for (const micro of cases) bench.add(micro.name, () => micro.run());
  await bench.run();
  return cases.map((micro) => {
    const result = bench.getTask(micro.name)!.result;
    if (!("latency" in result)) throw new Error(`${micro.name}: no result (${result.state})`);
    const { latency } = result;
    const ns = (ms: number) => (ms * 1e6) / micro.ops;
    return {
      name: micro.name,
      nsPerOp: ns(latency.p50),
      p99NsPerOp: ns(latency.p99),
      opsPerSecond: 1e9 / ns(latency.p50),
      gbPerSecond: micro.bytes === undefined ? null : micro.bytes / ns(latency.p50),
      samples: latency.samplesCount,
    };
  });
}

function table(rows: readonly Row[]): string {
  const cells = rows.map((row) => [
    row.name,
    row.nsPerOp.toFixed(1),
    row.p99NsPerOp.toFixed(1),
    grouped(row.opsPerSecond),
    row.gbPerSecond === null ? "-" : row.gbPerSecond.toFixed(2),
    String(row.samples),
  ]);
  const lines = [["operation", "ns/op (median)", "ns/op (p99)", "ops/s", "GB/s", "samples"], ...cells];
  const widths = lines[0].map((_, column) => Math.max(...lines.map((line) => line[column].length)));
  const show = (line: string[]) =>
    line.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join("  ");
  return `${lines.map(show).join("\n")}\n`;
}

/** What the checksum's acceptance asks for: how many times plain JavaScript's speed WASM has, round by round. */
function crcRatios(rows: readonly Rounds[]): string {
  const speeds = (what: string, size: string) =>
    rows
      .find(({ typical }) => typical.name === `${what}, ${size}`)
      ?.each.flatMap(({ gbPerSecond }) => gbPerSecond ?? []) ?? null;
  const lines: string[] = [];
  for (const size of CRC_SIZES) {
    const wasm = speeds(CRC_WASM, size);
    const js = speeds(CRC_JS, size);
    const native = speeds(CRC_ZLIB, size);
    if (wasm === null || js === null) continue;
    const beside =
      native === null
        ? nativeCrc === null
          ? `; zlib.crc32 is skipped: Node ${process.version} has none (20.15 and later do)`
          : ""
        : `, ${ratioText(wasm, native)} times zlib.crc32's`;
    lines.push(`${CRC_WASM}, ${size}: ${ratioText(wasm, js)} times the speed of JavaScript${beside}\n`);
  }
  return lines.join("");
}

/** "2.10 (1.95 to 2.21)": the median of the rounds' ratios, and their range. */
function ratioText(ours: readonly number[], theirs: readonly number[]): string {
  const ratios = ours.map((value, round) => value / theirs[round]).sort((a, b) => a - b);
  const middle = ratios[ratios.length >> 1].toFixed(2);
  return ratios.length === 1
    ? middle
    : `${middle} (${ratios[0].toFixed(2)} to ${ratios[ratios.length - 1].toFixed(2)})`;
}

const GROUP = fileURLToPath(new URL("./group.js", import.meta.url));
const GROUP_SMOKE = ["--in-flight", "64", "--batch", "all", "--seconds", "0.05"];

/** Runs group.ts; its exit code. */
function runGroup(args: readonly string[]): number {
  return spawnSync(process.execPath, [GROUP, ...args], { stdio: "inherit" }).status ?? 1;
}

async function main(args: readonly string[]): Promise<number> {
  if (args[0] === "--group") return runGroup(args.slice(1));
  const smoke = args.includes("--smoke");
  const wanted = args.filter((arg) => arg !== "--smoke");
  const all = SUITES.flatMap((suite) => suite());
  const cases = all.filter(
    (micro) => wanted.length === 0 || wanted.some((part) => micro.name.includes(part)),
  );
  if (cases.length === 0) {
    process.stderr.write(`no case matches; there are:\n${all.map((micro) => `  ${micro.name}\n`).join("")}`);
    return 2;
  }
  const rows = await measureRounds(cases, smoke);
  process.stdout.write(table(rows.map(({ typical }) => typical)) + crcRatios(rows));
  return smoke && wanted.length === 0 ? runGroup(GROUP_SMOKE) : 0;
}

process.exitCode = await main(process.argv.slice(2));
