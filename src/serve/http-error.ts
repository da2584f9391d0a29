// What a client is told where it does not get what it asked for: a status, and JSON with a stable code, one sentence,
// and whether what it asked for may still take effect.
import { type ErrorCode, RaftmarkError } from "../index.js";

/** The body of every answer that is no success, below "error". */
export interface ErrorBody {
  /** A code of the engine's (RAFT_...), or of the service's (KV_...). */
  readonly code: string;
  readonly message: string;
  /** True: the change may have been made, or may yet be; asking again could make it twice. */
  readonly mayCommit: boolean;
  /** With RAFT_NOT_LEADER: who leads, and where clients reach it. */
  readonly leader?: { readonly id: number; readonly http: string | null };
  /** With KV_CONDITION: the revision that the key has; 0: it is absent. */
  readonly revision?: number;
  /** Of a watch, with RAFT_COMPACTED: the first index from which on it can begin; with KV_OVERLOADED: where it ended. */
  readonly from?: number;
}

export class HttpError extends Error {
  override readonly name = "HttpError";
  readonly status: number;
  readonly body: ErrorBody;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: number,
    code: string,
    message: string,
    more: Partial<ErrorBody> = {},
    headers: Readonly<Record<string, string>> = {},
  ) {
    super(message);
    this.status = status;
    this.body = { code, message, mayCommit: false, ...more };
    this.headers = status === 503 ? { "retry-after": "1", ...headers } : headers;
  }
}

/** 503: asking again, here or elsewhere, may help. 500 is for what has no place here. */
const STATUS: Partial<Record<ErrorCode, number>> = {
  RAFT_BAD_OPTION: 400,
  RAFT_PROPOSAL_TOO_LARGE: 413,
  RAFT_COMPACTED: 410,
  RAFT_CHANGE_REFUSED: 409,
  RAFT_CHANGE_UNDER_WAY: 409,
  RAFT_SESSION_EXPIRED: 410,
  RAFT_OUTCOME_FORGOTTEN: 409,
  RAFT_TIMEOUT: 504,
  RAFT_NOT_LEADER: 503,
  RAFT_REMOVED: 503,
  RAFT_PROPOSAL_DROPPED: 503,
  RAFT_LEADERSHIP_LOST: 503,
  RAFT_NO_LEADER: 503,
  RAFT_OVERLOADED: 503,
  RAFT_CLOSED: 503,
  RAFT_ABORTED: 503,
  RAFT_FENCED: 503,
};

/** Of what the engine says in terms of its own options, which a service has not: the same for who asks it. */
const WORDS: Partial<Record<ErrorCode, string>> = {
  RAFT_OVERLOADED:
    "too many changes wait already, at this node or at the leader: ask again when earlier ones are answered",
};

/** Any error as what a client is told; `httpOf` says where clients reach a member. */
export function toHttpError(error: unknown, httpOf: (id: number) => string | null = () => null): HttpError {
  if (error instanceof HttpError) return error;
  if (!(error instanceof RaftmarkError)) {
    // A bug of ours: its text is for the log.
    return new HttpError(500, "KV_INTERNAL", "the node failed at this; its log has why", { mayCommit: true });
  }
  const { code, message, mayCommit, leader } = error;
  const hint = leader === 0 ? {} : { leader: { id: leader, http: httpOf(leader) } };
  const status = STATUS[code] ?? 500;
  return new HttpError(status, code, WORDS[code] ?? message, { mayCommit, ...hint });
}
