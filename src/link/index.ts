export {
  CLOSE_REASONS,
  CloseBadCluster,
  CloseBadFrame,
  CloseBadKey,
  CloseBadVersion,
  CloseGoingAway,
  CloseReplaced,
  CloseTimeout,
  CloseUnknownPeer,
  CloseWrongNode,
} from "./close-codes.js";
export type { Link, LinkHandler, LinkStats } from "./link.js";
export { MemoryNetwork, type MemoryNetworkOptions } from "./memory-link.js";
export { createUwsLink, type LinkRefusal, type UwsLink, type UwsLinkOptions } from "./uws-link.js";
