// Options of a node: defaults, and what is refused and why. One place, so that every entry into the package
// (the API, the bench, the service) says the same.
import { z } from "zod";
import type { Link } from "../link/index.js";
import { BUSY_POLL_US_MAX } from "../wal/write/writer.js";
import { checkAddresses } from "./addresses.js";
import type { Logger, RaftNodeOptions, StateMachine } from "./api.js";
import { badOption, optionError, shown } from "./option-errors.js";
import { LINK_BUFFER_BYTES_MAX, resolveSizes, type Sizes } from "./sizes.js";
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

/** An object of the caller's with these methods. Not those that every function and class has: their `apply` is another. */
function objectWith<T>(...methods: (keyof T & string)[]): z.ZodCustom<T, T> {
  const ofFunctions = Function.prototype as unknown as Record<string, unknown>;
  const isMethod = (value: unknown, name: string): boolean => {
    const method = (value as Record<string, unknown> | null | undefined)?.[name];
    return typeof method === "function" && method !== ofFunctions[name];
  };
  return z.custom<T>(
    (value) => methods.every((method) => isMethod(value, method)),
    `an object with the method${methods.length > 1 ? "s" : ""} ${methods.join(", ")}`,
  );
}

const schema = z.strictObject({
  id,
  dir: z.string().min(1),
  listen: z.string(),
  peers: z.record(z.string(), z.string()),
  secret: z.string().min(1),
  stateMachine: objectWith<StateMachine>("apply"),
  clusterId: id.default(1),
  tickMs: z.number().int().min(1).max(60_000).default(100),
  electionTicks: count.default(10),
  heartbeatTicks: count.default(1),
  diskTimeoutMs: count.optional(),
  writer: z.enum(["inline-js", "inline-wasm", "pool-wasm"]).default("pool-wasm"),
  durability: z.enum(["o_direct", "o_dsync", "fdatasync", "none"]).optional(),
  segmentBytes: bytes.default(64_000_000),
  logCacheBytes: bytes.default(4 * MiB),
  busyPollUs: z.number().int().min(0).max(BUSY_POLL_US_MAX).default(0),
  batchBytesMax: bytes.default(MiB),
  proposalBatchBytes: bytes.default(48 * 1024),
  maxSizePerMsg: bytes.optional(),
  storageWrites: z.enum(["async", "sync"]).default("async"),
  readOnly: z.enum(["safe", "lease"]).default("safe"),
  maxInflightMsgs: count.default(256),
  maxInflightBytes: bytes.optional(),
  maxProposalBytes: bytes.max(32 * MiB).optional(),
  maxFrameBytes: bytes
    .min(4096)
    .max(2 ** 30)
    .optional(),
  linkBufferBytes: bytes.max(LINK_BUFFER_BYTES_MAX).optional(),
  maxQueuedProposals: count.default(65_536),
  maxQueuedBytes: bytes.default(256 * MiB),
  leaderlessTimeoutMs: count.optional(),
  requestTimeoutMs: count.default(60_000),
  seed: z.number().int().min(0).max(0xffffffff).optional(),
  logger: objectWith<Logger>("info", "warn", "error").optional(),
  frameTags: z.boolean().default(true),
  acceptor: z.enum(["uws", "ws"]).optional(),
  link: objectWith<Link>("start", "send", "stats", "close").optional(),
  walFs: z.strictObject({ module: z.string(), arg: z.unknown() }).optional(),
  trace: z.instanceof(Trace).optional(),
});

/** Options with every default filled in, and the voters in ascending order. */
export type ResolvedOptions = Omit<z.output<typeof schema>, keyof Sizes> &
  Sizes & {
    readonly voters: readonly number[];
    readonly diskTimeoutMs: number;
    readonly leaderlessTimeoutMs: number;
  };

/** Checks `options` and fills in the defaults. Throws RAFT_BAD_OPTION naming the option, its value and the rule. */
export function resolveOptions(options: RaftNodeOptions): ResolvedOptions {
  const parsed = schema.safeParse(options);
  if (!parsed.success) throw optionError(parsed.error.issues[0], options, Object.keys(schema.shape));
  const resolved = parsed.data;
  const { id, listen, peers, link, stateMachine } = resolved;
  if (stateMachine.restore !== undefined && typeof stateMachine.restore !== "function") {
    throw badOption("stateMachine.restore", `must be a method, not ${shown(stateMachine.restore)}`);
  }
  const voters = checkAddresses({ id, listen, peers, dials: link === undefined });
  if (resolved.electionTicks <= resolved.heartbeatTicks) {
    const text = `must be above heartbeatTicks (${resolved.heartbeatTicks}), not ${resolved.electionTicks}`;
    throw badOption("electionTicks", text);
  }
  const electionMs = resolved.electionTicks * resolved.tickMs;
  const diskTimeoutMs = resolved.diskTimeoutMs ?? electionMs;
  const leaderlessTimeoutMs = resolved.leaderlessTimeoutMs ?? 5 * electionMs;
  return { ...resolved, ...resolveSizes(resolved), diskTimeoutMs, leaderlessTimeoutMs, voters };
}
