// What has to be there before a node runs: its log, opened and held against the options, its state machine in the state
// of the newest snapshot, and the core with what it is told of both. Main thread.
import { randomBytes, randomInt } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { assert } from "../base/assert.js";
import { isClockFake, refusedByFlag } from "../base/environment.js";
import { RaftmarkError } from "../base/errors.js";
import { Prng } from "../base/prng.js";
import { clusterKey } from "../link/cluster-key.js";
import { RawNode, ReadOnlyLeaseBased, ReadOnlySafe } from "../raft/index.js";
import { unlessAborted } from "../wal/disk/abort.js";
import { openWal, type Wal } from "../wal/index.js";
import { ENTRY_OVERHEAD_BYTES, MESSAGE_OVERHEAD_BYTES } from "../wire/index.js";
import type { RaftNodeOptions, SnapshotTaken } from "./api.js";
import { checkFormat } from "./dir-format.js";
import { LeaseClock } from "./lease-clock.js";
import type { MemberBook } from "./member-book.js";
import { decodeMemberRecord, type MemberRecord } from "./member-record.js";
import { addressesOf, bootstrapConfState, openMembers } from "./membership.js";
import { decodeMetadata, encodeMetadata, LOG_ID_BYTES } from "./metadata.js";
import { badOption } from "./option-errors.js";
import { type ResolvedOptions, resolveOptions } from "./options.js";
import type { PeerLogs } from "./peer-logs.js";
import { restoreWithSessions } from "./session-snapshot.js";
import { Sessions } from "./sessions.js";
import { tlsOf } from "./sockets.js";
import type { Teller } from "./teller.js";

/** Probes are repeated with each heartbeat, and a slow path carries them one after another. */
const PROBE_BYTES_MAX = 4096;
/** A quarter of what one turn applies, however large messages may be. */
const APPLY_BYTES_MAX = 1024 * 1024;

/**
 * Rejects for what RaftNode.open would refuse of `options` by themselves, certificates that do not fit included: with
 * RAFT_BAD_OPTION, naming option, value and rule. Opens no port and touches no file.
 */
export async function checkOptions(options: RaftNodeOptions): Promise<void> {
  await tlsOf(resolveOptions(options).tls);
}

/** With those above it. On /proc mkdir(2) says that the parent is missing, and Node's own recursion tries for ever. */
export async function makeDir(dir: string): Promise<void> {
  try {
    await makeOne(dir);
  } catch (error) {
    const above = dirname(resolve(dir));
    if ((error as NodeJS.ErrnoException).code !== "ENOENT" || above === dir) throw error;
    await makeDir(above);
    await makeOne(dir);
  }
}

/** Other nodes may make the same ones above them at the same time. */
async function makeOne(dir: string): Promise<void> {
  const make = (recursive: boolean) => mkdir(dir, { recursive, mode: 0o700 });
  try {
    await make(false);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    // It is there: right for a directory alone.
    await make(true);
  }
}

/** Said before anything waits, since what waits for that clock says nothing. */
const FAKE_CLOCK =
  "setInterval is that of a test's fake clock: the node stands still, its opening included, unless that clock is moved " +
  'on; fake Date alone, or leave the timers as they are (README, "Bundlers, test runners, flags")';

/** Also of one that was put in place since: what was begun with the real one goes on, and nothing else does. */
export function tellFakeClock(teller: Teller): void {
  if (isClockFake()) teller.warnLoudly({}, FAKE_CLOCK, "fake clock");
}

/** Recovers what is durable, or begins a log. Rejects with the codes of openWal. */
export async function openLog(options: ResolvedOptions, teller: Teller): Promise<Wal> {
  tellFakeClock(teller);
  // While the log is being read: the link waits for it.
  if (options.link === undefined) void clusterKey(options.secret);
  if (options.link === undefined && options.otherSecret !== undefined) void clusterKey(options.otherSecret);
  try {
    await makeDir(options.dir);
  } catch (cause) {
    const refused = refusedByFlag(cause);
    if (refused !== null) throw refused;
    const text = `cannot create the data directory ${options.dir}: ${(cause as Error).message}; choose another or mend its rights`;
    throw new RaftmarkError("WAL_NOT_WRITABLE", text, { cause });
  }
  await checkFormat(options.dir);
  const { id, clusterId, voters } = options;
  const bootstrap = {
    voters: options.initialClusterState === "existing" ? [] : voters,
    logId: randomBytes(LOG_ID_BYTES),
    addresses: addressesOf(options),
  };
  return openWal({
    dir: join(options.dir, "wal"),
    metadata: encodeMetadata(id, clusterId, bootstrap),
    writer: options.writer,
    durability: options.durability,
    segmentBytes: options.segmentBytes,
    snapshotCatchUpBytes: options.snapshotCatchUpBytes,
    logCacheBytes: options.logCacheBytes,
    catchUpBytesPerS: options.catchUpBytesPerS,
    confState: (metadata) => bootstrapConfState(metadata, voters),
    busyPollUs: options.busyPollUs,
    batchBytesMax: options.batchBytesMax,
    signal: options.signal,
    onWarning: ({ code, message }) => teller.warn({ code }, message),
    ...(options.walFs === undefined ? {} : { walFs: options.walFs }),
  });
}

/** A directory of another node or cluster would make this one vote twice or serve foreign data: RAFT_BAD_OPTION. */
export function checkOwner(wal: Wal, options: ResolvedOptions): void {
  const owner = decodeMetadata(wal.recovered.metadata);
  if (owner.nodeId === BigInt(options.id) && owner.clusterId === BigInt(options.clusterId)) return;
  const text =
    `${options.dir} belongs to node ${owner.nodeId} of cluster ${owner.clusterId}, not to node ${options.id} ` +
    `of cluster ${options.clusterId}: name this node's own directory here, an empty one if it is new; or, if this one is ` +
    "meant, the id and clusterId that it has";
  throw badOption("dir", text);
}

