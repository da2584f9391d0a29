// The public shapes of a node: options, state machine, status, metrics. DESIGN: "The node, public API".
import type { AcceptorKind, Link, Pem, TlsOptions, TlsSource } from "../link/index.js";
import type { Entry } from "../raft/raftpb/index.js";
import type { Durability, DurationHistogram, SnapshotStream, WriterKind } from "../wal/index.js";
import type { Trace } from "./trace.js";

export type { Durability, DurationHistogram, Pem, SnapshotStream, TlsOptions, TlsSource, WriterKind };

/** What a caller may pass with a call. */
export interface CallOptions {
  /** Aborts the call: it rejects with RAFT_ABORTED. */
  signal?: AbortSignal | undefined;
  /**
   * Milliseconds after which the call rejects with RAFT_TIMEOUT, if it has not ended before: a number above 0 and below
   * 2^31. Default: requestTimeoutMs, which bounds every proposal, read and change of members; whenLeader and takeSnapshot
   * wait without end.
   */
  timeoutMs?: number | undefined;
}

/** Whether a node goes on while an append is on its way to the disk (etcd raft's AsyncStorageWrites). */
export type StorageWrites = "async" | "sync";
/** How a read is confirmed: by a round to a quorum, or by the leader's lease, which trusts the clocks. */
export type ReadOnlyKind = "safe" | "lease";

/**
 * The replicated state. The driver calls it from its turns, in index order, and with each entry once in the life of a
 * process; a restart begins again with the first entry, or behind a snapshot. So the effect of an entry may depend on
 * the entries before it and on nothing else: no clock, no randomness, nothing outside. An error of apply, thrown or as
 * a rejection, fences the node (RAFT_FENCED, with the error as `cause`), because every member that goes on must have
 * applied the same. An entry that makes it throw on every member stops them all, and stops each again after a restart,
 * until a version of the program runs that can apply it. To refuse an entry, return a result that says so.
 */
export interface StateMachine {
  /**
   * Applies committed normal entries that have data. Returns an array with one result for each entry, which resolves
   * its proposal; or nothing, an empty array, or anything that is no array, for no results. It may also return a
   * promise of that: then the entries count as applied (for proposals, reads, status().applied) when it resolves, and
   * there is no other call before. Entries that commit meanwhile come in one call afterwards; if they exceed four times
   * maxSizePerMsg (4 MiB at most) they stay in the log, and a leader holds back proposals (in the end with
   * RAFT_OVERLOADED). Without a promise nothing waits. An array of another length, or a promise in it, fences the
   * node.
   *
   * Entries and their bytes are borrowed until apply has returned and its promise has resolved. They are the log's own,
   * are sent to members that lag, and their memory is used again: never write to them, and copy whatever is kept
   * longer, also in a result. The array of entries belongs to the state machine. `data` makes a new view each time it
   * is read; an entry's bytes can be read without one in bytes[start, start + size). To send an entry to a worker or to
   * store it, copy these fields: a copy of the whole entry ({ ...entry }, structuredClone) has no `data`, and has all
   * of `bytes`, which its neighbours share.
   */
  // biome-ignore lint/suspicious/noConfusingVoidType: so that a method without a return is one.
  apply(entries: readonly Entry[]): readonly unknown[] | undefined | void | PromiseLike<unknown>;
  /**
   * Gives the whole state as it is now, as bytes that restore() takes: a Uint8Array, or an iterable of Uint8Arrays (an
   * array, a generator, a Readable without an encoding). It is called on the main thread, between two calls of apply
   * (never before the promise of the first has resolved), and never while an earlier snapshot is still being read. The
   * iterator is asked for its first chunk before this call returns: whatever an async generator does before its first
   * `await` or `yield` happens before the next apply. The rest is read while apply goes on, and must be of the state as
   * it was at the call: read it from a copy, from persistent data, or from what apply copies on writing. Each chunk is
   * borrowed until the next one is asked for; they are asked for as fast as the disk takes them, 256 KiB at a time. If
   * the rest is not wanted, the iterator's return() is called.
   *
   * If it throws, that is reported (event "snapshot", logger, metrics.snapshotsFailed); the node goes on and tries
   * again later. If it neither gives more nor ends, it is never given up: no other snapshot is taken, the log grows,
   * and the logger says so. Without this method the node takes no snapshots, its log grows for ever, and as leader it
   * does not send the snapshot that its log begins behind.
   */
  snapshot?(): SnapshotSource;
  /**
   * Replaces the state by that of a snapshot: when the node opens, the one that its log begins behind; later, one that
   * a leader sent because it has released the entries. Until its promise is settled nothing is applied and no
   * readBarrier() resolves; then entries follow from `stream.metadata.index + 1` on. Without this method a node whose
   * log has a snapshot does not open (RAFT_BAD_OPTION), and one that lags behind its leader's log stays behind. An
   * error makes RaftNode.open reject, or fences the node. Where it takes longer than close() may, its stream ends in
   * RAFT_CLOSED.
   */
  restore?(stream: SnapshotStream): Promise<void>;
}

