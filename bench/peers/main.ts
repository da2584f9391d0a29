// `npm run bench:peers`: raftmark and the Go stack (etcd's raft and WAL in a lean loop, ../shared/peers/goraft) under
// the same load, alternating pair by pair, in fresh processes; and a real etcd, whose puts are different work. Writes
// results/peers.json, which the README's table is made from. The peers' programs are built by hand: their sources are
// not part of this repository.
import { execFile } from "node:child_process";
import { access, constants, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Command } from "commander";
import { BenchError, EXIT_CODES, messageOf } from "../harness/bench-error.js";
import { readEnvironment } from "../harness/environment.js";
import { fileSystemOf } from "../harness/run-dir.js";
import { grouped } from "../report/numbers.js";
import { Result } from "../report/result-schema.js";
import { type Figures, type PeerRow, Peers, peersMarkdown } from "./peers.js";

const RAFTMARK = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));
const run = promisify(execFile);
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;
/** Each client of etcdload is one put at a time; more of them only wait for each other. */
const ETCD_CLIENTS_MAX = 1024;

interface Options {
  readonly goraft: string;
  readonly etcdRun?: string;
  readonly etcdload?: string;
  readonly inFlight: string;
  readonly entryBytes: string;
  readonly pairs: string;
  readonly duration: string;
  readonly out: string;
}

const program = new Command("bench:peers")
  .description("Measures raftmark and its peers on this machine, alternating, and writes the table's data.")
  .requiredOption("--goraft <file>", "the built goraft program")
  .option("--etcd-run <file>", "etcdload's run.sh; needs etcd on the PATH")
  .option("--etcdload <file>", "the built etcdload program, for --etcd-run")
  .option("--in-flight <numbers>", "proposals under way, a row each", "1,64,256,1024,4096")
  .option("--entry-bytes <number>", "bytes of one proposal", "256")
  .option("--pairs <number>", "runs of each program a row", "5")
  .option("--duration <seconds>", "measured time of each run", "4")
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
  const inFlights = options.inFlight.split(",").map((word) => positive("in-flight", word));
  const entryBytes = positive("entry-bytes", options.entryBytes);
  const pairs = positive("pairs", options.pairs);
  const seconds = positive("duration", options.duration);
  for (const file of [options.goraft, options.etcdRun, options.etcdload]) {
    if (file !== undefined) await mustRun(file);
  }
  const startedAt = new Date().toISOString();
  const dir = await mkdtemp(join(tmpdir(), "raftmark-peers-"));
  try {
    const rows: PeerRow[] = [];
    for (const inFlight of inFlights)
      rows.push(await row(inFlight, entryBytes, pairs, seconds, options, dir));
    const clients = inFlights.filter((count) => count <= ETCD_CLIENTS_MAX);
    const etcd = await runEtcd(options, clients, entryBytes, seconds, dir);
    const environment = await readEnvironment(await fileSystemOf(dir));
    const { cpu, cores, kernel, node, commit, dirty } = environment;
    const command = ["npm run bench:peers --", ...process.argv.slice(2)].join(" ");
    const machine = { cpu, cores, kernel, node, fileSystem: environment.fileSystem.type };
    const peers = Peers.parse({
      ...{ startedAt, finishedAt: new Date().toISOString(), command, commit, dirty, machine },
      ...{ entryBytes, seconds, pairs, rows, etcd },
    });
    await writeFile(options.out, `${JSON.stringify(peers, null, 2)}\n`);
    process.stdout.write(`\n${peersMarkdown(peers)}\nwritten to ${options.out}\n`);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** One row: pairs of runs, the order within a pair turned round every time. */
async function row(
  inFlight: number,
  entryBytes: number,
  pairs: number,
  seconds: number,
  options: Options,
  dir: string,
): Promise<PeerRow> {
  const raftmark: Figures[] = [];
  const goraft: Figures[] = [];
  for (let pair = 0; pair < pairs; pair++) {
    const ours = async () => raftmark.push(await runRaftmark(inFlight, entryBytes, seconds, dir));
    const theirs = async () =>
      goraft.push(await runGoraft(inFlight, entryBytes, seconds, options.goraft, dir));
    for (const each of pair % 2 === 0 ? [ours, theirs] : [theirs, ours]) await each();
    const [a, b] = [raftmark[pair].perS, goraft[pair].perS];
    const text = `${inFlight} in flight, pair ${pair + 1}/${pairs}: raftmark ${grouped(a)}/s, goraft ${grouped(b)}/s`;
    process.stdout.write(`${text}, ratio ${(a / b).toFixed(2)}\n`);
  }
  return { inFlight, raftmark, goraft };
}

async function runRaftmark(
  inFlight: number,
  entryBytes: number,
  seconds: number,
  dir: string,
): Promise<Figures> {
  const args = ["bench", "--json", "--dir", dir, "--out", join(dir, "result.json"), "--writer", "pool-wasm"];
  args.push("--in-flight", String(inFlight), "--entry-bytes", String(entryBytes));
  args.push("--duration", `${seconds}s`, "--warmup", "1s", "--rounds", "1");
  const { stdout } = await run(process.execPath, [RAFTMARK, ...args], { maxBuffer: OUTPUT_BYTES_MAX });
  const [measured] = Result.parse(JSON.parse(stdout)).runs;
  const { p50, p99 } = measured.latencyMs;
  return { perS: Math.round(measured.proposalsPerS), p50Us: p50 * 1000, p99Us: p99 * 1000 };
}

async function runGoraft(
  inFlight: number,
  entryBytes: number,
  seconds: number,
  file: string,
  dir: string,
): Promise<Figures> {
  const load = ["-bytes", String(entryBytes), "-inflight", String(inFlight), "-duration", `${seconds}s`];
  const { stdout } = await run(resolve(file), [
    "-mode",
    "tcp",
    "-batch",
    "0",
    ...load,
    "-dir",
    join(dir, "goraft"),
  ]);
  return peerFigures(stdout);
}

/** A line of a peer's output: { perSecond, p50us, p99us }. */
function peerFigures(line: string): Figures {
  const { perSecond, p50us, p99us } = JSON.parse(line) as Record<string, number>;
  return { perS: perSecond, p50Us: p50us, p99Us: p99us };
}

async function runEtcd(
  { etcdRun, etcdload }: Options,
  clients: readonly number[],
  entryBytes: number,
  seconds: number,
  dir: string,
): Promise<Peers["etcd"]> {
  if (etcdRun === undefined || etcdload === undefined) return [];
  const env = {
    ...process.env,
    ...{ SIZES: String(entryBytes), CLIENTS: clients.join(" "), DIR: dir, DURATION: `${seconds}s` },
    ETCDLOAD: resolve(etcdload),
  };
  const { stdout } = await run(resolve(etcdRun), [], { env, maxBuffer: OUTPUT_BYTES_MAX });
  const lines = stdout.split("\n").filter((line) => line.startsWith("{"));
  const etcd = lines.map((line) => ({
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

function positive(flag: string, word: string): number {
  const value = Number(word);
  if (Number.isInteger(value) && value > 0) return value;
  process.stderr.write(`bench:peers: --${flag}: "${word}" is not a whole number above 0\n`);
  process.exit(EXIT_CODES.usage);
}
