// The closed list of errors that reach users of the package. Codes are stable; texts may get better.

/** Every code a RaftmarkError can carry. `mayCommit` says more of a proposal than the code does. */
export type ErrorCode =
  /**
   * An option or argument is not what it must be: the message names it, its value and the rule. Nothing was
   * done.
   */
  | "RAFT_BAD_OPTION"
  /**
   * A bundler, or a flag of Node's, took away what the engine needs, or a later version of raftmark wrote in the data
   * directory: the message says what to change. Also thrown by the import of the package.
   */
  | "RAFT_UNSUPPORTED"
  /**
   * This node's log was begun with other members than the cluster has. The node is fenced: remove it, and add
   * a member with a new id and an empty directory.
   */
  | "RAFT_MEMBERSHIP_DIFFERS"
  /**
   * A node's log is not the one that the others count on: emptied, replaced or cut short. It takes part in
   * nothing: replace it by a new member (docs/operate.md).
   */
  | "RAFT_LOG_LOST"
  /** This node is no member any more, and stops; its id is used up. */
  | "RAFT_REMOVED"
  /** A change of members does not fit the members as they are, or would leave a group that cannot commit. */
  | "RAFT_CHANGE_REFUSED"
  /** Another change of members is under way: try again when it is done. */
  | "RAFT_CHANGE_UNDER_WAY"
  /** This node does not lead, and the call is the leader's; `leader` names it, 0: none is known. */
  | "RAFT_NOT_LEADER"
  /**
   * What was proposed will never be applied: other entries took its place, or the leader takes none now. Propose it again.
   */
  | "RAFT_PROPOSAL_DROPPED"
  /**
   * The leadership is lost with it in the log: it may be applied yet, or not. A session tells (openSession).
   */
  | "RAFT_LEADERSHIP_LOST"
  /**
   * No leader was known for leaderlessTimeoutMs, or none that this node reaches. What is proposed is in no
   * log.
   */
  | "RAFT_NO_LEADER"
  /** The entry that is asked for is released: a snapshot stands for it. */
  | "RAFT_COMPACTED"
  /** timeoutMs of the call, or requestTimeoutMs, is over. */
  | "RAFT_TIMEOUT"
  /** More bytes than maxProposalBytes, here or on the leader, or than any empty queue holds: split it. */
  | "RAFT_PROPOSAL_TOO_LARGE"
  /** Too much waits already: try again when earlier calls are done. */
  | "RAFT_OVERLOADED"
  /** The node is closed, or is closing. */
  | "RAFT_CLOSED"
  /** The call's `signal` aborted; `cause` has its reason. */
  | "RAFT_ABORTED"
  /**
   * The node stopped itself after a fault, which `cause` has: nothing but close() is left to call. What made
   * it so is to be mended, and the node started again.
   */
  | "RAFT_FENCED"
  /** stateMachine.snapshot threw, or gave what is no state (`cause`); or nothing is applied yet. The node goes on. */
  | "RAFT_SNAPSHOT_FAILED"
  /** The group has no such session any more: open another. */
  | "RAFT_SESSION_EXPIRED"
  /** It was applied before, or may have been, and with which outcome is not kept: read the state. */
  | "RAFT_OUTCOME_FORGOTTEN"
  /** The node cannot listen where it is told to; `cause` has why. */
  | "RAFT_LINK"
  /** Another process listens there already. */
  | "RAFT_ADDRESS_IN_USE"
  /**
   * A file of the log, or a snapshot, is damaged where acknowledged entries may lie: nothing was cut off
   * (docs/operate.md).
   */
  | "WAL_CORRUPT"
  /** Another process, or this one, has the directory open. */
  | "WAL_LOCKED"
  /**
   * Lock, directory or newest segment of an open log were deleted, renamed or replaced. Nothing is
   * acknowledged since.
   */
  | "WAL_GONE"
  /** The directory cannot be made, or not be written to. */
  | "WAL_NOT_WRITABLE"
  /** The disk is full. A snapshot is tried again later; a log that cannot be written fences the node. */
  | "WAL_NO_SPACE"
  /** The disk failed. A write of the log that failed is never tried again: the node is fenced. */
  | "WAL_IO"
  /** There is no log, or no such snapshot. */
  | "WAL_NOT_FOUND"
  /** A newer snapshot is recorded already. */
  | "WAL_SNAPSHOT_OUTDATED";

/** What was thrown, as text, whatever that is: also what has none, or throws when it is asked for it. */
export function textOf(cause: unknown): string {
  try {
    return cause instanceof Error ? `${cause.message}` : String(cause);
  } catch {
    return "something that has no text";
  }
}

/** What an error carries beside code and text. */
export interface ErrorDetails {
  mayCommit?: boolean;
  leader?: number;
  /** What was thrown, where this error stands for it. */
  cause?: unknown;
}

/**
 * An expected refusal or fault: what was wrong, where, and what to do, in one sentence.
 * `mayCommit` is true when a proposal that failed with this error may still be committed by the cluster, so that
 * proposing it again can apply it twice.
 */
export class RaftmarkError extends Error {
  override readonly name = "RaftmarkError";
  readonly code: ErrorCode;
  readonly mayCommit: boolean;
  /** With RAFT_NOT_LEADER and RAFT_NO_LEADER: who leads. 0: nobody is known to; also with every other code. */
  readonly leader: number;

  constructor(code: ErrorCode, message: string, options: ErrorDetails = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.mayCommit = options.mayCommit ?? false;
    this.leader = options.leader ?? 0;
  }

  /**
   * An error without a stack, for what comes in storms and from no place worth naming: most of an error's cost is its
   * stack.
   */
  static withoutStack(...args: ConstructorParameters<typeof RaftmarkError>): RaftmarkError {
    // V8's; elsewhere it does nothing.
    const limits = Error as { stackTraceLimit?: number | undefined };
    const limit = limits.stackTraceLimit;
    limits.stackTraceLimit = 0;
    try {
      return new RaftmarkError(...args);
    } finally {
      limits.stackTraceLimit = limit;
    }
  }
}