/** What StateMachine.snapshot gives. */
export type SnapshotSource = Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

/** A snapshot that is recorded in this node's log. */
export interface SnapshotTaken {
  /** The last entry that is in it, and that one's term. */
  readonly index: number;
  readonly term: number;
  /** Of the state. */
  readonly bytes: number;
}

/** A snapshot on its way from a leader to this node. */
export interface SnapshotProgress {
  readonly from: number;
  readonly index: number;
  /** Of its file: here, and in all; -1: not known yet. */
  readonly bytes: number;
  readonly fileBytes: number;
}

/** A snapshot of this node's state, on its way to its disk. */
export interface SnapshotTaking {
  readonly index: number;
  /** Of the state, that the state machine has given so far. */
  readonly bytes: number;
}

/** A snapshot on its way from this node, which leads, to a member. */
export interface SnapshotSending {
  readonly to: number;
  readonly index: number;
  /** Of its file: sent, and in all; -1: not known yet. */
  readonly bytes: number;
  readonly fileBytes: number;
}

/** Logger in pino's shape; only these methods are used. One that throws ends nothing. */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** What RaftNode.open takes. Sizes are bytes; an unknown option is refused by name. */
export interface RaftNodeOptions {
  /** This node's id, 1 .. 2^53-1. */
  id: number;
  /** Its data directory; created if missing. The log lies in `wal` below it. */
  dir: string;
  /** host:port to accept peers at: the node's own address in `peers`, or a wildcard (0.0.0.0, [::]) with its port. */
  listen: string;
  /**
   * Address of every member, this node included: what an empty log begins with. Their ids are the voters, unless
   * initialClusterState is "existing". A log that exists says itself who the members are and where they listen: a
   * difference is told to the logger and not followed (changeMembership changes both).
   */
  peers: Readonly<Record<number, string>>;
  /**
   * As etcd's flag. "new": an empty log begins a group whose voters are `peers`. "existing": this node joins one, which
   * changeMembership({ add }) tells of it, and learns from its leader who the members are; `peers` says where to begin
   * to listen. It does not matter to a log that exists. Default "new".
   */
  initialClusterState?: "new" | "existing" | undefined;
  /**
   * Key shared by the cluster; connections prove that they know it. At least 16 bytes (`openssl rand -hex 32`); a
   * shorter one only where all addresses are this machine's own (loopback). Not used with a `link` of your own.
   */
  secret: string;
  /**
   * Taken from members that dial this one as well, so that the secret can be changed while the group runs
   * (docs/operate.md, Trust). At least 16 bytes. Default: none.
   */
  otherSecret?: string | undefined;
  /**
   * TLS 1.3 to and from the other members, which show certificates of an authority in `ca`, besides proving `secret`;
   * PEM. A function is asked when the node opens, and again by reloadTls(). Default: in the clear, which the node warns
   * of unless `listen` is this machine's own (loopback).
   */
  tls?: TlsSource | undefined;
  /** What committed entries are applied to. */
  stateMachine: StateMachine;
  /**
   * A snapshot is taken when so many bytes of log were applied since the last one, or as many as the last one had, if
   * it was larger: so snapshots cost at most as much writing as the log. 0: never for the bytes. Needs
   * stateMachine.snapshot. Default 128 MiB.
   */
  snapshotEveryBytes?: number | undefined;
  /** And when so many entries were. 0: never for their count. Default 0. */
  snapshotEveryEntries?: number | undefined;
  /**
   * Bytes of log that are kept in front of the newest snapshot, for members that lag (etcd raft's
   * SnapshotCatchUpEntries, in bytes). What is behind the last snapshot but one is kept in any case; and while a member
   * gets a snapshot and catches up behind it, what it still needs: without a bound while it comes nearer, up to 8 times
   * this (or the snapshot's size, if that is more) where it does not. Default: snapshotEveryBytes.
   */
  snapshotCatchUpBytes?: number | undefined;
  /**
   * Bytes a second (64 for each entry included) by which a member that lags further than `logCacheBytes` gains on the
   * group, at least; a quarter of what the group writes, if that is more. It gets them so fast and no faster, so that
   * the group goes on meanwhile; all as fast as it goes where the group commits nothing. Default 16 MiB.
   */
  catchUpBytesPerS?: number | undefined;
  /** Bytes a second of snapshots that this node sends to members, all of them together. Default 32 MiB. */
  snapshotSendBytesPerS?: number | undefined;
  /** Distinguishes clusters that could reach each other. Default 1. */
  clusterId?: number | undefined;
  /** Milliseconds a tick. Default 100. */
  tickMs?: number | undefined;
  /** Default 10: an election starts after 10 to 19 ticks without a leader. */
  electionTicks?: number | undefined;
  /** Default 1. */
  heartbeatTicks?: number | undefined;
  /**
   * A leader whose disk has not answered for so long while appends, or reads of old entries, wait gives up leadership;
   * nobody campaigns without one. Default: one election timeout, electionTicks * tickMs.
   */
  diskTimeoutMs?: number | undefined;
  /**
   * Where the log is encoded and written: "inline-js" and "inline-wasm" on the main thread, in TypeScript or
   * WebAssembly; "pool-wasm" in a worker thread. Default "pool-wasm".
   */
  writer?: WriterKind | undefined;
  /**
   * How an append becomes durable. Default: `o_direct` where the file system takes it, past the page cache, else
   * `o_dsync`; on macOS `fdatasync`, as O_DSYNC does not empty the drive's cache there. status().disk says which.
   */
  durability?: Durability | undefined;
  /** Bytes of one file of the log. Default 64,000,000, as etcd. */
  segmentBytes?: number | undefined;
  /** Bytes of recent log kept in memory; older entries are read back from the segments. Default 4 MiB. */
  logCacheBytes?: number | undefined;
  /**
   * With writer "pool-wasm": microseconds for which both of its threads look for news before they sleep. Saves the
   * waking of two threads a commit, and costs up to a core each while there is load: for a node with cores of its own.
   * Default 0.
   */
  busyPollUs?: number | undefined;
  /** Cap on the bytes of one group commit, so that several can be under way. Default 1 MiB. */
  batchBytesMax?: number | undefined;
  /** Bytes of entries in one MsgApp; less than maxFrameBytes. Default 1 MiB. */
  maxSizePerMsg?: number | undefined;
  /**
   * Bytes of waiting proposals that one turn of the driver appends. Default 48 KiB: small enough that several batches
   * are under way at once (encoded, on the wire, on the disks), large enough to share the cost of each.
   */
  proposalBatchBytes?: number | undefined;
  /**
   * Default "async"; "sync" waits for each append before the next Ready, and for each promise of apply, heartbeats
   * included: for measuring what that costs.
   */
  storageWrites?: StorageWrites | undefined;
  /**
   * Default "safe": a round of heartbeats to a quorum a read. "lease": the leader answers on the strength of a quorum's
   * answers to heartbeats, for (electionTicks - 1) * 0.9 - 1 ticks from when those were sent; linearizable as long as
   * no member's clock is faster than the leader's by more than a tenth. Without a lease, and during a transfer of
   * leadership, it asks a quorum. All members alike: who has met one with "safe" since it started holds no lease. Where
   * a member elects sooner than the leader would (tickMs, electionTicks), leases are as short as that asks for; see
   * docs/operate.md before changing any of these.
   */
  readOnly?: ReadOnlyKind | undefined;
  /** Appends on the way to one follower, as etcd raft's MaxInflightMsgs. Default 256. */
  maxInflightMsgs?: number | undefined;
  /**
   * Bytes of appends on the way to one follower. The last of them may cross this; then the next waits for an answer. So
   * a path carries about this much in one round trip. At least maxSizePerMsg. Default 8 MiB.
   */
  maxInflightBytes?: number | undefined;
  /**
   * Bytes of one frame between nodes; the same on every member, and never less than the longest entry in a log needs
   * (docs/operate.md, Options that may change). Default 64 MiB.
   */
  maxFrameBytes?: number | undefined;
  /**
   * Bytes that the link holds for one peer: at least maxInflightBytes and one message, so that nothing is dropped for
   * its size. Default: twice that, 32 MiB with all defaults.
   */
  linkBufferBytes?: number | undefined;
  /**
   * Bytes of one proposal, which has 24 more in a session; less than maxFrameBytes, and 32 MiB at most. The leader's
   * count as well. Default 8 MiB.
   */
  maxProposalBytes?: number | undefined;
  /** Proposals waiting for the driver; more are refused with RAFT_OVERLOADED. Default 65,536. */
  maxQueuedProposals?: number | undefined;
  /** Their bytes, likewise. Default 256 MiB. */
  maxQueuedBytes?: number | undefined;
  /**
   * What is proposed while another node leads, a learner's proposals too, is sent to the leader, or waits for one; see
   * RaftNode.propose. False: it is refused at once (RAFT_NOT_LEADER). Default true.
   */
  forwardProposals?: boolean | undefined;
  /**
   * How many milliseconds calls wait for a leader. With none for so long, reads, and proposals that have not left
   * this node, reject with RAFT_NO_LEADER. A proposal in this node's log, whose fate is not known, rejects with
   * RAFT_LEADERSHIP_LOST when this node has not led for so long. Default: five election timeouts, 5 * electionTicks *
   * tickMs.
   */
  leaderlessTimeoutMs?: number | undefined;
  /**
   * Milliseconds after which any proposal, read or change of members is given up (RAFT_TIMEOUT), whatever timeoutMs its
   * call was given.
   * Default 60,000.
   */
  requestTimeoutMs?: number | undefined;
  /** Seeds the election timeouts. Default: random. */
  seed?: number | undefined;
  /**
   * Gets a line for each election, leader, connection, refusal and fault. Without it faults go to standard error, and,
   * once a member and reason, why there is no connection with it if that does not pass by itself: key, cluster,
   * version, certificate, or something else than a node at its address. A member that is not up is told to a logger alone.
   */
  logger?: Logger | undefined;
  /**
   * Frames between nodes carry a tag under a key of their connection, so that nobody on the way can change, make or
   * repeat one; off only where both ends turn it off, and then they carry a checksum. Default true.
   */
  frameTags?: boolean | undefined;
  /**
   * What accepts connections: uWebSockets.js, which is not installed with raftmark, or `ws`. Default: uWebSockets.js
   * where one is installed and loads, `ws` else, with TLS, and in a worker thread: a thread that ends without close()
   * takes its process with it where uWebSockets.js listens. metrics.link says which.
   */
  acceptor?: AcceptorKind | undefined;
  /**
   * Ends the opening, also while it waits or reads a long log: RaftNode.open rejects with RAFT_ABORTED when what it opened
   * is closed, and the directory can be opened again. What `restore` does then with the state that it was given is its own
   * affair; reading on fails. Of no effect once the node is open.
   */
  signal?: AbortSignal | undefined;
  /** A link of the caller's in place of sockets; `listen` is then not used. For measurements and simulations. */
  link?: Link | undefined;
  /** File operations of the log that fail or wait on purpose (WalOptions.walFs). For tests and measurements. */
  walFs?: { module: string; arg: unknown };
  /** Notes when things happen inside the node, for the bench's waterfall; no stable interface. */
  trace?: Trace | undefined;
}

