// `npm run bench:peers`: raftmark on one Node.js or several and the Go stack (etcd's raft and WAL in a lean loop,
// ../shared/peers/goraft) under the same load, alternating pair by pair, in fresh processes; and a real etcd, whose puts
// are different work. Writes
// results/peers.json, which the README's table is made from. The peers' programs are built by hand: their sources are
// not part of this repository.
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { access, constants, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Command } from "commander";
import { DEFAULT_SETTINGS, parseAxis } from "../harness/axes.js";
import { BenchError, messageOf } from "../harness/bench-error.js";
import { readEnvironment } from "../harness/environment.js";
import { fileSystemOf } from "../harness/run-dir.js";
import { findRuntimes } from "../harness/runtimes.js";
import { diskNameText } from "../report/node-text.js";
import { grouped } from "../report/numbers.js";
import { Result } from "../report/result-schema.js";
import { cpuUsPerCommit } from "../stats/rows.js";
import { CpuWatch } from "./cpu-watch.js";
import { type Figures, type PeerRow, Peers, peersMarkdown } from "./peers.js";

const RAFTMARK = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));
const run = promisify(execFile);
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;
/** Each client of etcdload is one put at a time; more of them only wait for each other. */
const ETCD_CLIENTS_MAX = 1024;
/**
 * Of goraft's life the last part but this: it sorts its latencies at the end, which is no commit's. The warm-up is before
 * its window, so that as much as the window is seen all the same.
 */
const GORAFT_LAST_MS = 500;

/** A load: bytes of a proposal, and how many are under way. */
interface Point {
  readonly entryBytes: number;
  readonly inFlight: number;
}

interface Options {
  readonly goraft: string;
  readonly etcdRun?: string;
  readonly etcdload?: string;
  readonly points: string;
  readonly node: string;
  readonly pairs: string;
  readonly duration: string;
  readonly warmup: string;
  readonly out: string;
}

const program = new Command("bench:peers")
  .description("Measures raftmark and its peers on this machine, alternating, and writes the table's data.")
  .requiredOption("--goraft <file>", "the built goraft program")
  .option("--etcd-run <file>", "etcdload's run.sh; needs etcd on the PATH")
  .option("--etcdload <file>", "the built etcdload program, for --etcd-run")
  .option(
    "--points <list>",
    "BYTESxINFLIGHT: bytes of a proposal, and how many are under way; a row each",
    "256x1,256x64,256x1024,16x4096,4096x64,65536x16",
  )
  .option("--node <list>", "the Node.js of raftmark, as in raftmark bench", "own,26")
  .option("--pairs <number>", "runs of each program a row", "5")
  .option("--duration <seconds>", "measured time of each run", "4")
  .option(
    "--warmup <seconds>",
    "before it, of each: on two cores Node.js 26 compiles for ten seconds and more while three nodes work",
    "15",
  )
  .option("--out <file>", "where the data goes", "results/peers.json")
  .addHelpText(
    "after",
    `
Example:
  npm run bench:peers -- --goraft /tmp/goraft --etcd-run ../shared/peers/etcdload/run.sh --etcdload /tmp/etcdload`,
  );

try {
  await main(program.parse().opts<Options>());
} catch (error) {
  process.stderr.write(`bench:peers: ${messageOf(error)}\n`);
  process.exitCode = error instanceof BenchError ? error.exitCode : 1;
}

