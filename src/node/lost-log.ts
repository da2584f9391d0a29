// How a member finds out from its leader that its own log is not what the leader counts on. Pure.
import { RaftmarkError } from "../base/errors.js";
import type { Message, RawNode } from "../raft/index.js";

/**
 * A leader's heartbeat tells a member that what it acknowledged is committed: an index beyond its log says that this was
 * lost. Throws RAFT_LOG_LOST.
 */
export function checkCommit(raft: RawNode["raft"], { term, commit, from }: Message): void {
  const last = raft.raftLog.lastIndex();
  if (term < raft.term || commit <= last) return;
  throw new RaftmarkError(
    "RAFT_LOG_LOST",
    `node ${raft.id} stopped: its log ends at index ${last}, and node ${from}, which leads, ` +
      `has its acknowledgement up to ${commit}: entries that it had stored are gone. The others go on without it ` +
      "while they are a majority (docs/operate.md, A lost log)",
  );
}
