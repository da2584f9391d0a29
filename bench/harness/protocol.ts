// The control protocol between the harness and a node process, over Node's IPC channel (structured clones). Every
// message is checked on arrival, on both sides. A command is answered by exactly one reply; events come unasked.
import { z } from "zod";

const count = z.number().int().nonnegative();
const amount = z.number().nonnegative();

/** What a node process needs to open its node; the state machine is the process's own. */
export const NodeConfig = z.strictObject({
  id: z.number().int().min(1),
  dir: z.string().min(1),
  listen: z.string().min(1),
  peers: z.record(z.string(), z.string()),
  secret: z.string().min(1),
  clusterId: z.number().int().min(1),
  tickMs: z.number().int().min(1),
  electionTicks: z.number().int().min(1),
  heartbeatTicks: z.number().int().min(1),
  writer: z.enum(["inline-js", "inline-wasm", "pool-wasm"]),
  /** Undefined: the engine's default. */
  durability: z.enum(["o_direct", "o_dsync", "fdatasync", "none"]).optional(),
  storageWrites: z.enum(["async", "sync"]),
  readOnly: z.enum(["safe", "lease"]),
  busyPollUs: count,
  batchBytesMax: z.number().int().min(1).optional(),
  proposalBatchBytes: z.number().int().min(1).optional(),
  maxSizePerMsg: z.number().int().min(1).optional(),
  maxInflightMsgs: z.number().int().min(1),
  /** In memory: among the nodes of this process. */
  linkKind: z.enum(["sockets", "memory"]),
  /** Undefined: the engine's choice. */
  acceptor: z.enum(["uws", "ws"]).optional(),
  frameTags: z.boolean(),
  /** As the option. */
  initialClusterState: z.enum(["new", "existing"]).optional(),
  /** Index of the snapshot that a new log begins behind; 0: none. */
  startIndex: count,
  /** Added to each write of the log. */
  writeDelayMs: amount,
  /** Size of the state that snapshots are taken of, on command alone; 0: it takes none. */
  stateMb: count,
  maxQueuedProposals: z.number().int().min(1),
  /** One proposal in so many is followed through the node; 0: none. */
  traceEvery: count,
  seed: z.number().int().min(0),
});
export type NodeConfig = z.output<typeof NodeConfig>;

const Doubles = z.custom<Float64Array>((value) => value instanceof Float64Array);
const Bytes = z.custom<Uint8Array>((value) => value instanceof Uint8Array);

/** Client and run id share one safe integer in the truth check. */
const CLIENT_MAX = 2 ** 20 - 1;

const LoadPlan = z.strictObject({
  runId: count,
  client: count.max(CLIENT_MAX),
  inFlight: z.number().int().min(1),
  /** Closed loop: proposals in one call; `inFlight` is a multiple of it. 1: propose(). */
  perCall: z.number().int().min(1),
  entryBytes: z.number().int().min(16),
  /** At most; see LoadRun.warmUp. */
  warmupMs: amount,
  /** Closed loop: many are in flight in the first half of the warm-up, whatever `inFlight` says; see LoadRun.prime. */
  primes: z.boolean(),
  durationMs: amount,
  /** Proposals due a second; 0: closed loop. */
  ratePerS: amount,
  arrivals: z.enum(["constant", "poisson"]),
  /** Linearizable reads after each proposal (closed loop) or due with it (open loop). */
  readsPerWrite: count,
  /** Ends the load when so many proposals are applied; 0: time ends it. */
  ackedMax: count,
  /** Draws the arrivals. */
  seed: count,
});
export type LoadPlan = z.output<typeof LoadPlan>;

/** Of the members, as RaftNode takes it. */
const Change = z.strictObject({
  add: z.array(z.strictObject({ id: count, address: z.string(), learner: z.boolean() })).optional(),
  promote: z.array(count).optional(),
  remove: z.array(count).optional(),
});
export type MemberChange = z.output<typeof Change>;

const command = <K extends string, P extends z.ZodRawShape>(op: K, params: P) =>
  z.strictObject({ call: count, node: count, op: z.literal(op), ...params });

/** A command: `call` pairs it with its reply; `node` says which of the process's nodes it is for. */
export const Command = z.discriminatedUnion("op", [
  command("open", { config: NodeConfig }),
  command("connect", { urls: z.array(z.string()).min(1) }),
  command("openNull", {}),
  command("weighHash", { entryBytes: count, ms: amount }),
  command("serve", { token: z.string().min(1) }),
  command("status", {}),
  command("sample", {}),
  command("campaign", {}),
  command("follow", { every: count }),
  command("transfer", { to: z.number().int().min(1) }),
  command("propose", { bytes: Bytes }),
  command("takeSnapshot", {}),
  command("changeMembership", { change: Change }),
  command("load", { plan: LoadPlan, ackedPath: z.string().min(1) }),
  command("haltLoad", {}),
  command("traceSamples", { fromUs: amount, toUs: amount }),
  command("traceAppends", { indices: Doubles }),
  command("state", {}),
  command("close", {}),
]);
export type Command = z.output<typeof Command>;
export type Op = Command["op"];

