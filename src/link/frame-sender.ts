// Packs messages into frames for a link to carry, and counts them. Main thread.
import { Message, MsgApp } from "../raft/raftpb/index.js";
import { FrameAdded, FrameFull, type FrameTagger, type FrameWriter } from "../wire/frame.js";
import type { LinkStats } from "./link.js";

/** Hands a frame, borrowed until it returns, to whatever carries it. False: it was dropped. */
export type PostFrame = (to: number, frame: Uint8Array) => boolean;

export class FrameSender {
  /** Of the link; it counts for itself what comes in. */
  readonly counters: LinkStats = {
    framesSent: 0,
    framesReceived: 0,
    bytesSent: 0,
    bytesReceived: 0,
    messagesSent: 0,
    messagesReceived: 0,
    framesDropped: 0,
  };
  private readonly writer: FrameWriter;
  private readonly post: PostFrame;

  constructor(writer: FrameWriter, post: PostFrame) {
    this.writer = writer;
    this.post = post;
  }

  /**
   * The messages for one peer, in order, in as few frames as they fit, with the tags of the connection they go over, or
   * a CRC. `rewind` follows the last peer's. False: not all of them went.
   */
  send(group: number, to: number, batch: readonly Message[], tagger: FrameTagger | null = null): boolean {
    // hot
    const writer = this.writer;
    const dropped = this.counters.framesDropped;
    writer.begin(group);
    for (let i = 0; i < batch.length; i++) {
      let added = writer.add(batch[i]!);
      if (added === FrameFull) {
        this.sendFrame(to, tagger);
        writer.begin(group);
        added = writer.add(batch[i]!);
      }
      if (added !== FrameAdded) this.sendParts(group, to, batch[i]!, tagger);
    }
    this.sendFrame(to, tagger);
    return this.counters.framesDropped === dropped;
  }

  /** A message too large for any frame. Appends go in parts, which say the same; all others cannot be sent at all. */
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
        this.counters.framesDropped++;
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
      this.counters.framesDropped++;
      return;
    }
    tagger?.sent();
    this.counters.framesSent++;
    this.counters.bytesSent += frame.length;
    this.counters.messagesSent += messages;
  }

  /** Forgets what the frames so far shared. */
  rewind(): void {
    this.writer.rewind();
  }
}
