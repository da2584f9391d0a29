// Why bytes from the network were refused. One closed list for messages and frames.

/** Each value names the first check that failed. */
export type WireRefusal =
  /** Fewer bytes than a frame needs, or lengths that do not add up. */
  | "length"
  | "magic"
  | "version"
  | "flags"
  | "crc"
  /** Not the next frame of this connection as it was sent. */
  | "tag"
  | "cluster"
  /** The frame, or a message in it that is not one to forward, names another sender than the one that proved its key. */
  | "sender"
  /** A message for another node. */
  | "receiver"
  /** The number of messages is not the one announced; or there are more messages, entries or members than a frame has. */
  | "count"
  /** A message that is no raftpb.Message, or has what does not belong on the wire. */
  | "message"
  /** A message of a type that never leaves a node, or of a type we do not know. */
  | "type"
  /** A term, index or id above 2^53-1. */
  | "unsafe-integer";

/** Thrown by decoders of single messages; whoever decodes a frame turns it into a result. */
export class WireError extends Error {
  override readonly name = "WireError";
  readonly refusal: WireRefusal;

  constructor(refusal: WireRefusal, options?: { cause: unknown }) {
    super(`raftpb: refused (${refusal})`, options);
    this.refusal = refusal;
  }
}
