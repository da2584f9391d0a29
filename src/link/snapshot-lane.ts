// The connection that a snapshot is fetched through, as a link gives it to its owner: messages both ways between the node
// that fetches, which dials, and the one that has it. Beside the lanes of Raft's messages, so that nothing of those ever
// waits behind a piece of a snapshot. Main thread.
import { FRAME_TAG_BYTES } from "../wire/frame.js";
import type { FrameTags } from "./frame-tags.js";

/** One end. */
export interface SnapshotLane {
  /** Bytes are borrowed until it returns. False: dropped; there is no connection now, or too much waits. */
  send(bytes: Uint8Array): boolean;
  /** For good. Nothing comes after it. */
  close(): void;
}

/** What the end that dialled is told. From the event loop, never from inside a call of the link. */
export interface SnapshotLaneEvents {
  /** There is a connection: the first, or another after one was lost with what was under way. */
  onOpen(): void;
  /** Whole, and of the peer; `bytes` are the receiver's. False: no peer sends it; the connection is closed, and opened anew. */
  onMessage(bytes: Uint8Array): boolean;
}

/** What goes over a connection, with its tag if it has tags. */
export function withTag(bytes: Uint8Array, tags: FrameTags | null): Uint8Array {
  if (tags === null) return bytes;
  const tagged = new Uint8Array(bytes.length + FRAME_TAG_BYTES);
  tagged.set(bytes);
  tags.tag(tagged, 0, bytes.length);
  return tagged;
}

/** What came; null: it has not the tag of the next. */
export function withoutTag(bytes: Uint8Array, tags: FrameTags | null): Uint8Array | null {
  if (tags === null) return bytes;
  if (bytes.length < FRAME_TAG_BYTES || !tags.check(bytes)) return null;
  return bytes.subarray(0, bytes.length - FRAME_TAG_BYTES);
}