async function main(options: Options): Promise<void> {
  const points = options.points.split(",").map(pointOf);
  const nodes = parseAxis("node", options.node).map(String);
  const pairs = positive("pairs", options.pairs);
  const seconds = positive("duration", options.duration);
  const warmup = positive("warmup", options.warmup);
  for (const file of [options.goraft, options.etcdRun, options.etcdload]) {
    if (file !== undefined) await mustRun(file);
  }
  await findRuntimes(nodes.map((node) => ({ ...DEFAULT_SETTINGS, node })));
  const startedAt = new Date().toISOString();
  const dir = await mkdtemp(join(tmpdir(), "raftmark-peers-"));
  try {
    const rows: PeerRow[] = [];
    for (const point of points)
      rows.push(await row(point, nodes, { pairs, seconds, warmup, goraft: options.goraft, dir }));
    const etcd = await runEtcd(options, points, seconds, dir);
    const environment = await readEnvironment(await fileSystemOf(dir));
    const { cpu, cores, kernel, commit, dirty } = environment;
    const command = ["npm run bench:peers --", ...process.argv.slice(2)].join(" ");
    const machine = { cpu, cores, kernel, fileSystem: diskNameText(environment) };
    const peers = Peers.parse({
      ...{ startedAt, finishedAt: new Date().toISOString(), command, commit, dirty, machine },
      ...{ seconds, warmup, pairs, rows, etcd },
    });
    await writeFile(options.out, `${JSON.stringify(peers, null, 2)}\n`);
    process.stdout.write(`\n${peersMarkdown(peers)}\nwritten to ${options.out}\n`);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

interface Runs {
  readonly pairs: number;
  readonly seconds: number;
  readonly warmup: number;
  readonly goraft: string;
  readonly dir: string;
}

/**
 * One row: pairs of runs, the order turned round every time. With two versions of Node.js goraft runs between them,
 * beside each.
 */
async function row(point: Point, nodes: readonly string[], runs: Runs): Promise<PeerRow> {
  const versions = nodes.map(() => "");
  const raftmark: Figures[][] = nodes.map(() => []);
  const goraft: Figures[] = [];
  const steps = nodes.map((node, i) => async () => {
    const { version, figures } = await runRaftmark(point, node, runs);
    versions[i] = version;
    raftmark[i]!.push(figures);
  });
  steps.splice(1, 0, async () => void goraft.push(await runGoraft(point, runs)));
  for (let pair = 0; pair < runs.pairs; pair++) {
    for (const step of pair % 2 === 0 ? steps : [...steps].reverse()) await step();
    const { perS } = goraft[pair]!;
    const ours = raftmark.map(
      (figures, i) =>
        `raftmark on ${versions[i]} ${grouped(figures[pair]!.perS)}/s (${(figures[pair]!.perS / perS).toFixed(2)})`,
    );
    const what = `${point.entryBytes} B, ${point.inFlight} in flight, pair ${pair + 1}/${runs.pairs}`;
    process.stdout.write(`${what}: goraft ${grouped(perS)}/s, ${ours.join(", ")}\n`);
  }
  return { ...point, raftmark: versions.map((node, i) => ({ node, runs: raftmark[i]! })), goraft };
}

async function runRaftmark(
  { entryBytes, inFlight }: Point,
  node: string,
  { seconds, warmup, dir }: Runs,
): Promise<{ version: string; figures: Figures }> {
  const args = ["bench", "--json", "--dir", dir, "--out", join(dir, "result.json"), "--writer", "pool-wasm"];
  args.push("--in-flight", String(inFlight), "--entry-bytes", String(entryBytes), "--node", node);
  args.push("--duration", `${seconds}s`, "--warmup", `${warmup}s`, "--rounds", "1");
  const { stdout } = await run(process.execPath, [RAFTMARK, ...args], { maxBuffer: OUTPUT_BYTES_MAX });
  const [measured] = Result.parse(JSON.parse(stdout)).runs;
  const { p50, p99 } = measured!.latencyMs;
  const figures = {
    perS: Math.round(measured!.proposalsPerS),
    p50Us: rounded(p50 * 1000),
    p99Us: rounded(p99 * 1000),
    cpuUsPerCommit: rounded(cpuUsPerCommit([measured!])),
  };
  return { version: measured!.node, figures };
}

async function runGoraft(
  { entryBytes, inFlight }: Point,
  { seconds, warmup, goraft, dir }: Runs,
): Promise<Figures> {
  const load = ["-bytes", String(entryBytes), "-inflight", String(inFlight), "-duration", `${seconds}s`];
  const mode = ["-mode", "tcp", "-batch", "0", "-warmup", `${warmup}s`];
  const child = spawn(resolve(goraft), [...mode, ...load, "-dir", join(dir, "goraft")], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const watch = new CpuWatch(child.pid ?? 0);
  try {
    const output = child.stdout.toArray();
    const [code] = (await once(child, "exit")) as [number | null];
    if (code !== 0) throw new BenchError("failed", `${goraft} ended with code ${code}.`);
    const figures = peerFigures(Buffer.concat(await output).toString());
    const cpuMsPerS = watch.perSecond(seconds * 1000, GORAFT_LAST_MS);
    return {
      ...figures,
      cpuUsPerCommit: cpuMsPerS === null ? null : rounded((cpuMsPerS * 1000) / figures.perS),
    };
  } finally {
    watch.end();
  }
}

/** To a tenth: no more is known. */
function rounded(us: number): number {
  return Math.round(us * 10) / 10;
}

/** A line of a peer's output: { perSecond, p50us, p99us }. */
function peerFigures(line: string): Omit<Figures, "cpuUsPerCommit"> {
  const { perSecond, p50us, p99us } = JSON.parse(line) as Record<string, number>;
  return { perS: perSecond!, p50Us: p50us!, p99Us: p99us! };
}

async function runEtcd(
  { etcdRun, etcdload }: Options,
  points: readonly Point[],
  seconds: number,
  dir: string,
): Promise<Peers["etcd"]> {
  if (etcdRun === undefined || etcdload === undefined) return [];
  const all: Peers["etcd"] = [];
  for (const entryBytes of new Set(points.map((point) => point.entryBytes))) {
    const loads = points.filter(
      (point) => point.entryBytes === entryBytes && point.inFlight <= ETCD_CLIENTS_MAX,
    );
    const clients = loads.map(({ inFlight }) => inFlight);
    if (clients.length > 0)
      all.push(...(await runEtcdPuts(etcdRun, etcdload, entryBytes, clients, seconds, dir)));
  }
  return all;
}

async function runEtcdPuts(
  etcdRun: string,
  etcdload: string,
  entryBytes: number,
  clients: readonly number[],
  seconds: number,
  dir: string,
): Promise<Peers["etcd"]> {
  const env = {
    ...process.env,
    ...{ SIZES: String(entryBytes), CLIENTS: clients.join(" "), DIR: dir, DURATION: `${seconds}s` },
    ETCDLOAD: resolve(etcdload),
  };
  const { stdout } = await run(resolve(etcdRun), [], { env, maxBuffer: OUTPUT_BYTES_MAX });
  const lines = stdout.split("\n").filter((line) => line.startsWith("{"));
  const etcd = lines.map((line) => ({
    entryBytes,
    clients: (JSON.parse(line) as { clients: number }).clients,
    ...peerFigures(line),
  }));
  for (const { clients, perS } of etcd)
    process.stdout.write(`etcd, ${clients} clients: ${grouped(perS)} puts/s\n`);
  return etcd;
}

async function mustRun(file: string): Promise<void> {
  try {
    await access(file, constants.X_OK);
  } catch (cause) {
    const text = `${file} cannot be run: build it first (the README of the peers says how).`;
    throw new BenchError("usage", text, cause);
  }
}

function pointOf(word: string): Point {
  const [entryBytes, inFlight] = word.split("x").map((part) => positive("points", part));
  if (inFlight !== undefined && word.split("x").length === 2) return { entryBytes: entryBytes!, inFlight };
  throw new BenchError("usage", `--points: "${word}" is not BYTESxINFLIGHT, like 256x1024.`);
}

function positive(flag: string, word: string): number {
  const value = Number(word);
  if (Number.isInteger(value) && value > 0) return value;
  throw new BenchError("usage", `--${flag}: "${word}" is not a whole number above 0.`);
}
