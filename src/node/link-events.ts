// The handler of a node's link: hands messages to the driver, and tells each connection that opens, breaks or is
// refused to all parts that keep account of peers. Main thread.
import { CloseLostLog, CloseRemoved, type LinkHandler, type LinkRefusal } from "../link/index.js";
import type { RawNode } from "../raft/index.js";
import type { Driver } from "./driver.js";
import type { PeerEvent } from "./events.js";
import type { Forwarding } from "./forwarding.js";
import type { MemberBook } from "./member-book.js";
import type { Members } from "./members.js";
import { decodeHello, encodeHello } from "./peer-hello.js";
import type { PeerLines } from "./peer-lines.js";
import { isShorterLog, type PeerLogs } from "./peer-logs.js";
import type { SnapshotService } from "./snapshot-service.js";
import { StaleAppends } from "./stale-appends.js";

export interface LinkEventsParts {
  readonly group: number;
  readonly rawNode: RawNode;
  readonly driver: Driver;
  readonly forwarding: Forwarding;
  readonly snapshots: SnapshotService;
  readonly members: Members;
  readonly book: MemberBook;
  readonly peerLogs: PeerLogs;
  readonly peerLines: PeerLines;
  readonly onPeer: (event: PeerEvent) => void;
  /** Link.redial. */
  readonly redial: (peer: number) => void;
  /** This node knows that it is no member any more. */
  readonly isRemoved: () => boolean;
  /** A peer says that this node is no member any more. */
  readonly onRemoved: (why: string) => void;
}

/** Uses no `this`: the link may be the caller's own, and take the functions off the handler. */
export function linkEvents(parts: LinkEventsParts): LinkHandler {
  const { group: own, rawNode, driver, forwarding, snapshots, members, book, peerLogs, peerLines } = parts;
  const staleAppends = new StaleAppends(parts.redial);
  const onPath = (peer: number): void => {
    // Requests to the peer, or its answers, may be lost with the connection before.
    forwarding.forwards.pathOpened(peer);
    snapshots.pathOpened(peer);
    driver.askAgain(peer);
  };
  return {
    // hot
    onMessages: (group, from, messages) => {
      if (group !== own) return driver.refuse(`group ${group}: this node has no group but ${own}`);
      staleAppends.look(from, messages, rawNode.raft.term);
      return driver.messages(messages);
    },
    onUnreachable: (peer) => {
      forwarding.forwards.unreachable(peer);
      driver.control(() => rawNode.reportUnreachable(peer));
    },
    onPeer: (peer, connected) => {
      forwarding.forwards.peerChanged(peer, connected);
      if (connected) onPath(peer);
      peerLines.changed(peer, connected);
      parts.onPeer({ peer, connected, refusal: null });
    },
    onPath,
    get hello() {
      return encodeHello({ ...peerLogs.shown, standing: members.standing });
    },
    onHello: (peer, bytes) => {
      const hello = decodeHello(bytes);
      peerLogs.noteProgress(rawNode.raft);
      const refusal = peerLogs.meet(peer, hello);
      if (refusal === null) members.meet(peer, hello?.standing ?? null);
      return refusal;
    },
    onRefused: (refusal) => refused(parts, refusal),
    onStranger: (peer, bytes) => members.meet(peer, decodeHello(bytes)?.standing ?? null),
    isRemoved: (peer) => book.isRemoved(peer),
    onSnapshotMessage: (peer, bytes, lane) => snapshots.sender.onMessage(peer, bytes, lane),
    onSnapshotLaneClosed: (peer, lane) => snapshots.sender.onClosed(peer, lane),
    onTooLong: (peer) => peerLines.tooLong(peer),
    onUnreached: (peer, address, why) => peerLines.unreached(peer, address, why),
  };
}

function refused(parts: LinkEventsParts, refusal: LinkRefusal): void {
  const { peer, code, reason, by } = refusal;
  parts.onPeer({ peer, connected: false, refusal });
  if (code === CloseLostLog) {
    // If this node found it out, PeerLogs has told it already.
    if (by === "peer") ownLogIsLost(parts, peer, reason);
  } else if (code === CloseRemoved && by === "peer") removedBy(parts, peer);
  else parts.peerLines.refused(refusal, parts.members.knows(peer));
}

function removedBy({ rawNode, isRemoved, onRemoved }: LinkEventsParts, peer: number): void {
  // As a learner, the peer cannot lead those who do not know yet, and they may want this node's vote.
  const isLearner = rawNode.raft.trk.progress.get(peer)?.isLearner === true;
  if (!isLearner || !isRemoved()) onRemoved(`node ${peer} says so`);
}

/** A peer that knows this node's log from before has proof that this is not it, or not all of it. */
function ownLogIsLost({ peerLogs, rawNode, driver }: LinkEventsParts, peer: number, reason: string): void {
  peerLogs.refusedBy(peer, reason);
  // A log in which nothing is committed is new: a peer that knew another one may count on votes and entries that this
  // node has forgotten. A log with commits goes on with those who know it: else a node with an old log could stop a
  // group.
  if (!isShorterLog(reason) && rawNode.raft.raftLog.committed > 0) return;
  peerLogs.keepOwnLost(reason);
  driver.retire();
}
