// What a node shows of itself: status() and metrics, read from its parts when somebody asks, and never kept. Main thread.
import type { Link } from "../link/index.js";
import {
  PROGRESS_STATE_NAMES,
  type RawNode,
  STATE_NAMES,
  StateCandidate,
  StateLeader,
} from "../raft/index.js";
import type { Wal } from "../wal/index.js";
import type { LostLog, MemberProgress, NodeMetrics, NodeStatus, PeerMetrics } from "./api.js";
import type { Driver } from "./driver.js";
import type { Forwarding } from "./forwarding.js";
import type { LoopDelayWatch } from "./loop-delay.js";
import type { Members } from "./members.js";
import type { SnapshotService } from "./snapshot-service.js";

export interface FigureParts {
  readonly id: number;
  readonly wal: Wal;
  readonly link: Link;
  readonly rawNode: RawNode;
  readonly driver: Driver;
  readonly forwarding: Forwarding;
  readonly members: Members;
  readonly snapshots: SnapshotService;
  readonly peerLogs: { readonly lostLogs: readonly LostLog[] };
  readonly loopDelay: LoopDelayWatch;
  readonly peerLines: { obstacles(): string[] };
}

/** `end`: it takes part no more; `fault`: why, if it fenced itself. */
export function statusOf(
  parts: FigureParts,
  end: "StateFenced" | "StateRemoved" | "StateClosed" | null,
  fault: string | null,
): NodeStatus {
  const { wal, driver, snapshots, rawNode } = parts;
  const { hardState, softState, lastIndex } = rawNode.basicStatus();
  const { appendLatencyMaxMs, warnings, ringBytes, ringBytesMax, backlogBytes } = wal.stats();
  return {
    id: parts.id,
    term: hardState.term,
    vote: hardState.vote,
    commit: hardState.commit,
    applied: driver.applied,
    lastIndex,
    state: end ?? STATE_NAMES[softState.raftState],
    leader: end === null ? softState.lead : 0,
    members: parts.members.list(),
    isJoint: parts.members.isJoint,
    disk: {
      durability: wal.recovered.durability,
      silent: driver.disk.isSilent,
      stalls: driver.disk.stalls,
      appendLatencyMaxMs,
      warnings,
    },
    log: {
      firstIndex: wal.storage.firstIndex(),
      bytes: wal.storage.logBytes,
      ringBytes,
      ringBytesMax,
      backlogBytes,
    },
    snapshot: snapshots.own.last,
    takingSnapshot: snapshots.own.taking,
    waitingForSnapshot: end === null ? snapshots.waiting() : [],
    sendingSnapshots: snapshots.sender.progress,
    receivingSnapshot: snapshots.receiver.progress,
    progress: end === null ? progressOf(rawNode) : [],
    lostLogs: parts.peerLogs.lostLogs,
    obstacles: end === null ? parts.peerLines.obstacles() : [],
    fault,
  };
}

export function metricsOf(parts: FigureParts): NodeMetrics {
  const { driver, snapshots, rawNode } = parts;
  const { connected } = parts.forwarding.forwards;
  const link = parts.link.stats();
  const wal = parts.wal.stats();
  const { preVotesStarted, electionsStarted, electionsWon, state } = rawNode.raft;
  return {
    proposals: driver.proposed,
    proposalsForwarded: parts.forwarding.forwards.sent,
    applied: driver.applied,
    turns: driver.turns,
    readies: driver.readies,
    preVotesStarted,
    electionsStarted,
    electionsWon,
    electionsLost: electionsStarted - electionsWon - (state === StateCandidate ? 1 : 0),
    leaderChanges: driver.leaderChanges,
    messagesSent: link.messagesSent,
    messagesReceived: link.messagesReceived,
    framesSent: link.framesSent,
    bytesSent: link.bytesSent,
    bytesReceived: link.bytesReceived,
    framesDropped: link.framesDropped,
    framesRefused: driver.framesRefused + (link.framesRefused ?? 0),
    ...snapshots.counters,
    walSyncs: wal.syncs,
    walWrites: wal.writes,
    walBytes: wal.bytes,
    walEntries: wal.entries,
    walSyncSeconds: parts.wal.syncTimes(),
    peers: (link.peers ?? [])
      .map((peer): PeerMetrics => ({ ...peer, connected: connected.has(peer.id) }))
      .sort((a, b) => a.id - b.id),
    eventLoopDelay: parts.loopDelay.read(),
    link: parts.link.implementation,
  };
}

/** The leader's view of the members, by ascending id; empty unless it leads. */
function progressOf(rawNode: RawNode): MemberProgress[] {
  const members: MemberProgress[] = [];
  if (rawNode.raft.state !== StateLeader) return members;
  rawNode.withProgress((id, _, { isLearner, state, match, next, inflights, recentActive }) => {
    const [inflightMsgs, inflightBytes] = [inflights.count(), inflights.size()];
    const name = PROGRESS_STATE_NAMES[state];
    members.push({ id, isLearner, state: name, match, next, inflightMsgs, inflightBytes, recentActive });
  });
  return members;
}
