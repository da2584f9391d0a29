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

const TIME_MS = 500;
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

async function measure(cases: readonly MicroCase[], smoke: boolean): Promise<Row[]> {
  const bench = new Bench(
    smoke
      ? { time: 0, iterations: SMOKE_ITERATIONS, warmup: false, throws: true }
      : { time: TIME_MS, warmupTime: WARMUP_MS, throws: true },
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

/** What the checksum's acceptance asks for: how many times plain JavaScript's speed WASM has. */
function crcRatios(rows: readonly Row[]): string {
  const speed = (what: string, size: string) =>
    rows.find((row) => row.name === `${what}, ${size}`)?.gbPerSecond ?? null;
  const lines: string[] = [];
  for (const size of CRC_SIZES) {
    const wasm = speed(CRC_WASM, size);
    const js = speed(CRC_JS, size);
    const native = speed(CRC_ZLIB, size);
    if (wasm === null || js === null) continue;
    const beside =
      native === null
        ? nativeCrc === null
          ? `; zlib.crc32 is skipped: Node ${process.version} has none (20.15 and later do)`
          : ""
        : `, ${(wasm / native).toFixed(2)} times zlib.crc32's`;
    lines.push(`${CRC_WASM}, ${size}: ${(wasm / js).toFixed(2)} times the speed of JavaScript${beside}\n`);
  }
  return lines.join("");
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
  const rows = await measure(cases, smoke);
  process.stdout.write(table(rows) + crcRatios(rows));
  return smoke && wanted.length === 0 ? runGroup(GROUP_SMOKE) : 0;
}

process.exitCode = await main(process.argv.slice(2));
