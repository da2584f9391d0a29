// Options of a node: defaults, and what is refused and why. One place, so that every entry into the package
// (the API, the bench, the service) says the same.
import * as v from "valibot";
import { parseAddress } from "../link/address.js";
import { checkOtherSecret, checkSecret } from "../link/cluster-key.js";
import type { Link, TlsSource } from "../link/index.js";
import { refusalOfUws } from "../link/native-uws.js";
import { SEGMENT_BYTES_MIN } from "../wal/format/format.js";
import { BUSY_POLL_US_MAX } from "../wal/write/writer.js";
import { checkAddresses } from "./addresses.js";
import type { Logger, RaftNodeOptions, StateMachine } from "./api.js";
import { isAbortSignal } from "./arguments.js";
import { badOption, isPlainObject, parseOptions, shown } from "./option-errors.js";
import { LINK_BUFFER_BYTES_MAX, resolveSizes, type Sizes } from "./sizes.js";
import { resolvePolicy, type SnapshotPolicy } from "./snapshot-policy.js";
import { Trace } from "./trace.js";

const MiB = 1024 * 1024;

const integer = (min: number, max: number) =>
  v.pipe(v.number(), v.integer(), v.minValue(min), v.maxValue(max));
const id = integer(1, Number.MAX_SAFE_INTEGER);
const count = integer(1, 2 ** 31 - 1);
const bytes = (max = 2 ** 32, min = 1) => integer(min, max);

/** 0: none. */
const bytesOrNone = integer(0, Number.MAX_SAFE_INTEGER);

/** An object of the caller's with these methods. Not those that every function and class has: their `apply` is another. */
function objectWith<T>(...methods: (keyof T & string)[]) {
  const ofFunctions = Function.prototype as unknown as Record<string, unknown>;
  const isMethod = (value: unknown, name: string): boolean => {
    const method = (value as Record<string, unknown> | null | undefined)?.[name];
    return typeof method === "function" && method !== ofFunctions[name];
  };
  return v.custom<T>(
    (value) => methods.every((method) => isMethod(value, method)),
    `an object with the method${methods.length > 1 ? "s" : ""} ${methods.join(", ")}`,
  );
}

const plainObject = v.custom<object>(isPlainObject, "an object");

const schema = v.strictObject({
  id,
  dir: v.pipe(
    v.string(),
    v.nonEmpty(),
    v.check((dir) => !dir.includes("\0"), "a path, which has no NUL character"),
  ),
  listen: v.string(),
  peers: v.pipe(plainObject, v.record(v.string(), v.string())),
  secret: v.pipe(v.string(), v.nonEmpty()),
  otherSecret: v.optional(v.string()),
  stateMachine: objectWith<StateMachine>("apply"),
  snapshotEveryBytes: v.optional(bytesOrNone),
  snapshotEveryEntries: v.optional(bytesOrNone),
  snapshotCatchUpBytes: v.optional(bytesOrNone),
  catchUpBytesPerS: v.optional(bytes(2 ** 32, 4096), 16 * MiB),
  snapshotSendBytesPerS: v.optional(bytes(2 ** 32, 4096), 32 * MiB),
  clusterId: v.optional(id, 1),
  initialClusterState: v.optional(v.picklist(["new", "existing"]), "new"),
  tickMs: v.optional(integer(1, 60_000), 100),
  electionTicks: v.optional(count, 10),
  heartbeatTicks: v.optional(count, 1),
  diskTimeoutMs: v.optional(count),
  writer: v.optional(v.picklist(["inline-js", "inline-wasm", "pool-wasm"]), "pool-wasm"),
  durability: v.optional(v.picklist(["o_direct", "o_dsync", "fdatasync", "none"])),
  segmentBytes: v.optional(bytes(2 ** 31 - 1, SEGMENT_BYTES_MIN), 64_000_000),
  logCacheBytes: v.optional(bytes(), 4 * MiB),
  busyPollUs: v.optional(integer(0, BUSY_POLL_US_MAX), 0),
  batchBytesMax: v.optional(bytes(), MiB),
  proposalBatchBytes: v.optional(bytes(), 48 * 1024),
  maxSizePerMsg: v.optional(bytes()),
  storageWrites: v.optional(v.picklist(["async", "sync"]), "async"),
  readOnly: v.optional(v.picklist(["safe", "lease"]), "safe"),
  maxInflightMsgs: v.optional(count, 256),
  maxInflightBytes: v.optional(bytes()),
  maxProposalBytes: v.optional(bytes(32 * MiB)),
  maxFrameBytes: v.optional(bytes(2 ** 30, 4096)),
  linkBufferBytes: v.optional(bytes(LINK_BUFFER_BYTES_MAX)),
  maxQueuedProposals: v.optional(count, 65_536),
  maxQueuedBytes: v.optional(bytes(), 256 * MiB),
  forwardProposals: v.optional(v.boolean(), true),
  leaderlessTimeoutMs: v.optional(count),
  requestTimeoutMs: v.optional(count, 60_000),
  seed: v.optional(integer(0, 0xffffffff)),
  logger: v.optional(objectWith<Logger>("info", "warn", "error")),
  frameTags: v.optional(v.boolean(), true),
  tls: v.optional(
    v.custom<TlsSource>(
      (value) => typeof value === "function" || isPlainObject(value),
      "an object with ca, cert and key, or a function that gives one",
    ),
  ),
  acceptor: v.optional(v.picklist(["uws", "ws"])),
  link: v.optional(objectWith<Link>("start", "send", "stats", "close")),
  signal: v.optional(v.custom<AbortSignal>(isAbortSignal, "an AbortSignal")),
  walFs: v.optional(v.pipe(plainObject, v.strictObject({ module: v.string(), arg: v.unknown() }))),
  trace: v.optional(v.instance(Trace)),
});

