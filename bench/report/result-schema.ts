// The file a bench leaves behind. `results/schema.json` is this as JSON Schema (results/ has the rules); a change
// that breaks readers raises SCHEMA_VERSION.
import { z } from "zod";
import { TruthReport } from "../harness/truth.js";

export const SCHEMA_VERSION = 3;

const Settings = z.object({
  nodes: z.number(),
  entryBytes: z.number(),
  inFlight: z.number(),
  perCall: z
    .number()
    .default(1)
    .describe("proposals in one call: 1, also where it is missing, is propose(), more is proposeMany()"),
  writer: z.enum(["inline-js", "inline-wasm", "pool-wasm"]),
  durability: z.enum(["fsync", "o_direct", "o_dsync", "fdatasync", "none"]),
  busyPollUs: z
    .number()
    .default(0)
    .describe("for so long the log's threads look for news before they sleep; 0 where it is missing"),
  batchBytes: z.number().describe("cap on the bytes of one group commit; 0: the engine's default"),
  batching: z
    .enum(["on", "off"])
    .describe("off: one proposal a turn, one entry a message and a group commit"),
  maxInflightMsgs: z.number(),
  storageWrites: z.enum(["async", "sync"]),
  link: z
    .enum(["sockets", "uws", "ws", "memory"])
    .describe(
      "sockets: accepted as the engine chooses (uws in results without `node`); memory: all nodes in one process, each with its own log",
    ),
  frameTags: z
    .enum(["on", "off"])
    .default("off")
    .describe("off, also where it is missing: frames between the processes carried a CRC only"),
  rate: z.number().describe("proposals due a second; 0: closed loop"),
  arrivals: z.enum(["constant", "poisson"]),
  from: z.enum(["leader", "client"]),
  reads: z.enum(["safe", "lease"]),
  readsPerWrite: z.number(),
  followerDelayMs: z.number().describe("added to each write of one follower's log"),
  event: z.enum([
    "none",
    "pause-follower",
    "kill-leader",
    "restart",
    "catch-up",
    "replace-member",
    "snapshots",
  ]),
  logMb: z.number(),
  stateMb: z
    .number()
    .default(0)
    .describe("size of the state that snapshots were taken of; 0, also where it is missing: none were"),
  startIndex: z
    .number()
    .default(0)
    .describe("index of a snapshot that the logs begin behind; 0, also where it is missing: none"),
  tickMs: z.number(),
  node: z
    .string()
    .default("own")
    .describe(
      "Node.js of the run's processes: own, also where it is missing, the bench's; a version, or a path",
    ),
  nodeFlags: z.string().default("none").describe("its flags"),
  trace: z.enum(["on", "off"]).describe("on: sampled proposals were followed for the waterfall"),
});

