// Packs messages into frames for a link to carry, and counts what goes and comes, in all and by peer. Main thread.
import { Message, MsgApp } from "../raft/raftpb/index.js";
import { FrameAdded, FrameFull, type FrameTagger, type FrameWriter } from "../wire/frame.js";
import type { LinkPeerStats, LinkStats } from "./link.js";

/**
 * A frame of several messages, or of an append of several entries, stays below this. A frame counts when all of it is
 * there: over a path that is slow, or loses its connections, large ones would never be.
 */
export const FRAME_TARGET_BYTES = 256 * 1024;

/** Of any frame, where the owner of a link says nothing. */
export const MAX_FRAME_BYTES_DEFAULT = 64 * 1024 * 1024;

/** Hands a frame, borrowed until it returns, to whatever carries it. False: it was dropped. */
export type PostFrame = (to: number, frame: Uint8Array) => boolean;

export class FrameSender {
  /** Of the link. */
  private readonly counters: LinkStats & { framesRefused: number } = {
    framesSent: 0,
    framesReceived: 0,
    bytesSent: 0,
    bytesReceived: 0,
    messagesSent: 0,
    messagesReceived: 0,
    framesDropped: 0,
    framesRefused: 0,
  };
  private readonly peers = new Map<number, LinkPeerStats>();
  /** Of the peer that is sent to. */
  private current: LinkPeerStats | null = null;
  private readonly writer: FrameWriter;
  private readonly post: PostFrame;
  /** A message to that peer is in no frame. Called from inside `send`. */
  private readonly onTooLong: (to: number) => void;

  constructor(writer: FrameWriter, post: PostFrame, onTooLong: (to: number) => void = () => {}) {
    this.writer = writer;
    this.post = post;
    this.onTooLong = onTooLong;
  }

  /**
   * The messages for one peer, in order, in as few frames as they fit, with the tags of the connection they go over, or
   * a CRC. `rewind` follows the last peer's. False: not all of them went.
   */
  send(group: number, to: number, batch: readonly Message[], tagger: FrameTagger | null = null): boolean {
    // hot
    const writer = this.writer;
    const dropped = this.counters.framesDropped;
    this.current = this.peer(to);
    writer.begin(group);
    for (let i = 0; i < batch.length; i++) {
      const message = batch[i]!;
      const isLong = writer.isLong(message);
      let added = isLong ? FrameFull : writer.add(message);
      if (added === FrameFull) {
        this.sendFrame(to, tagger);
        writer.begin(group);
        if (!isLong) added = writer.add(message);
      }
      if (added !== FrameAdded) this.sendParts(group, to, message, tagger);
    }
    this.sendFrame(to, tagger);
    return this.counters.framesDropped === dropped;
  }

  /**
   * A message too large for any frame, or for a good one. Appends go in parts, which say the same; all others cannot be
   * sent at all.
   */
  private sendParts(group: number, to: number, message: Message, tagger: FrameTagger | null): void {
    const { writer } = this;
    const { entries } = message;
    let { index, logTerm } = message;
    for (let first = 0; ; ) {
      const count = message.type === MsgApp ? writer.entriesThatFit(message, first) : 0;
      const part = Object.assign(new Message(MsgApp), message);
      part.entries = entries.slice(first, first + count);
      part.index = index;
      part.logTerm = logTerm;
      if (count === 0 || writer.add(part) !== FrameAdded) {
        this.dropped(to);
        this.onTooLong(to);
        return;
      }
      first += count;
      // The last stays open for what follows.
      if (first === entries.length) return;
      this.sendFrame(to, tagger);
      writer.begin(group);
      ({ index, term: logTerm } = entries[first - 1]!);
    }
  }

  private sendFrame(to: number, tagger: FrameTagger | null): void {
    // hot
    const messages = this.writer.messages;
    if (messages === 0) return;
    const frame = this.writer.finish(tagger);
    if (!this.post(to, frame)) {
      this.dropped(to);
      return;
    }
    tagger?.sent();
    const { counters } = this;
    const current = this.current!;
    counters.framesSent++;
    counters.bytesSent += frame.length;
    counters.messagesSent += messages;
    current.framesSent++;
    current.bytesSent += frame.length;
  }

  /** A frame to `peer` went nowhere. */
  dropped(peer: number): void {
    this.counters.framesDropped++;
    this.peer(peer).framesDropped++;
  }

  /** A frame of `peer` came, and was taken. */
  // hot
  received(peer: number, bytes: number, messages: number): void {
    const { counters } = this;
    const from = this.peer(peer);
    counters.framesReceived++;
    counters.bytesReceived += bytes;
    counters.messagesReceived += messages;
    from.framesReceived++;
    from.bytesReceived += bytes;
  }

  /** A frame of a proved peer was damaged. */
  refused(): void {
    this.counters.framesRefused++;
  }

  /** What is counted for `id`, from the first call on. */
  peer(id: number): LinkPeerStats {
    let peer = this.peers.get(id);
    if (peer === undefined) {
      peer = { id, framesSent: 0, bytesSent: 0, framesReceived: 0, bytesReceived: 0, framesDropped: 0 };
      this.peers.set(id, peer);
    }
    return peer;
  }

  /** It is no peer any more; the counters of all stay. */
  forget(id: number): void {
    this.peers.delete(id);
  }

  stats(): LinkStats {
    return { ...this.counters, peers: [...this.peers.values()].map((peer) => ({ ...peer })) };
  }

  /** Forgets what the frames so far shared. */
  rewind(): void {
    this.writer.rewind();
  }
}
