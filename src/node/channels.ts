// Channels of node:diagnostics_channel that say what happens to the nodes of this process, for tracers and agents that know
// no node. Without a subscriber nothing is built. Main thread.
import { channel } from "node:diagnostics_channel";
import type { RaftmarkError } from "../base/errors.js";
import { type RawNode, StateCandidate } from "../raft/index.js";
import type { Member } from "./api.js";
import type { LeaderEvent, NodeEvents, PeerEvent, SnapshotEvent } from "./events.js";

/** Whom a message of a channel is about. */
export interface ChannelNode {
  /** Id of the node, and of its cluster. */
  readonly node: number;
  readonly clusterId: number;
}

/**
 * The channels of node:diagnostics_channel, and what is published there, synchronously, in a microtask of its own. What a
 * subscriber throws is an uncaught exception of the process, as for every such channel.
 */
export interface DiagnosticsChannels {
  /** An election of this node, which raised the term: begun, won, or lost to another or to nobody. */
  "raftmark:election": ChannelNode & { readonly term: number; readonly outcome: ElectionOutcome };
  /** Another leader is known, or none any more (0). */
  "raftmark:leader": ChannelNode & LeaderEvent;
  /** A snapshot was taken here, or came from a leader; or either failed. */
  "raftmark:snapshot": ChannelNode & SnapshotEvent;
  /** The node fenced itself: it only refuses from now on. */
  "raftmark:fenced": ChannelNode & { readonly error: RaftmarkError };
  /** Other members are in force, as of the entry at `index` that this node applied, or a snapshot that it took. */
  "raftmark:membership": ChannelNode & {
    readonly index: number;
    readonly members: readonly Member[];
    /** Two memberships at once, of which the leader leaves the old one by itself. */
    readonly isJoint: boolean;
  };
  /** The node is no member any more: it stops. */
  "raftmark:removed": ChannelNode & { readonly error: RaftmarkError };
  /** The way to a peer opened or closed, or a connection was refused. */
  "raftmark:link": ChannelNode & PeerEvent;
}

/** How an election of a node stands. */
export type ElectionOutcome = "started" | "won" | "lost";

const CHANNELS = {
  election: channel("raftmark:election"),
  leader: channel("raftmark:leader"),
  snapshot: channel("raftmark:snapshot"),
  fenced: channel("raftmark:fenced"),
  membership: channel("raftmark:membership"),
  removed: channel("raftmark:removed"),
  link: channel("raftmark:link"),
};
const OF_EVENT: { readonly [E in keyof NodeEvents]: keyof typeof CHANNELS } = {
  leader: "leader",
  snapshot: "snapshot",
  fault: "fenced",
  removed: "removed",
  peer: "link",
};

/** What one node publishes. */
export class NodeChannels {
  private readonly about: ChannelNode;
  private electionsStarted = 0;
  private electionsWon = 0;
  /** Term of the election under way; 0: there is none. */
  private term = 0;

  constructor(node: number, clusterId: number) {
    this.about = { node, clusterId };
  }

  /** An event of the node, from the microtask in which its listeners are told. */
  event<E extends keyof NodeEvents>(event: E, value: NodeEvents[E][0]): void {
    const to = CHANNELS[OF_EVENT[event]];
    if (!to.hasSubscribers) return;
    to.publish({
      ...this.about,
      ...(event === "fault" || event === "removed" ? { error: value } : (value as object)),
    });
  }

  /** Who the members are changed. */
  membership(index: number, now: { list(): readonly Member[]; readonly isJoint: boolean }): void {
    if (!CHANNELS.membership.hasSubscribers) return;
    const message = { ...this.about, index, members: now.list(), isJoint: now.isJoint };
    queueMicrotask(() => CHANNELS.membership.publish(message));
  }

  /**
   * Leader or term changed, so that elections may have begun or ended. One that began and ended within a turn of the driver
   * is not told, and one that came to no end is told as lost when something else happens.
   */
  elections({ electionsStarted, electionsWon, state, term }: RawNode["raft"]): void {
    if (electionsStarted > this.electionsStarted) {
      this.endElection("lost");
      this.term = term;
      this.tellElection("started");
    }
    if (state !== StateCandidate) this.endElection(electionsWon > this.electionsWon ? "won" : "lost");
    this.electionsStarted = electionsStarted;
    this.electionsWon = electionsWon;
  }

  private endElection(outcome: ElectionOutcome): void {
    if (this.term === 0) return;
    this.tellElection(outcome);
    this.term = 0;
  }

  private tellElection(outcome: ElectionOutcome): void {
    if (!CHANNELS.election.hasSubscribers) return;
    const message = { ...this.about, term: this.term, outcome };
    // Not from within a turn: a subscriber may call the node.
    queueMicrotask(() => CHANNELS.election.publish(message));
  }
}
