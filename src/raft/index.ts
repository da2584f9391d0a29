export type { Peer } from "./bootstrap.js";
export type { Config, ReadOnlyOption, Settings } from "./config.js";
export { ReadOnlyLeaseBased, ReadOnlySafe, resolveConfig } from "./config.js";
export {
  describeConfChange,
  describeConfChangeTokens,
  describeConfState,
  describeEntries,
  describeEntry,
  describeHardState,
  describeMessage,
  describeReadStates,
  describeReady,
  describeSnapshot,
  describeSoftState,
  describeTarget,
  isEmptyHardState,
  quote,
} from "./describe.js";
export { isCampaignTransfer } from "./election.js";
export type { DropReason } from "./errors.js";
export {
  ErrBadConfChange,
  ErrBootstrapNoPeers,
  ErrBootstrapNotEmpty,
  ErrCompacted,
  ErrEmptyProposal,
  ErrProposalDroppedForwardingDisabled,
  ErrProposalDroppedNoLeader,
  ErrProposalDroppedRemoved,
  ErrProposalDroppedTransferring,
  ErrProposalDroppedUncommittedLimit,
  ErrSnapOutOfDate,
  ErrSnapshotTemporarilyUnavailable,
  ErrStepBadMessage,
  ErrStepLocalMsg,
  ErrStepPeerNotFound,
  ErrStepWrongNode,
  ErrUnavailable,
  ProposalDropped,
  RaftError,
} from "./errors.js";
export type { RaftLog } from "./log.js";
export type { Unstable } from "./log-unstable.js";
export type { Logger } from "./logger.js";
export { decodeConfChange } from "./membership.js";
export { MemoryStorage } from "./memory-storage.js";
export type { AckedIndexer, JointConfig, MajorityConfig, VoteResult } from "./quorum/index.js";
export type { Raft } from "./raft.js";
export type {
  ConfChange,
  ConfChangeSingle,
  ConfChangeTransition,
  ConfChangeType,
  ConfChangeV2,
  ConfState,
  EntryType,
  HardState,
  MessageType,
  Snapshot,
  SnapshotMetadata,
} from "./raftpb/index.js";
export {
  asV2,
  ConfChangeAddLearnerNode,
  ConfChangeAddNode,
  ConfChangeRemoveNode,
  ConfChangeTransitionAuto,
  ConfChangeTransitionJointExplicit,
  ConfChangeTransitionJointImplicit,
  ConfChangeUpdateNode,
  confStateHas,
  EMPTY_CONF_STATE,
  EMPTY_HARD_STATE,
  EMPTY_SNAPSHOT,
  Entry,
  EntryConfChange,
  EntryConfChangeV2,
  EntryNormal,
  entriesSize,
  entrySize,
  isConfChangeV2,
  LocalAppendThread,
  LocalApplyThread,
  MESSAGE_TYPE_NAMES,
  Message,
  MsgApp,
  MsgAppResp,
  MsgBeat,
  MsgCheckQuorum,
  MsgForgetLeader,
  MsgHeartbeat,
  MsgHeartbeatResp,
  MsgHup,
  MsgPreVote,
  MsgPreVoteResp,
  MsgProp,
  MsgReadIndex,
  MsgReadIndexResp,
  MsgSnap,
  MsgSnapStatus,
  MsgStorageAppend,
  MsgStorageAppendResp,
  MsgStorageApply,
  MsgStorageApplyResp,
  MsgTimeoutNow,
  MsgTransferLeader,
  MsgUnreachable,
  MsgVote,
  MsgVoteResp,
  marshalConfChange,
  NO_ENTRIES,
  NO_MESSAGES,
  None,
  payloadsSize,
  unmarshalConfChange,
  unmarshalConfChangeV2,
} from "./raftpb/index.js";
export type { Proposed } from "./raw-node.js";
export { RawNode } from "./raw-node.js";
export type { ReadIndexStatus, ReadOnly } from "./read-only.js";
export { ROUND_CONTEXT_BYTES } from "./read-only.js";
export type { ReadState, SoftState, StateType } from "./ready.js";
export {
  Ready,
  STATE_NAMES,
  StateCandidate,
  StateFollower,
  StateLeader,
  StatePreCandidate,
} from "./ready.js";
export type { BasicStatus, ProgressType, Status } from "./status.js";
export { ProgressTypeLearner, ProgressTypePeer } from "./status.js";
export type { Storage } from "./storage.js";
export type {
  Inflights,
  ProgressMap,
  ProgressState,
  ProgressTracker,
  TrackerConfig,
  VoteTally,
} from "./tracker/index.js";
export {
  describeProgressMap,
  PROGRESS_STATE_NAMES,
  Progress,
  StateProbe,
  StateReplicate,
  StateSnapshot,
} from "./tracker/index.js";
export {
  appendIsPlausible,
  INDEX_JUMP_MAX,
  MEMBERS_MAX,
  snapshotIsPlausible,
  TERM_JUMP_MAX,
  termHasOtherLeader,
} from "./validate.js";