const Status = z.object({
  id: count,
  term: count,
  commit: count,
  applied: count,
  lastIndex: count,
  state: z.enum(["StateFollower", "StateCandidate", "StateLeader", "StatePreCandidate", "StateRemoved"]),
  leader: count,
  fault: z.string().nullable(),
  // Engines of revisions before they watched it have none.
  disk: z.object({ stalls: count }).optional(),
});

const Metrics = z.object({
  proposals: amount,
  proposalsForwarded: amount,
  applied: amount,
  turns: amount,
  readies: amount,
  messagesSent: amount,
  messagesReceived: amount,
  framesSent: amount,
  bytesSent: amount,
  bytesReceived: amount,
  framesDropped: amount,
  framesRefused: amount,
  preVotesStarted: amount,
  electionsStarted: amount,
  electionsWon: amount,
  electionsLost: amount,
  leaderChanges: amount,
  snapshotsRefused: amount,
  snapshotsTaken: amount,
  snapshotsFailed: amount,
  snapshotBytes: amount,
  snapshotsSent: amount,
  snapshotBytesSent: amount,
  snapshotsReceived: amount,
  snapshotBytesReceived: amount,
  walSyncs: amount,
  walWrites: amount,
  walBytes: amount,
  walEntries: amount,
  link: z.string(),
  /** Counters that the engine of a revision before them does not keep. */
  missing: z.array(z.string()),
});

/** What a process has used so far (usage.ts); two make a difference over a window. */
const Sample = z.object({
  atMs: amount,
  /** The same moment on the clock of traces. */
  clockUs: amount,
  cpuUserMs: amount,
  cpuSystemMs: amount,
  /** CPU time that all programs on the machine, and its host's others, have used; less the nodes' own, it is others'. */
  machineBusyMs: amount,
  machineStolenMs: amount,
  /** Empty where the kernel does not tell. */
  threads: z.array(z.object({ tid: count, main: z.boolean(), cpuMs: amount })),
  loopActiveMs: amount,
  /** Event-loop delay since the sample before. */
  loopDelayP50Ms: amount,
  loopDelayP99Ms: amount,
  loopDelayMaxMs: amount,
  rssBytes: amount,
  /** JavaScript heap that the main thread has allocated since the process began to take samples. */
  allocatedBytes: z.number(),
  metrics: Metrics,
});

const State = z.object({ applied: count, count: count, hash: z.string().regex(/^[0-9a-f]{16}$/) });

const LoadResult = z.object({
  done: count,
  due: count.nullable(),
  windowMs: amount,
  latencies: z.object({ counts: Doubles, total: count, max: amount, sum: amount }),
  reads: z.object({ counts: Doubles, total: count, max: amount, sum: amount }),
  readsDone: count,
  series: z.array(count),
  seriesDue: z.array(count),
  seriesP99Ms: z.array(amount.nullable()),
  warmup: z.object({ ms: amount, stable: z.boolean() }),
  generator: z.object({ lagP50Us: amount, lagP99Us: amount, lagMaxUs: amount }),
  acked: count,
  failed: z.record(z.string(), count),
  firstFailure: z.string().nullable(),
  unanswered: count,
  failover: z.object({ askedAgain: count, silentMs: amount }).nullable(),
  before: Sample.nullable(),
  after: Sample.nullable(),
});
export type LoadResult = z.output<typeof LoadResult>;

/** What each command is answered with. */
export const ReplyValue = {
  open: z.object({
    link: z.string(),
    node: z.string(),
    options: z.record(z.string(), z.unknown()),
    openMs: amount,
  }),
  connect: z.null(),
  openNull: z.null(),
  weighHash: z.object({ us: amount }),
  serve: z.object({ port: z.number().int().min(1) }),
  status: Status,
  sample: Sample,
  campaign: z.null(),
  follow: z.null(),
  transfer: z.null(),
  propose: z.object({ index: count, term: count }),
  takeSnapshot: z.object({ index: count }),
  changeMembership: z.object({ index: count }),
  load: LoadResult,
  haltLoad: z.null(),
  traceSamples: z.object({ samples: Doubles, sentUs: Doubles }),
  traceAppends: Doubles,
  state: State,
  close: State,
} satisfies Record<Op, z.ZodType>;
export type ReplyOf<K extends Op> = z.output<(typeof ReplyValue)[K]>;

const Failure = z.object({ code: z.string(), message: z.string(), mayCommit: z.boolean() });

/** What a node process sends: replies, and what happens meanwhile. */
export const FromNode = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("ready") }),
  z.strictObject({ kind: z.literal("alive") }),
  z.strictObject({ kind: z.literal("reply"), call: count, value: z.unknown() }),
  z.strictObject({ kind: z.literal("refusal"), call: count, error: Failure }),
  z.strictObject({ kind: z.literal("fault"), error: Failure }),
  z.strictObject({ kind: z.literal("window"), open: z.boolean() }),
  z.strictObject({ kind: z.literal("progress"), acked: count }),
]);
export type FromNode = z.output<typeof FromNode>;