/**
 * One change of members, made as a whole: through a joint configuration (§6 of the Raft paper), unless it concerns a
 * single member. Each node is named once.
 */
export interface MembershipChange {
  /**
   * New members: an id that no member ever had, and the address at which the others reach it. Voters, as `etcdctl
   * member add` makes them, unless `learner`, which gets everything and has no vote: add a learner and promote it when
   * it has caught up, since a voter counts for the quorum at once.
   */
  add?: readonly { id: number; address: string; learner?: boolean | undefined }[] | undefined;
  /** Learners that become voters; each must have caught up. */
  promote?: readonly number[] | undefined;
  /** Members that go, for good. */
  remove?: readonly number[] | undefined;
  /** Members that are to be dialled at another address. */
  update?: readonly { id: number; address: string }[] | undefined;
}

/** Where a change of members was committed. It is in force, and its joint state was left. */
export interface MembershipChanged {
  readonly index: number;
  readonly term: number;
}

/** A member, as of what the node has applied. */
export interface Member {
  readonly id: number;
  /** Empty: nobody said. */
  readonly address: string;
  /** "leaving": it has a vote until the joint configuration is left. */
  readonly role: "voter" | "learner" | "leaving";
}

/** What close() takes. */
export interface CloseOptions {
  /**
   * Milliseconds, from 0 to below 2^31, that handing leadership over and draining may take; 0: neither. Default: two
   * election timeouts, 2 * electionTicks * tickMs. Called again, the sooner end counts.
   */
  timeoutMs?: number | undefined;
}