/** One that is missing is one that the node's engine, of an earlier revision, does not keep. */
const Counters = z.object({
  proposals: z.number().optional(),
  applied: z.number().optional(),
  turns: z.number().optional(),
  readies: z.number().optional(),
  messagesSent: z.number().optional(),
  messagesReceived: z.number().optional(),
  framesSent: z.number().optional(),
  bytesSent: z.number().optional(),
  bytesReceived: z.number().optional(),
  framesDropped: z.number().optional(),
  walSyncs: z.number().optional(),
  walWrites: z.number().optional(),
  walBytes: z.number().optional(),
  walEntries: z.number().optional(),
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

const Percentiles = z.object({ mean: z.number(), p50: z.number(), p90: z.number(), p99: z.number() });

/** Where a sampled commit spent its time; the stages' means add up to `totalUs.mean`. */
const Waterfall = z.object({
  sampled: z.number().describe("proposals that were followed from propose() to resolved"),
  followerLast: z
    .number()
    .describe("share of them whose quorum a follower's copy completed, not the leader's own"),
  totalUs: Percentiles,
  stages: z
    .array(z.object({ name: z.string(), us: Percentiles }))
    .describe("on the critical path, in order; what each is stands in the result's `stages`"),
  beside: z
    .array(z.object({ name: z.string(), us: Percentiles }))
    .describe("measured beside the path and not part of the sum, like a follower's disk"),
});
export type Waterfall = z.output<typeof Waterfall>;

/**
 * What one applied proposal cost the cluster, over the window. Counted, not timed: little noise. Null: an engine does not
 * keep that, or a node that ended in the window took its counts with it.
 */
const PerCommit = z.object({
  messages: z.number().nullable(),
  frames: z.number().nullable(),
  sentBytes: z.number().nullable(),
  fsyncs: z.number().nullable().describe("durable writes of all logs"),
  fsyncsWaited: z
    .number()
    .nullable()
    .describe("durable writes of the leader's log that a proposal waited for"),
  walBytes: z.number().nullable().describe("bytes written to all logs"),
  allocatedBytes: z.number().nullable().describe("JavaScript heap that the leader's main thread allocated"),
  turns: z.number().nullable().describe("turns of the leader's driver"),
});
export type PerCommit = z.output<typeof PerCommit>;

/** How proposals came. Latency in an open loop counts from when a proposal was due. */
const LoadShape = z.object({
  kind: z.enum(["closed", "open"]),
  ratePerS: z.number().nullable().describe("open loop: proposals due a second"),
  arrivals: z.enum(["constant", "poisson"]).nullable(),
  due: z.number().nullable().describe("open loop: proposals that came due within the window"),
  from: z.enum(["leader", "client"]).describe("the leader's own process, or another over a link"),
});

export const Run = z.object({
  position: z.number().describe("row of the table, from 0"),
  round: z.number().describe("every configuration runs once a round, from 0; compare within rounds"),
  sequence: z.number().describe("place in the order in which the variants ran, from 0"),
  settings: Settings,
  nodeOptions: z.record(z.string(), z.unknown()).describe("what each node was opened with"),
  leader: z.number(),
  link: z.string(),
  node: z
    .string()
    .default("")
    .describe("version of Node.js that its processes reported; empty where it is missing: the environment's"),
  load: LoadShape,
  warmup: z
    .object({ ms: z.number(), stable: z.boolean() })
    .describe("stable: the rates of the last three windows of it lay within 10 % of their mean"),
  generator: z
    .object({ lagP50Us: z.number(), lagP99Us: z.number(), lagMaxUs: z.number() })
    .describe("how late the load generator itself was"),
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
  series: z.object({
    stepMs: z.number().min(10).max(10_000).describe("other runs' steps are drawn beside it, by the shortest"),
    applied: z.array(z.number()),
    due: z.array(z.number()).optional().describe("open loop: what came due in each step"),
    p99Ms: z.array(z.number().nullable()).optional().describe("of each step; null where nothing was applied"),
  }),
  marks: z
    .array(z.object({ atMs: z.number(), what: z.string() }))
    .optional()
    .describe("what befell the cluster, from the window's begin on; missing where nothing did"),
  fsyncs: z.number().describe("durable writes of the leader's log within the window"),
  entriesPerFsync: z.number().nullable(),
  nodes: z.array(NodeUse),
  perCommit: PerCommit,
  waterfall: Waterfall.nullable().describe("null: sampling was off"),
  measures: z
    .record(
      z.string(),
      z.object({
        value: z.number(),
        unit: z.string(),
        better: z.enum(["lower", "higher"]),
        meaning: z.string(),
      }),
    )
    .describe("what only this scenario measures, like the time to the first commit after a leader was lost"),
  otherCpuShare: z
    .number()
    .describe(
      "share of all cores that programs besides the nodes and the load took within the window; 0: or not known",
    ),
  stolenCpuShare: z
    .number()
    .default(0)
    .describe(
      "of otherCpuShare, what the host of a virtual machine took (steal); 0, also where it is missing: or none",
    ),
  diskProbeUs: z
    .object({ before: z.number(), after: z.number() })
    .nullable()
    .default(null)
    .describe("a durable 4 KiB write just before and after the run, median; null: not probed"),
  disturbed: z
    .array(z.string())
    .default([])
    .describe("what else went on meanwhile, in words: no comparison counts this run; empty: nothing"),
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
    rounds: z.number(),
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
    fileSystem: z.object({
      type: z.string(),
      mount: z.string(),
      device: z.string(),
      options: z.string(),
      readAheadKb: z.number().nullable().default(null).describe("of its block device; null: not known"),
      scheduler: z.string().nullable().default(null).describe("of its block device; null: not known"),
    }),
    volatileStorage: z.boolean().describe("the logs lay in memory: durability was not measured"),
    link: z.string(),
  }),
  diskProbe: z.object({
    writes: z.number(),
    bytes: z.number(),
    p50Us: z.number(),
    p99Us: z.number(),
    direct: z.boolean().default(false).describe("the file system takes direct writes (o_direct)"),
  }),
  nullRun: z
    .object({
      proposalsPerS: z.number(),
      p50Us: z.number(),
      p99Us: z.number(),
      generatorUs: z
        .number()
        .nullable()
        .default(null)
        .describe(
          "CPU a proposal that load generator and journal take; null, also where it is missing: not weighed",
        ),
      hashUs: z
        .number()
        .nullable()
        .default(null)
        .describe("CPU an entry that the state hash takes, on each node"),
    })
    .nullable()
    .describe("the same load on an engine that does nothing: the harness's own cost"),
  interrupted: z
    .boolean()
    .describe("ended by Ctrl-C or by a fault: the runs that were done are here, the rest are not"),
  disturbance: z
    .object({
      repeated: z.number().describe("disturbed runs that were done again, and are not in `runs`"),
      leftOut: z.number().describe("runs in `runs` that are disturbed all the same"),
    })
    .default({ repeated: 0, leftOut: 0 }),
  stages: z.record(z.string(), z.string()).describe("what the stages of the runs' waterfalls are, by name"),
  runs: z.array(Run),
  verdict: z.string(),
});
export type Result = z.output<typeof Result>;

/** JSON Schema of a result file, as published in results/schema.json. */
export function resultJsonSchema(): object {
  return z.toJSONSchema(Result, { io: "input" });
}
