// Options of a node: defaults, and what is refused and why. One place, so that every entry into the package
// (the API, the bench, the service) says the same.
import { z } from "zod";
import { RaftmarkError } from "../base/errors.js";
import type { Link } from "../link/index.js";
import { BUSY_POLL_US_MAX } from "../wal/writer.js";
import type { Logger, RaftNodeOptions, StateMachine } from "./api.js";
import { Trace } from "./trace.js";

const MiB = 1024 * 1024;

const id = z.number().int().min(1).max(Number.MAX_SAFE_INTEGER);
const count = z
  .number()
  .int()
  .min(1)
  .max(2 ** 31 - 1);
const bytes = z
  .number()
  .int()
  .min(1)
  .max(2 ** 32);
const address = z.string().regex(/^(\[[0-9a-fA-F:]+\]|[^:\s]+):\d{1,5}$/, "expected host:port");

const schema = z.strictObject({
  id,
  dir: z.string().min(1),
  listen: address,
  peers: z.record(z.string(), address),
  secret: z.string().min(1, "a cluster needs a shared key; any long random string will do"),
  stateMachine: z.custom<StateMachine>(
    (value) => typeof (value as StateMachine | undefined)?.apply === "function",
    "expected an object with an apply(entries) method",
  ),
  clusterId: id.default(1),
  tickMs: z.number().int().min(1).max(60_000).default(100),
  electionTicks: count.default(10),
  heartbeatTicks: count.default(1),
  diskTimeoutMs: count.optional(),
  writer: z.enum(["inline-js", "inline-wasm", "pool-wasm"]).default("pool-wasm"),
  durability: z.enum(["o_dsync", "fdatasync", "none"]).default("o_dsync"),
  segmentBytes: bytes.default(64_000_000),
  logCacheBytes: bytes.default(4 * MiB),
  busyPollUs: z.number().int().min(0).max(BUSY_POLL_US_MAX).default(0),
  batchBytesMax: bytes.default(MiB),
  proposalBatchBytes: bytes.default(48 * 1024),
  maxSizePerMsg: bytes.default(MiB),
  storageWrites: z.enum(["async", "sync"]).default("async"),
  readOnly: z.enum(["safe", "lease"]).default("safe"),
  maxInflightMsgs: count.default(256),
  maxInflightBytes: bytes.default(256 * MiB),
  maxProposalBytes: bytes.max(32 * MiB).default(8 * MiB),
  maxQueuedProposals: count.default(65_536),
  maxQueuedBytes: bytes.default(256 * MiB),
  seed: z.number().int().min(0).max(0xffffffff).optional(),
  logger: z.custom<Logger>((value) => typeof (value as Logger | undefined)?.info === "function").optional(),
  link: z.custom<Link>((value) => typeof (value as Link | undefined)?.send === "function").optional(),
  walFs: z.strictObject({ module: z.string(), arg: z.unknown() }).optional(),
  trace: z.instanceof(Trace).optional(),
});

/** Options with every default filled in, and the voters in ascending order. */
export type ResolvedOptions = z.output<typeof schema> & {
  readonly voters: readonly number[];
  readonly diskTimeoutMs: number;
};

/** Checks `options` and fills in the defaults. Throws RAFT_BAD_OPTION naming the option, its value and the rule. */
export function resolveOptions(options: RaftNodeOptions): ResolvedOptions {
  const parsed = schema.safeParse(options);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const path = issue.path.length > 0 ? `option ${issue.path.join(".")}: ` : "options: ";
    throw new RaftmarkError("RAFT_BAD_OPTION", `${path}${issue.message}`);
  }
  const resolved = parsed.data;
  const voters = Object.keys(resolved.peers).map(Number);
  for (const voter of voters) {
    if (!Number.isSafeInteger(voter) || voter < 1) {
      throw new RaftmarkError("RAFT_BAD_OPTION", `option peers: "${voter}" is no node id (1 to 2^53-1)`);
    }
  }
  if (!voters.includes(resolved.id)) {
    throw new RaftmarkError(
      "RAFT_BAD_OPTION",
      `option peers: node ${resolved.id} itself is not in it; add its address`,
    );
  }
  if (resolved.electionTicks <= resolved.heartbeatTicks) {
    const text = `option electionTicks: ${resolved.electionTicks} must exceed heartbeatTicks (${resolved.heartbeatTicks})`;
    throw new RaftmarkError("RAFT_BAD_OPTION", text);
  }
  const diskTimeoutMs = resolved.diskTimeoutMs ?? resolved.electionTicks * resolved.tickMs;
  return { ...resolved, diskTimeoutMs, voters: voters.sort((a, b) => a - b) };
}