/** What RaftNode.committed takes. */
export interface CommittedOptions {
  /** The first index, 1 .. 2^53-1, also one that is not there yet. Default: behind what is applied now. */
  from?: number | undefined;
  /** Ends the iteration. */
  signal?: AbortSignal | undefined;
}

/** A committed entry, as RaftNode.committed gives it. It is the caller's. */
export interface CommittedEntry {
  readonly index: number;
  readonly term: number;
  readonly data: Uint8Array;
  /**
   * Of a proposal of a session: which one. It stands here as often as it was proposed, also where it was not applied:
   * all but the first, what the group had no such session for (RAFT_SESSION_EXPIRED), and what was too far behind
   * (RAFT_OUTCOME_FORGOTTEN). The entry does not tell; what `apply` is given does.
   */
  readonly session?: SessionPlace;
}

/** One proposal of a session (ClientSession). */
export interface SessionPlace {
  readonly id: number;
  readonly sequence: number;
}

/** What ClientSession.propose takes. */
export interface SessionCallOptions extends CallOptions {
  /**
   * The number of the proposal in its session, 1 .. 2^53-1: of a call that is made again, the one it had. Default: one
   * more than the highest that this object was used for; none for a session that was taken up again (RaftNode.session).
   */
  sequence?: number | undefined;
}

