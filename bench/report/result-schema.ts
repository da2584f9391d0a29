// The file a bench leaves behind. `results/schema.json` is this as JSON Schema (results/ has the rules); a change
// that breaks readers raises SCHEMA_VERSION.
import { z } from "zod";
import { TruthReport } from "../harness/truth.js";

export const SCHEMA_VERSION = 1;

const Settings = z.object({
  nodes: z.number(),
  entryBytes: z.number(),
  inFlight: z.number(),
  writer: z.enum(["inline-js", "inline-wasm", "pool-wasm"]),
  durability: z.enum(["o_dsync", "fdatasync", "none"]),
  batchBytes: z.number().describe("cap on the bytes of one group commit; 0: the engine's default"),
});

const Counters = z.object({
  proposals: z.number(),
  applied: z.number(),
  turns: z.number(),
  readies: z.number(),
  messagesSent: z.number(),
  messagesReceived: z.number(),
  framesSent: z.number(),
  bytesSent: z.number(),
  bytesReceived: z.number(),
  framesDropped: z.number(),
  walSyncs: z.number(),
  walWrites: z.number(),
  walBytes: z.number(),
  walEntries: z.number(),
});

/** What one node used within the measured window. */
const NodeUse = z.object({
  id: z.number(),
  leader: z.boolean(),
  windowMs: z.number(),
  cpuUserMs: z.number(),
  cpuSystemMs: z.number(),
  mainThreadMs: z.number().nullable().describe("CPU of the main thread; null where the kernel does not tell"),
  otherThreadsMs: z.array(z.number()).describe("CPU of each other thread that used any, busiest first"),
  loopActiveShare: z.number().describe("share of the window in which the event loop was not idle"),
  loopDelayMs: z.object({ p50: z.number(), p99: z.number(), max: z.number() }),
  rssBytes: z.number(),
  counters: Counters,
});
export type NodeUse = z.output<typeof NodeUse>;

const Latency = z.object({
  mean: z.number(),
  p50: z.number(),
  p90: z.number(),
  p99: z.number(),
  p99_9: z.number(),
  p99_99: z.number(),
  max: z.number(),
});

export const Run = z.object({
  position: z.number().describe("row of the table, from 0"),
  sequence: z.number().describe("place in the order in which the variants ran, from 0"),
  settings: Settings,
  nodeOptions: z.record(z.string(), z.unknown()).describe("what each node was opened with"),
  leader: z.number(),
  link: z.string(),
  windowMs: z.number(),
  done: z.number().describe("proposals applied on the leader within the window"),
  acknowledged: z.number().describe("proposals applied in the whole run, warm-up included"),
  failed: z.record(z.string(), z.number()).describe("refused proposals by error code"),
  proposalsPerS: z.number(),
  payloadBytesPerS: z.number(),
  latencyMs: Latency,
  histogram: z.object({
    unitUs: z.number(),
    encoding: z.literal("HdrHistogram V2, compressed, base64"),
    data: z.string(),
  }),
  series: z.object({ stepMs: z.number(), applied: z.array(z.number()) }),
  fsyncs: z.number().describe("durable writes of the leader's log within the window"),
  entriesPerFsync: z.number().nullable(),
  nodes: z.array(NodeUse),
  otherCpuShare: z
    .number()
    .describe("share of all cores that programs besides the nodes took within the window"),
  truth: TruthReport.nullable().describe("null: the run was void before its logs could be checked"),
  stateHash: z.string(),
  void: z.array(z.string()).describe("why the figures must not be used; empty: they may"),
});
export type Run = z.output<typeof Run>;

export const Result = z.object({
  schemaVersion: z.literal(SCHEMA_VERSION),
  tool: z.literal("raftmark bench"),
  command: z.string(),
  startedAt: z.string(),
  elapsedMs: z.number(),
  scenario: z.object({ name: z.string(), question: z.string(), compares: z.string() }),
  options: z.object({
    quick: z.boolean(),
    axes: z.record(z.string(), z.array(z.union([z.string(), z.number()]))),
    warmupMs: z.number(),
    durationMs: z.number(),
    order: z.enum(["table", "random"]),
    seed: z.number(),
    basePort: z.number(),
    dir: z.string(),
    keep: z.boolean(),
  }),
  environment: z.object({
    cpu: z.string(),
    cores: z.number(),
    memoryBytes: z.number(),
    loadAverage1m: z.number(),
    kernel: z.string(),
    node: z.string(),
    v8: z.string(),
    raftmark: z.string(),
    commit: z.string().nullable(),
    dirty: z.boolean().nullable(),
    fileSystem: z.object({ type: z.string(), mount: z.string(), device: z.string(), options: z.string() }),
    volatileStorage: z.boolean().describe("the logs lay in memory: durability was not measured"),
    link: z.string(),
  }),
  diskProbe: z.object({ writes: z.number(), bytes: z.number(), p50Us: z.number(), p99Us: z.number() }),
  runs: z.array(Run),
  verdict: z.string(),
});
export type Result = z.output<typeof Result>;

/** JSON Schema of a result file, as published in results/schema.json. */
export function resultJsonSchema(): object {
  return z.toJSONSchema(Result, { io: "output" });
}
