// The package "raftmark": open a node, its options, its errors.
export { type ErrorCode, RaftmarkError } from "./base/errors.js";
export type {
  CallOptions,
  CloseOptions,
  CommittedEntry,
  CommittedOptions,
  DiskStatus,
  Durability,
  DurationHistogram,
  Logger,
  LogStatus,
  LoopDelay,
  LostLog,
  Member,
  MemberProgress,
  MembershipChange,
  MembershipChanged,
  NodeMetrics,
  NodeStatus,
  PeerMetrics,
  Pem,
  Proposed,
  RaftNodeOptions,
  ReadOnlyKind,
  SessionCallOptions,
  SessionPlace,
  SnapshotProgress,
  SnapshotSending,
  SnapshotSource,
  SnapshotStream,
  SnapshotTaken,
  SnapshotTaking,
  StateMachine,
  StorageWrites,
  TlsOptions,
  TlsSource,
  WriterKind,
} from "./node/api.js";
export type { ChannelNode, DiagnosticsChannels, ElectionOutcome } from "./node/channels.js";
export { ClientSession } from "./node/client-session.js";
export type { LeaderEvent, NodeEvents, NodeListener, PeerEvent, SnapshotEvent } from "./node/events.js";
export { checkOptions } from "./node/opening.js";
export { type PromRegistry, registerMetrics } from "./node/prometheus.js";
export { RaftNode } from "./node/raft-node.js";
export type { Trace } from "./node/trace.js";
export type { Entry } from "./raft/index.js";
