// How long a caller waits: until its signal aborts, or its own timeoutMs is over. For proposals, reads and whoever waits
// for a leader alike; requestTimeoutMs, which bounds them all, is theirs. Main thread.
import { RaftmarkError } from "../base/errors.js";
import { None } from "../raft/index.js";
import { AbortWatch } from "./abort-watch.js";

/** A call that waits. */
export interface Watched {
  readonly signal: AbortSignal | null;
  /** Of its timeoutMs; null: it has none. */
  timer: NodeJS.Timeout | null;
}

/** Why a call ends without an outcome. */
export type CallEnd =
  | { readonly code: "RAFT_ABORTED"; readonly cause: unknown }
  | { readonly code: "RAFT_TIMEOUT"; readonly timeoutMs: number };

/** Calls that wait. `onEnd` is called once, for a call that is watched: it is watched no more then. */
export class CallWatch<T extends Watched> {
  private readonly aborts: AbortWatch<T>;
  private readonly onEnd: (call: T, end: CallEnd) => void;

  constructor(onEnd: (call: T, end: CallEnd) => void) {
    this.onEnd = onEnd;
    this.aborts = new AbortWatch<T>((call, cause) => {
      if (call.timer !== null) clearTimeout(call.timer);
      onEnd(call, { code: "RAFT_ABORTED", cause });
    });
  }

  /** Its signal must not be aborted yet. Throws RAFT_BAD_OPTION, and nothing is watched, if that cannot be listened to. */
  add(call: T, timeoutMs: number | undefined): void {
    if (call.signal !== null) this.aborts.add(call.signal, call);
    if (timeoutMs === undefined) return;
    call.timer = setTimeout(() => {
      if (call.signal !== null) this.aborts.remove(call.signal, call);
      this.onEnd(call, { code: "RAFT_TIMEOUT", timeoutMs });
    }, timeoutMs);
  }

  /** It has ended otherwise. */
  // hot
  remove(call: T): void {
    if (call.signal !== null) this.aborts.remove(call.signal, call);
    if (call.timer !== null) clearTimeout(call.timer);
  }
}

/** The error of a call that waited for a leader: `what` says why one that is known was of no use; `obstacles`: PeerLines. */
export function noLeader(lead: number, what: string, obstacles: readonly string[]): RaftmarkError {
  const text =
    lead === None
      ? "no leader was known in time: is a majority of the members up and reachable?"
      : `node ${lead} leads, and ${what} in time: are the two connected?`;
  const last = obstacles.length === 0 ? "" : ` Last: ${obstacles.join("; ")}`;
  return RaftmarkError.withoutStack("RAFT_NO_LEADER", text + last, { leader: lead });
}

/** The error of a call that ends so; `aborted` and `late` say what that means for it. */
export function endedCall(
  end: CallEnd,
  texts: { readonly aborted: string; readonly late: string },
  mayCommit = false,
): RaftmarkError {
  if (end.code === "RAFT_ABORTED")
    return RaftmarkError.withoutStack(end.code, texts.aborted, { mayCommit, cause: end.cause });
  return RaftmarkError.withoutStack(end.code, `${texts.late} (${end.timeoutMs} ms)`, { mayCommit });
}
