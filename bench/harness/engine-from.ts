// Which engine a node process runs: this package's, or that of another built tree under the same harness, so that two
// revisions are loaded, counted and checked by one program. And what tests plant in it: a known slowness, a wrong
// state. All of it comes by environment variables that only the bench's node program reads.
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { Entry, RaftNodeOptions, StateMachine } from "../../src/index.js";
import { PayloadCopies } from "../../src/node/payload-copies.js";
import type { Engine, EngineMetrics, EngineSource } from "./engine.js";
import { NO_METRICS } from "./null-engine.js";

/** Root of a built tree; absent: this one. */
export const ENGINE_TREE = "RAFTMARK_BENCH_ENGINE";
/** Rounds of integer arithmetic burnt for each applied entry, on every node. For the self-test alone. */
export const TEST_SLOWDOWN = "RAFTMARK_TEST_SLOWDOWN";
/** Id of a node whose state machine gets one entry wrong. For the self-test alone. */
export const TEST_WRONG_STATE = "RAFTMARK_TEST_WRONG_STATE";

/** What engines did before they had an option for it, if that is not its default now. */
const BEFORE: Readonly<Record<string, unknown>> = { forwardProposals: false };

const OWN_TREE = fileURLToPath(new URL("../../../", import.meta.url));

/** Loads what the environment asks for. */
export async function engineFrom(env: NodeJS.ProcessEnv): Promise<EngineSource> {
  const tree = env[ENGINE_TREE];
  const own = await load(OWN_TREE);
  const source =
    tree === undefined || tree === "" ? own : adapted(await load(resolve(tree)), own, resolve(tree));
  const spins = Number(env[TEST_SLOWDOWN] ?? 0);
  const wrongId = Number(env[TEST_WRONG_STATE] ?? 0);
  if (spins === 0 && wrongId === 0) return source;
  return { ...source, open: (options) => source.open(sabotaged(options, spins, wrongId)) };
}

async function load(tree: string): Promise<EngineSource> {
  const at = (file: string) => join(tree, "dist", "src", file);
  const missing = ["index.js", "node/options.js", "node/trace.js"].map(at).find((file) => !existsSync(file));
  if (missing !== undefined) throw new Error(`${tree} holds no built engine: ${missing} is missing`);
  const main = await import(pathToFileURL(at("index.js")).href);
  const options = await import(pathToFileURL(at("node/options.js")).href);
  const { Trace } = await import(pathToFileURL(at("node/trace.js")).href);
  return {
    open: (given) => main.RaftNode.open(given),
    effective: options.resolveOptions,
    newTrace: (every) => new Trace(every),
  };
}

/**
 * Another revision's engine as this harness expects one. An option that the revision does not have is left out where
 * it has the value that stands for not giving it; otherwise the revision refuses it, in its own words. Counters that it
 * does not keep read 0, and are named. One that keeps what it is given to propose gets bytes of its own.
 */
function adapted(foreign: EngineSource, own: EngineSource, tree: string): EngineSource {
  const copies = existsSync(join(tree, "dist", "src", "node", "payload-copies.js"));
  const known = (options: RaftNodeOptions): RaftNodeOptions => {
    const theirs = Object.keys(foreign.effective(essential(options)));
    const defaults: Record<string, unknown> = { ...own.effective(essential(options)), ...BEFORE };
    const kept = Object.entries(options).filter(
      ([name, value]) => theirs.includes(name) || !Object.hasOwn(defaults, name) || value !== defaults[name],
    );
    return Object.fromEntries(kept) as unknown as RaftNodeOptions;
  };
  return {
    open: async (options) => {
      const engine = withAllCounters(await foreign.open(known(options)));
      return copies ? engine : withOwnBytes(engine);
    },
    effective: (options) => foreign.effective(known(options)),
    newTrace: foreign.newTrace,
  };
}

/** What has no default. */
function essential({ id, dir, listen, peers, secret, stateMachine }: RaftNodeOptions): RaftNodeOptions {
  return { id, dir, listen, peers, secret, stateMachine };
}

/** An own property before the getter of the class, so that all else stays the engine itself. */
function withAllCounters(engine: Engine): Engine {
  const prototype = Object.getPrototypeOf(engine) as object;
  const read = (): EngineMetrics => {
    const own = Object.entries(Reflect.get(prototype, "metrics", engine) as Record<string, unknown>);
    const kept = Object.fromEntries(
      own.filter(([, value]) => value !== undefined && !Number.isNaN(value as number)),
    );
    const missing = Object.keys(NO_METRICS).filter((name) => !Object.hasOwn(kept, name));
    return { ...NO_METRICS, ...kept, missing };
  };
  return Object.defineProperty(engine, "metrics", { get: read });
}

/** Its callers' memory is theirs again when propose() returns, as it is with ours. */
function withOwnBytes(engine: Engine): Engine {
  const copies = new PayloadCopies();
  const propose = engine.propose.bind(engine);
  engine.propose = (bytes) => {
    copies.copy(bytes);
    const { slab, start, size } = copies.last;
    return propose(new Uint8Array(slab.bytes.buffer, start, size));
  };
  return engine;
}

/** `options` with what a test plants in the state machine. */
function sabotaged(options: RaftNodeOptions, spins: number, wrongId: number): RaftNodeOptions {
  const { stateMachine } = options;
  const wrong = options.id === wrongId;
  let seen = 0;
  const apply: StateMachine["apply"] = (entries) => {
    for (let i = 0; i < entries.length; i++) burn(spins);
    seen += entries.length;
    const given = wrong && seen >= WRONG_ENTRY && seen - entries.length < WRONG_ENTRY;
    return stateMachine.apply(given ? entries.map(flipped) : entries);
  };
  return { ...options, stateMachine: { apply } };
}

/** Late enough that a comparison of first entries alone would miss it. */
const WRONG_ENTRY = 50;

function flipped(entry: Entry): Entry {
  const data = Uint8Array.from(entry.data);
  data[data.length - 1] ^= 1;
  const { type, term, index } = entry;
  return { type, term, index, data, bytes: data, start: 0, size: data.length, at: -1 };
}

let burnt = 1;

/** Work and no waiting: what it takes away is CPU, however busy the machine is. */
function burn(spins: number): void {
  let value = burnt;
  for (let i = 0; i < spins; i++) value = Math.imul(value ^ (value >>> 15), 0x2c1b3c6d) + i;
  burnt = value | 1;
}