/** Says what the node starts with: the first lines of its life. */
export function tellStart(
  wal: Wal,
  { id, clusterId, listen, peers, dir }: ResolvedOptions,
  teller: Teller,
): void {
  const { created, hardState, firstIndex, lastIndex, snapshot, torn, durability } = wal.recovered;
  const { brokenSnapshots, strangeSnapshots } = wal.recovered;
  const { term } = hardState;
  const what = created ? "a new log" : `term ${term}, a log up to index ${lastIndex}`;
  const behind = snapshot === null ? "" : `, the snapshot at index ${snapshot.index}`;
  const fields = { clusterId, dir, listen, peers, term, firstIndex, lastIndex, durability };
  teller.info(fields, `node ${id} starts: ${what}${behind}; it listens at ${listen}`);
  if (brokenSnapshots.length > 0) {
    const text =
      `damaged snapshots are set aside as ${brokenSnapshots.join(", ")}: the node starts from what is before them; ` +
      "check the disk";
    teller.warn({ brokenSnapshots }, text);
  }
  if (strangeSnapshots.length > 0) {
    const text =
      `the log records no snapshot ${strangeSnapshots.join(", ")}: it is not read, and can be removed. A member cannot be ` +
      "set back to a backup, which begins a new group: raftmark wal new-group (docs/operate.md, Backups)";
    teller.warn({ strangeSnapshots }, text);
  }
  if (torn === null) return;
  const text =
    `the last write before was cut short, and so not acknowledged (unless the file was shortened since): its ` +
    `${torn.bytesCut} bytes are cut off, and the segment as it was is kept as ${torn.copy}`;
  teller.info({ ...torn }, text);
}

/** The log's newest snapshot, with its state in the state machine, the sessions in it, and who the members are. */
export interface Begun {
  /** Null: there is no snapshot. */
  readonly restored: SnapshotTaken | null;
  readonly sessions: Sessions;
  readonly book: MemberBook;
}

/** In place of what RaftNode's constructor gets of open(), where somebody else calls it. */
export function notOpened(): never {
  const text = "new RaftNode() makes no node: open one by `await RaftNode.open(options)`";
  throw new RaftmarkError("RAFT_BAD_OPTION", text);
}

/**
 * The state machine begins where the log does: with its newest snapshot. Rejects with what restore does, and WAL_CORRUPT.
 */
export async function beginState(wal: Wal, options: ResolvedOptions): Promise<Begun> {
  const sessions = new Sessions();
  const { snapshot } = wal.recovered;
  if (snapshot === null) return { restored: null, sessions, book: openMembers(wal, options, null) };
  const { stateMachine, dir } = options;
  if (stateMachine.restore === undefined) {
    const text =
      `the log in ${dir} begins behind a snapshot at index ${snapshot.index}, and option stateMachine has no ` +
      "restore(stream) to take its state";
    throw new RaftmarkError("RAFT_BAD_OPTION", text);
  }
  const stream = await wal.openSnapshot(snapshot.index);
  assert(stream !== null, "the snapshot that was recovered is gone");
  try {
    const record: MemberRecord | null = decodeMemberRecord(stream.metadata.members);
    const book = openMembers(wal, options, record);
    const restoring = restoreWithSessions(stream, sessions, async (state) => stateMachine.restore!(state));
    const bytes = await unlessAborted(options.signal, restoring);
    return { restored: { index: snapshot.index, term: snapshot.term, bytes }, sessions, book };
  } finally {
    await stream.close();
  }
}

/** Of the recovered log; no turn has been made. */
export function newRawNode(options: ResolvedOptions, wal: Wal, peerLogs: PeerLogs): RawNode {
  const prng = new Prng(options.seed ?? randomInt(2 ** 32));
  const leaseClock = new LeaseClock();
  return new RawNode({
    id: options.id,
    electionTick: options.electionTicks,
    heartbeatTick: options.heartbeatTicks,
    storage: wal.storage,
    applied: wal.recovered.snapshot?.index ?? 0,
    maxSizePerMsg: options.maxSizePerMsg,
    maxInflightMsgs: options.maxInflightMsgs,
    maxInflightBytes: options.maxInflightBytes,
    inflightOverheadPerMsg: MESSAGE_OVERHEAD_BYTES,
    inflightOverheadPerEntry: ENTRY_OVERHEAD_BYTES,
    maxSizePerProbe: PROBE_BYTES_MAX,
    maxCommittedSizePerReady: Math.min(options.maxSizePerMsg, APPLY_BYTES_MAX) * 4,
    maxUncommittedEntriesSize: options.maxQueuedBytes,
    asyncStorageWrites: true,
    mayHavePromised: !wal.recovered.created,
    // A tick of the lease is shorter where a member promises less than this one would, as its options differ: what
    // passed then counts for more, and the lease ends in time. Where one promises nothing it is Infinity, and no lease holds.
    elapsedTicks: () =>
      leaseClock.elapsedMs() /
      Math.min(options.tickMs, peerLogs.leastPromiseMs / (options.electionTicks - 1)),
    readOnlyOption: options.readOnly === "lease" ? ReadOnlyLeaseBased : ReadOnlySafe,
    preVote: true,
    checkQuorum: true,
    disableProposalForwarding: true,
    random: (bound) => prng.below(bound),
  });
}
