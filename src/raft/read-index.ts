// Reads of a leader (§8; dissertation §6.4): each gets the commit index as it was when it came, once a quorum's answers to
// a round of heartbeats, or a lease, say that this node still led then.
import { assert } from "../base/assert.js";
import { ReadOnlyLeaseBased } from "./config.js";
import type { Raft } from "./raft.js";
import { Message, MsgReadIndexResp, None } from "./raftpb/index.js";
import { bcastHeartbeat } from "./replicate.js";

/** A read request, of this node or of another. */
export function handleReadIndex(r: Raft, m: Message): void {
  assert(m.entries.length === 1, "a read request carries one context");
  // Before this term's first commit, the commit index may be behind what an earlier leader committed: also a sole
  // voter's, which may not know after a restart what it has committed.
  if (r.committedEntryInCurrentTerm()) ask(r, [m]);
  else r.pendingReadIndexMessages.push(m);
}

/** The commit index has moved: the requests that waited for this term's first commit share one round. */
// hot
export function releasePendingReadIndexMessages(r: Raft): void {
  if (r.pendingReadIndexMessages.length === 0) return;
  if (!r.committedEntryInCurrentTerm()) {
    r.logger?.error("pending MsgReadIndex should be released only after first commit in current term");
    return;
  }
  const requests = r.pendingReadIndexMessages;
  r.pendingReadIndexMessages = [];
  ask(r, requests);
}

function ask(r: Raft, requests: readonly Message[]): void {
  const { committed } = r.raftLog;
  if (r.trk.isSoleVoter(r.id) || (r.readOnly.option === ReadOnlyLeaseBased && r.holdsLease())) {
    for (const request of requests) answer(r, request, committed);
    return;
  }
  for (const request of requests) r.readOnly.addRequest(committed, request);
  bcastHeartbeat(r);
  // Where this node is the only voter of both halves of a joint configuration, nobody else is asked.
  answerConfirmed(r);
}

/** A member has answered a round, or is none any more: answers the requests that a quorum's answers confirm. */
export function answerConfirmed(r: Raft): void {
  if (r.readOnly.waiting === 0) return;
  const round = r.trk.confirmedRound(r.id, r.readOnly.lastRound);
  for (const { request, index } of r.readOnly.advance(round)) answer(r, request, index);
}

function answer(r: Raft, request: Message, index: number): void {
  if (request.from === None || request.from === r.id) {
    r.readStates.push({ index, requestCtx: request.entries[0].data });
    return;
  }
  const m = new Message(MsgReadIndexResp);
  m.to = request.from;
  m.index = index;
  m.entries = request.entries;
  r.send(m);
}