/** Where a proposal was committed, and what `apply` returned for it here. */
export interface Proposed {
  readonly index: number;
  readonly term: number;
  readonly result: unknown;
}

/** What the watchdog of the log's disk has seen since the node opened. */
export interface DiskStatus {
  /** How appends become durable here. */
  readonly durability: Durability;
  /** It has not answered for longer than diskTimeoutMs: this node does not lead and does not campaign. */
  readonly silent: boolean;
  /** How often that was so. */
  readonly stalls: number;
  /** The longest time from an append to its being durable. */
  readonly appendLatencyMaxMs: number;
  /** Failures the log went on without, as preparing space ahead; the logger has them. */
  readonly warnings: number;
}

/** What a node's log holds, and what waits for it. */
export interface LogStatus {
  /** From which entry on, and about how many bytes; its files have up to three segments more. */
  readonly firstIndex: number;
  readonly bytes: number;
  /** Bytes in the ring that the log's writer takes its appends from, and how many fit. */
  readonly ringBytes: number;
  readonly ringBytesMax: number;
  /** Bytes of entries that wait because the ring is full. */
  readonly backlogBytes: number;
}

/** What went to a peer and came from it since the node opened; frames, not the bytes of TCP and TLS around them. */
export interface PeerMetrics {
  readonly id: number;
  /** It hears this node now. */
  readonly connected: boolean;
  readonly framesSent: number;
  readonly bytesSent: number;
  readonly framesReceived: number;
  readonly bytesReceived: number;
  /** To it: there was no connection, or too much waited. */
  readonly framesDropped: number;
}

