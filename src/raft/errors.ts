// Expected refusals of the core, as values: a call returns one, it is never thrown. Texts are etcd raft's.

import { RaftError } from "../base/raft-error.js";

export { RaftError };

export const ErrCompacted = new RaftError(
  "RAFT_COMPACTED",
  "requested index is unavailable due to compaction",
);
export const ErrSnapOutOfDate = new RaftError(
  "RAFT_SNAP_OUT_OF_DATE",
  "requested index is older than the existing snapshot",
);
export const ErrUnavailable = new RaftError("RAFT_UNAVAILABLE", "requested entry at index is unavailable");
export const ErrSnapshotTemporarilyUnavailable = new RaftError(
  "RAFT_SNAPSHOT_TEMPORARILY_UNAVAILABLE",
  "snapshot is temporarily unavailable",
);
export const ErrStepLocalMsg = new RaftError("RAFT_STEP_LOCAL_MSG", "raft: cannot step raft local message");
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
export const ErrBadConfChange = new RaftError(
  "RAFT_BAD_CONF_CHANGE",
  "raft: configuration change cannot be decoded",
);
export const ErrEmptyProposal = new RaftError("RAFT_EMPTY_PROPOSAL", "raft: proposal without entries");
export const ErrBootstrapNoPeers = new RaftError(
  "RAFT_BOOTSTRAP_NO_PEERS",
  "must provide at least one peer to Bootstrap",
);
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

export const ErrProposalDroppedNoLeader = new ProposalDropped("noLeader");
export const ErrProposalDroppedTransferring = new ProposalDropped("transferring");
export const ErrProposalDroppedUncommittedLimit = new ProposalDropped("uncommittedLimit");
/** This node leads, but is no longer a member. */
export const ErrProposalDroppedRemoved = new ProposalDropped("removed");
export const ErrProposalDroppedForwardingDisabled = new ProposalDropped("forwardingDisabled");