/** Options with every default filled in, and the voters in ascending order. */
export type ResolvedOptions = Omit<v.InferOutput<typeof schema>, keyof Sizes | keyof SnapshotPolicy> &
  Sizes &
  SnapshotPolicy & {
    readonly voters: readonly number[];
    readonly diskTimeoutMs: number;
    /** leaderlessTimeoutMs and requestTimeoutMs, in ticks. */
    readonly leaderlessTicks: number;
    readonly timeoutTicks: number;
  };

/** Checks `options` and fills in the defaults. Throws RAFT_BAD_OPTION naming the option, its value and the rule. */
export function resolveOptions(options: RaftNodeOptions): ResolvedOptions {
  const resolved = parseOptions(schema, options);
  const { id, listen, peers, link, stateMachine } = resolved;
  for (const name of ["snapshot", "restore"] as const) {
    const method: unknown = stateMachine[name];
    if (method !== undefined && typeof method !== "function")
      throw badOption(`stateMachine.${name}`, `must be a method, not ${shown(method)}`);
  }
  const voters = checkAddresses({ id, listen, peers, dials: link === undefined });
  if (link === undefined) {
    const addresses = [listen, ...Object.values(peers)].map((at) => parseAddress(at, "option peers"));
    checkSecret(resolved.secret, addresses, "option secret");
    if (resolved.otherSecret !== undefined) checkOtherSecret(resolved.otherSecret, "option otherSecret");
    const refusal = resolved.acceptor === "uws" ? refusalOfUws(resolved.tls !== undefined) : null;
    if (refusal !== null) throw badOption("acceptor", refusal);
  }
  if (resolved.electionTicks <= resolved.heartbeatTicks) {
    const text = `must be above heartbeatTicks (${resolved.heartbeatTicks}), not ${resolved.electionTicks}`;
    throw badOption("electionTicks", text);
  }
  const { tickMs, electionTicks, leaderlessTimeoutMs, requestTimeoutMs } = resolved;
  const electionMs = electionTicks * tickMs;
  const diskTimeoutMs = resolved.diskTimeoutMs ?? electionMs;
  const leaderlessTicks = Math.ceil((leaderlessTimeoutMs ?? 5 * electionMs) / tickMs);
  const timeoutTicks = Math.ceil(requestTimeoutMs / tickMs);
  const derived = { diskTimeoutMs, leaderlessTicks, timeoutTicks, voters };
  return { ...resolved, ...resolvePolicy(resolved), ...resolveSizes(resolved), ...derived };
}
