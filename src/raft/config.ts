// What a RawNode is built from: etcd raft's Config under its names, plus the injected draw of numbers.
import { RaftError } from "./errors.js";
import type { Logger } from "./logger.js";
import { None } from "./raftpb/index.js";
import type { Storage } from "./storage.js";

/**
 * How readIndex is answered: by asking a quorum, or by the leader's lease (needs checkQuorum), which a quorum's answers
 * to heartbeats extend. From when the answered heartbeats were *sent*, a lease lasts
 * (electionTick - 1) * (1 - LEASE_DRIFT) - 1 ticks: less than any voter that answered keeps from voting, if no voter's
 * clock is faster than the leader's by more than LEASE_DRIFT (a tenth). Without a lease, and from the start of a
 * transfer of leadership on, a quorum is asked. All members must be set alike.
 */
export const ReadOnlySafe = 0;
/** Reads on the strength of the leader's lease: see ReadOnlySafe. */
export const ReadOnlyLeaseBased = 1;
/** One of the ReadOnly constants. */
export type ReadOnlyOption = 0 | 1;

/** Sizes are bytes, Infinity is no limit; an optional number that is 0 or left out takes its default. */
export interface Config {
  /** 1 .. 2^53-1. */
  readonly id: number;
  /** Ticks without a leader before an election: drawn from [electionTick, 2*electionTick-1]. */
  readonly electionTick: number;
  readonly heartbeatTick: number;
  readonly storage: Storage;
  /** Uniform integer in [0, bound). The only randomness of the core (§5.2: election timeouts). */
  readonly random: (bound: number) => number;
  /**
   * The leader's clock for its lease: ticks since any moment, as a real number that never falls and does not stand still
   * with the process; Infinity: no lease holds any more. Left out: the calls of tick() are counted, which is right only
   * where time is what ticks say.
   */
  readonly elapsedTicks?: (() => number) | null;
  /**
   * With ReadOnlyLeaseBased: this node may have answered a leader's heartbeat before it was started (its log is not
   * new), so it does not vote for an election timeout. Default false.
   */
  readonly mayHavePromised?: boolean;
  /** Last index the application has applied; entries up to it are not handed out again. */
  readonly applied?: number;
  /** See RawNode: storage work becomes messages to the storage threads, and advance() is not called. */
  readonly asyncStorageWrites?: boolean;
  /** Encoded bytes of entries in one MsgApp; 0: one entry a message. */
  readonly maxSizePerMsg: number;
  /** Encoded bytes of entries handed out and not yet applied. Default: maxSizePerMsg. */
  readonly maxCommittedSizePerReady?: number;
  /** Payload bytes of the leader's uncommitted tail; proposals past it are dropped. Default: no limit. */
  readonly maxUncommittedEntriesSize?: number;
  readonly maxInflightMsgs: number;
  /** Payload bytes on the way to one follower. Default: no limit; else at least maxSizePerMsg. */
  readonly maxInflightBytes?: number;
  /** Bytes that maxInflightBytes counts for each message and entry besides the payload. Default 0, as etcd raft. */
  readonly inflightOverheadPerMsg?: number;
  readonly inflightOverheadPerEntry?: number;
  /**
   * Encoded bytes of entries in a MsgApp to a follower that is being probed; if the first is larger, none. A probe asks
   * only where the logs agree, and is sent again with each heartbeat's answer, before the last arrived or not. Default:
   * maxSizePerMsg, and at least one entry, as etcd raft.
   */
  readonly maxSizePerProbe?: number;
  /**
   * What etcd raft does not do, so that nobody waits for what does not come. A follower takes of an append that begins
   * below its commit index what lies beyond it, and does not drop all of it. A leader that a change removes or demotes
   * looks at once what the voters who stay have acknowledged and answered, as at any other change. A node that cannot
   * lead says with its refusal of a vote what it knows to be committed, so that members who do not know of its removal
   * need its vote no longer. A leader whose proposal to leave a joint configuration was dropped makes it again with a
   * heartbeat, and not only with the next entry that is applied. And so that nobody leads a term twice: a candidate leads
   * once its own vote is stored, and not on those of others alone. Default true; false: as etcd raft, for its traces.
   */
  readonly beyondEtcd?: boolean;
  readonly checkQuorum?: boolean;
  readonly preVote?: boolean;
  readonly readOnlyOption?: ReadOnlyOption;
  readonly disableProposalForwarding?: boolean;
  readonly disableConfChangeValidation?: boolean;
  readonly stepDownOnRemoval?: boolean;
  /** Null or left out: no text is built. */
  readonly logger?: Logger | null;
}

