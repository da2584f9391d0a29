// The closed list of errors that reach users of the package. Codes are stable; texts may get better.

/** Every code a RaftmarkError can carry. */
export type ErrorCode =
  | "RAFT_BAD_OPTION"
  | "RAFT_MEMBERSHIP_DIFFERS"
  | "RAFT_LOG_LOST"
  | "RAFT_REMOVED"
  | "RAFT_CHANGE_REFUSED"
  | "RAFT_CHANGE_UNDER_WAY"
  | "RAFT_NOT_LEADER"
  | "RAFT_PROPOSAL_DROPPED"
  | "RAFT_LEADERSHIP_LOST"
  | "RAFT_NO_LEADER"
  | "RAFT_COMPACTED"
  | "RAFT_TIMEOUT"
  | "RAFT_PROPOSAL_TOO_LARGE"
  | "RAFT_OVERLOADED"
  | "RAFT_CLOSED"
  | "RAFT_ABORTED"
  | "RAFT_FENCED"
  | "RAFT_SNAPSHOT_FAILED"
  | "RAFT_SESSION_EXPIRED"
  | "RAFT_OUTCOME_FORGOTTEN"
  | "RAFT_LINK"
  | "RAFT_ADDRESS_IN_USE"
  | "WAL_CORRUPT"
  | "WAL_LOCKED"
  | "WAL_GONE"
  | "WAL_NOT_WRITABLE"
  | "WAL_NO_SPACE"
  | "WAL_IO"
  | "WAL_NOT_FOUND"
  | "WAL_SNAPSHOT_OUTDATED";

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
  /** With RAFT_NOT_LEADER: who leads. 0: nobody is known to; also with every other code. */
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
