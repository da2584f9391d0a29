// The boundary between a node's driver and whatever carries its messages. Main thread.
import { assert } from "../base/assert.js";
import { NO_DATA } from "../base/bytes.js";
import type { Message } from "../raft/raftpb/index.js";
import { CloseRemoved, CloseUnknownPeer } from "./close-codes.js";
import type { SnapshotLane, SnapshotLaneEvents } from "./snapshot-lane.js";

/** Longest `hello`. */
export const HELLO_BYTES_MAX = 1024;

/** A connection was refused. Told once for each peer, code and direction, until that peer connects again. */
export interface LinkRefusal {
  /** The peer, as it called itself; 0 if it did not get that far. */
  readonly peer: number;
  /** See close-codes.ts. */
  readonly code: number;
  readonly reason: string;
  /** Who refused. */
  readonly by: "self" | "peer";
}

/** What a link tells its owner. Callbacks come from the event loop, never from inside `send`. */
export interface LinkHandler {
  /**
   * Messages of one frame, in the order sent. The array is reused; the messages and the bytes in them are the
   * receiver's. `from` is the authenticated sender; a frame whose messages name another sender is refused.
   * Returns a string, for what a peer may not say: why. The link then closes the connection with CloseBadMessage (one
   * without connections drops the frame). Anything else, and nothing, means that the frame was taken.
   */
  onMessages(group: number, from: number, messages: readonly Message[]): unknown;
  /**
   * A frame to `peer` was dropped (no connection, or too much waits), or may have been lost with a connection that
   * broke: Progress must probe again.
   */
  onUnreachable(peer: number): void;
  /** That was so because no frame holds the message (maxFrameBytes): it will not go the next time, either. */
  onTooLong?(peer: number): void;
  /** The path by which `peer` hears us opened or closed. */
  onPeer(peer: number, connected: boolean): void;
  /**
   * A connection with `peer` was opened that is not the one of onPeer: the one by which this node hears it, or the one
   * for urgent messages. What was under way on its predecessor may be lost.
   */
  onPath?(peer: number): void;
  /**
   * What each peer is shown while a path to it or from it is being proved; at most HELLO_BYTES_MAX. Opaque to the
   * link, read for each path, signed but not secret. Absent: nothing.
   */
  readonly hello?: Uint8Array;
  /**
   * What `peer` shows (empty: nothing), authenticated, before any frame of that path counts. Returns null to welcome
   * it, or why not: the path is closed with CloseLostLog, and both sides are told that reason (`onRefused`).
   */
  onHello?(peer: number, hello: Uint8Array): string | null;
  onRefused?(refusal: LinkRefusal): void;
  /**
   * A peer that the link does not know has proved itself, and shows this. It is let in if the owner names it now
   * (setPeer), and refused otherwise.
   */
  onStranger?(peer: number, hello: Uint8Array): void;
  /** Whether `peer`, whom the link does not know, was a member: it is then told so (CloseRemoved). */
  isRemoved?(peer: number): boolean;
  /**
   * A message of `peer`, which fetches a snapshot over a connection of its own, whose bytes are borrowed; `lane` is the
   * way back, as long as that connection lasts. False: no peer sends it, and the connection is closed.
   */
  onSnapshotMessage?(peer: number, bytes: Uint8Array, lane: SnapshotLane): boolean;
  /** That connection is gone. */
  onSnapshotLaneClosed?(peer: number, lane: SnapshotLane): void;
  /** Nobody answered for `peer` at `address`, so that it is not heard: what was said. At every attempt to connect. */
  onUnreached?(peer: number, address: string, why: string): void;
}

/** What `handler` shows now. */
export function helloOf(handler: LinkHandler): Uint8Array {
  const hello = handler.hello ?? NO_DATA;
  assert(hello.length <= HELLO_BYTES_MAX, "a hello above its limit");
  return hello;
}

/** What peer `id`, whom the link does not know, is refused with. Null: the link is not started. */
export function codeOfStranger(handler: LinkHandler | null, id: number): number {
  return handler?.isRemoved?.(id) === true ? CloseRemoved : CloseUnknownPeer;
}

/** What went to one peer and came from it since start; frames, not the bytes of TCP and TLS around them. */
export interface LinkPeerStats {
  readonly id: number;
  framesSent: number;
  bytesSent: number;
  framesReceived: number;
  bytesReceived: number;
  /** To it: there was no connection, or too much waited. */
  framesDropped: number;
}

/** Counters since start, for metrics. */
export interface LinkStats {
  framesSent: number;
  framesReceived: number;
  bytesSent: number;
  bytesReceived: number;
  messagesSent: number;
  messagesReceived: number;
  framesDropped: number;
  /** Frames of proved peers that were damaged. What the owner refused (onMessages) is the owner's to count. */
  framesRefused?: number;
  /** The same by peer, of those that are known; absent where the link does not count so. */
  peers?: readonly LinkPeerStats[];
}

/** What accepts connections; both sides of a link need not have the same. */
export type AcceptorKind = "uws" | "ws";

/** Unreliable, ordered, at-most-once delivery of message batches between the nodes of one cluster. */
export interface Link {
  /** Listens and dials. Rejects with RAFT_ADDRESS_IN_USE or RAFT_LINK. */
  start(handler: LinkHandler): Promise<void>;
  /**
   * Sends `messages` of one driver turn: one frame for each receiver, in order. Messages and entries are borrowed
   * until the call returns. Never throws for a peer that is away; that is onUnreachable, later.
   */
  send(group: number, messages: readonly Message[]): void;
  /** Where `peer` is dialled from now on, and connections to it that stand stay; null: it is gone. */
  setPeer(peer: number, address: string | null): void;
  /**
   * Opens a connection of its own to fetch a snapshot from `peer`, and another whenever it is lost, until it is closed.
   * A link without it sends no snapshots.
   */
  openSnapshotLane?(peer: number, events: SnapshotLaneEvents): SnapshotLane;
  /**
   * Gives up the connection over which `peer` sends appends and other bulk, with all that is on its way in it, and
   * opens another: what is on its way is worth nothing. Without this method all of it arrives first.
   */
  redial?(peer: number): void;
  stats(): LinkStats;
  /** The name of the implementation that runs, for reports ("uWebSockets.js 20.30.0 (native)"). */
  readonly implementation: string;
  close(): Promise<void>;
}