/** How late the event loop came to what was due, in the last 30 s and up to as long again. Milliseconds. */
export interface LoopDelay {
  readonly meanMs: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

/** A log that is known to be lost: this node's own or a peer's. See docs/operate.md. */
export interface LostLog {
  /** Whose. */
  readonly node: number;
  readonly reason: string;
}

/** What the leader knows of one member's log (etcd raft's Progress). */
export interface MemberProgress {
  readonly id: number;
  readonly isLearner: boolean;
  readonly state: "StateProbe" | "StateReplicate" | "StateSnapshot";
  /** Proven equal there up to this index. */
  readonly match: number;
  /** The next index to be sent. */
  readonly next: number;
  /** Appends that are under way to it: at most maxInflightMsgs, and maxInflightBytes and one append more. */
  readonly inflightMsgs: number;
  readonly inflightBytes: number;
  /** It was heard since the leader last counted its quorum, once an election timeout. */
  readonly recentActive: boolean;
}

/** What a node knows of itself and its group at one moment. */
export interface NodeStatus {
  readonly id: number;
  readonly term: number;
  readonly vote: number;
  readonly commit: number;
  readonly applied: number;
  readonly lastIndex: number;
  /**
   * etcd raft's names; StateFenced after a fault, StateRemoved when it is known to be no member any more, StateClosed
   * when close() has drained it: it takes part no more.
   */
  readonly state:
    | "StateFollower"
    | "StateCandidate"
    | "StateLeader"
    | "StatePreCandidate"
    | "StateFenced"
    | "StateRemoved"
    | "StateClosed";
  /** 0: none known. */
  readonly leader: number;
  /** Ascending by id; empty: a node that joins and has not heard yet. */
  readonly members: readonly Member[];
  /** Two memberships are in force at once, of which the leader leaves the old one by itself. */
  readonly isJoint: boolean;
  readonly disk: DiskStatus;
  readonly log: LogStatus;
  /** The newest snapshot of this node, taken by this process or before; null: there is none. */
  readonly snapshot: SnapshotTaken | null;
  /**
   * On the leader: members whose next entries its log has no more, until they have a snapshot. Ascending.
   */
  readonly waitingForSnapshot: readonly number[];
  /** The one that is being taken now; null: none. */
  readonly takingSnapshot: SnapshotTaking | null;
  /** On the leader: those on their way to members, by ascending id. */
  readonly sendingSnapshots: readonly SnapshotSending[];
  /** On the leader: every member, this one included, by ascending id. Else empty. */
  readonly progress: readonly MemberProgress[];
  /** The snapshot that a leader sends this node now; null: none. */
  readonly receivingSnapshot: SnapshotProgress | null;
  /** Logs that were emptied, replaced or cut short: whose they are takes no part (RAFT_LOG_LOST). */
  readonly lostLogs: readonly LostLog[];
  /**
   * What is in the way of connections with other members, of three at most, a sentence each: a refusal for key, certificate
   * and so on, or that nobody answers at an address.
   */
  readonly obstacles: readonly string[];
  readonly fault: string | null;
}

/** Counters since the node opened: monotonic, subtract two readings for a rate. Only eventLoopDelay is no counter. */
export interface NodeMetrics {
  /** That this node appended as leader, those of other members among them. */
  readonly proposals: number;
  /** That this node sent to a leader, which was another node; again as often as they were sent again. */
  readonly proposalsForwarded: number;
  readonly applied: number;
  readonly turns: number;
  readonly readies: number;
  /** Rounds in which this node only asked whether it could win; elections, which raise the term; how they ended. */
  readonly preVotesStarted: number;
  readonly electionsStarted: number;
  readonly electionsWon: number;
  readonly electionsLost: number;
  /** How often a leader became known: another, or the same one again. */
  readonly leaderChanges: number;
  readonly messagesSent: number;
  readonly messagesReceived: number;
  readonly framesSent: number;
  readonly bytesSent: number;
  readonly bytesReceived: number;
  readonly framesDropped: number;
  /** Frames of proved peers that were damaged, or held what no peer of this version sends. */
  readonly framesRefused: number;
  /** Snapshots that a leader sent, and that could not be taken: the logger has why. */
  readonly snapshotsRefused: number;
  /** Snapshots that members took of this node; and bytes of their files that were sent, again ones included. */
  readonly snapshotsSent: number;
  readonly snapshotBytesSent: number;
  /** Snapshots that came from leaders, whole and sound, and the bytes of their files. */
  readonly snapshotsReceived: number;
  readonly snapshotBytesReceived: number;
  readonly snapshotsTaken: number;
  readonly snapshotsFailed: number;
  /** Of the states of all that were taken. */
  readonly snapshotBytes: number;
  readonly walSyncs: number;
  readonly walWrites: number;
  readonly walBytes: number;
  readonly walEntries: number;
  /** How long each of walSyncs took: the write, and the sync behind it where there is one. */
  readonly walSyncSeconds: DurationHistogram;
  /** By ascending id; empty where the link does not count by peer. */
  readonly peers: readonly PeerMetrics[];
  readonly eventLoopDelay: LoopDelay;
  /** The link implementation that runs. */
  readonly link: string;
}
