export type { Crc32c } from "../base/crc32c.js";
export {
  CLOSE_REASONS,
  CloseBadCertificate,
  CloseBadCluster,
  CloseBadFrame,
  CloseBadKey,
  CloseBadMessage,
  CloseBadTag,
  CloseBadVersion,
  CloseDuplicateId,
  CloseGoingAway,
  CloseLostLog,
  CloseRemoved,
  CloseReplaced,
  CloseTimeout,
  CloseUnknownPeer,
  CloseWrongNode,
} from "./close-codes.js";
export {
  type AcceptorKind,
  HELLO_BYTES_MAX,
  type Link,
  type LinkHandler,
  type LinkPeerStats,
  type LinkRefusal,
  type LinkStats,
} from "./link.js";
export { type MemoryLink, MemoryNetwork, type MemoryNetworkOptions } from "./memory-link.js";
export type { SnapshotLane, SnapshotLaneEvents } from "./snapshot-lane.js";
export type { Pem, TlsOptions, TlsSource } from "./tls.js";
export { createUwsLink, type UwsLink, type UwsLinkOptions } from "./uws-link.js";
