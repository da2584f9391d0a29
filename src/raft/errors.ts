// Expected refusals of the core, as values: a call returns one, it is never thrown. Texts are etcd raft's.

import { RaftError } from "../base/raft-error.js";

export { RaftError };

/** The log begins behind the index that was asked for. */
export const ErrCompacted = new RaftError(
  "RAFT_COMPACTED",
  "requested index is unavailable due to compaction",
);
/** The storage has a newer snapshot. */
export const ErrSnapOutOfDate = new RaftError(
  "RAFT_SNAP_OUT_OF_DATE",
  "requested index is older than the existing snapshot",
);
/** The log ends before the index that was asked for. */
export const ErrUnavailable = new RaftError("RAFT_UNAVAILABLE", "requested entry at index is unavailable");
/** A snapshot is being made: ask again later. */
export const ErrSnapshotTemporarilyUnavailable = new RaftError(
  "RAFT_SNAPSHOT_TEMPORARILY_UNAVAILABLE",
  "snapshot is temporarily unavailable",
);
/** A message that never comes from a peer. */
export const ErrStepLocalMsg = new RaftError("RAFT_STEP_LOCAL_MSG", "raft: cannot step raft local message");
/** An answer of somebody who is no member. */
export const ErrStepPeerNotFound = new RaftError(
  "RAFT_STEP_PEER_NOT_FOUND",
  "raft: cannot step as peer not found",
);
/** A message no correct peer sends: a number out of range, entries with a gap, a part missing. */
export const ErrStepBadMessage = new RaftError(
  "RAFT_STEP_BAD_MESSAGE",
  "raft: cannot step malformed message",
);
/** A message for somebody else. */
export const ErrStepWrongNode = new RaftError(
  "RAFT_STEP_WRONG_NODE",
  "raft: cannot step message addressed to another node",
);
/** The bytes of a change of membership are none. */
export const ErrBadConfChange = new RaftError(
  "RAFT_BAD_CONF_CHANGE",
  "raft: configuration change cannot be decoded",
);
/** A MsgProp without entries. */
export const ErrEmptyProposal = new RaftError("RAFT_EMPTY_PROPOSAL", "raft: proposal without entries");
/** RawNode.bootstrap without members. */
export const ErrBootstrapNoPeers = new RaftError(
  "RAFT_BOOTSTRAP_NO_PEERS",
  "must provide at least one peer to Bootstrap",
);
/** RawNode.bootstrap of a storage that holds something. */
export const ErrBootstrapNotEmpty = new RaftError(
  "RAFT_BOOTSTRAP_NOT_EMPTY",
  "can't bootstrap a nonempty Storage",
);

/** Why a proposal was dropped. None of these ever commits; the proposer may try again elsewhere or later. */
export type DropReason = "noLeader" | "transferring" | "uncommittedLimit" | "removed" | "forwardingDisabled";

/** etcd's ErrProposalDropped, with the reason. */
export class ProposalDropped extends RaftError {
  readonly reason: DropReason;

  constructor(reason: DropReason) {
    super("RAFT_PROPOSAL_DROPPED", "raft proposal dropped");
    this.reason = reason;
  }
}

/** Nobody leads. */
export const ErrProposalDroppedNoLeader = new ProposalDropped("noLeader");
/** Leadership is being handed over. */
export const ErrProposalDroppedTransferring = new ProposalDropped("transferring");
/** Too much waits to be committed (maxUncommittedEntriesSize). */
export const ErrProposalDroppedUncommittedLimit = new ProposalDropped("uncommittedLimit");
/** This node leads, but is no longer a member. */
export const ErrProposalDroppedRemoved = new ProposalDropped("removed");
/** A follower may not pass it on (disableProposalForwarding). */
export const ErrProposalDroppedForwardingDisabled = new ProposalDropped("forwardingDisabled");