/** A Config with nothing left out. */
export interface Settings extends Required<Config> {
  readonly logger: Logger | null;
  readonly elapsedTicks: (() => number) | null;
}

/** Fills in the defaults, or says what is wrong with the config. */
export function resolveConfig(config: Config): Settings | RaftError {
  const settings: Settings = {
    id: config.id,
    electionTick: config.electionTick,
    heartbeatTick: config.heartbeatTick,
    storage: config.storage,
    random: config.random,
    elapsedTicks: config.elapsedTicks ?? null,
    mayHavePromised: config.mayHavePromised ?? false,
    applied: config.applied ?? 0,
    asyncStorageWrites: config.asyncStorageWrites ?? false,
    maxSizePerMsg: config.maxSizePerMsg,
    maxCommittedSizePerReady: orDefault(config.maxCommittedSizePerReady, Math.max(config.maxSizePerMsg, 1)),
    maxUncommittedEntriesSize: orDefault(config.maxUncommittedEntriesSize, Infinity),
    maxInflightMsgs: config.maxInflightMsgs,
    maxInflightBytes: orDefault(config.maxInflightBytes, Infinity),
    inflightOverheadPerMsg: config.inflightOverheadPerMsg ?? 0,
    inflightOverheadPerEntry: config.inflightOverheadPerEntry ?? 0,
    maxSizePerProbe: orDefault(config.maxSizePerProbe, Infinity),
    beyondEtcd: config.beyondEtcd ?? true,
    checkQuorum: config.checkQuorum ?? false,
    preVote: config.preVote ?? false,
    readOnlyOption: config.readOnlyOption ?? ReadOnlySafe,
    disableProposalForwarding: config.disableProposalForwarding ?? false,
    disableConfChangeValidation: config.disableConfChangeValidation ?? false,
    stepDownOnRemoval: config.stepDownOnRemoval ?? false,
    logger: config.logger ?? null,
  };
  const problem = findProblem(settings);
  return problem === null ? settings : new RaftError("RAFT_BAD_CONFIG", problem);
}

function orDefault(value: number | undefined, fallback: number): number {
  return value === undefined || value === 0 ? fallback : value;
}

function findProblem(s: Settings): string | null {
  if (s.id === None) return "cannot use none as id";
  if (!Number.isSafeInteger(s.id) || s.id < 0) return "id must be an integer from 1 to 2^53-1";
  if (!(s.heartbeatTick > 0)) return "heartbeat tick must be greater than 0";
  if (!(s.electionTick > s.heartbeatTick)) return "election tick must be greater than heartbeat tick";
  if (!Number.isSafeInteger(s.heartbeatTick) || !Number.isSafeInteger(s.electionTick)) {
    return "ticks must be integers";
  }
  if (s.storage === null || s.storage === undefined) return "storage cannot be nil";
  if (typeof s.random !== "function") return "random must be a function";
  if (!Number.isSafeInteger(s.applied) || s.applied < 0) return "applied must be an index";
  if (!(s.maxInflightMsgs > 0)) return "max inflight messages must be greater than 0";
  if (!(s.maxSizePerMsg >= 0)) return "max message size must not be negative";
  if (!(s.maxCommittedSizePerReady > 0)) return "max committed size must be greater than 0";
  if (!(s.maxUncommittedEntriesSize >= 0)) return "max uncommitted size must not be negative";
  if (!(s.maxInflightBytes >= s.maxSizePerMsg)) return "max inflight bytes must be >= max message size";
  if (!(s.inflightOverheadPerMsg >= 0) || !(s.inflightOverheadPerEntry >= 0))
    return "overheads must not be negative";
  if (!(s.maxSizePerProbe >= 0)) return "max probe size must not be negative";
  if (s.readOnlyOption === ReadOnlyLeaseBased && !s.checkQuorum) {
    return "CheckQuorum must be enabled when ReadOnlyOption is ReadOnlyLeaseBased";
  }
  return null;
}
