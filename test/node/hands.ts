// A link whose frames wait in the test's hands: each goes through the real codec, stays in order with those of its pair,
// and is delivered, held or lost by a rule.
import { setImmediate as turn } from "node:timers/promises";
import { crc32c } from "../../src/base/crc32c.js";
import type { Link, LinkHandler, LinkStats } from "../../src/link/index.js";
import type { Message } from "../../src/raft/index.js";
import { FrameAdded, FrameReader, FrameWriter } from "../../src/wire/frame.js";

const CLUSTER = 1;
const MiB = 1 << 20;

export type Rule = (from: number, to: number, message: Message) => "hold" | "drop" | "pass";

interface Held {
  readonly frame: Uint8Array;
  readonly message: Message;
}

/** The network of one group. A frame carries one message. */
export class Hands {
  rule: Rule = () => "pass";
  private readonly links = new Map<number, HandLink>();
  private readonly held = new Map<string, Held[]>();

  link(id: number): Link {
    const link = new HandLink(this, id);
    this.links.set(id, link);
    return link;
  }

  /** Frames of a pair that are held, oldest first. */
  waiting(from: number, to: number): readonly Message[] {
    return (this.held.get(`${from} ${to}`) ?? []).map(({ message }) => message);
  }

  /** Delivers the first held frames of a pair for as long as `test` says so. */
  release(from: number, to: number, test: (message: Message) => boolean): number {
    const held = this.held.get(`${from} ${to}`) ?? [];
    let released = 0;
    while (held.length > 0 && test(held[0].message)) {
      this.links.get(to)?.receive(from, held.shift()!.frame);
      released++;
    }
    return released;
  }

  /** For HandLink. False: lost, and the sender is told. */
  post(from: number, to: number, frame: Uint8Array): boolean {
    const [message] = read(frame, from, to);
    const verdict = this.rule(from, to, message);
    if (verdict === "drop") return false;
    const pair = `${from} ${to}`;
    const held = this.held.get(pair) ?? [];
    if (verdict === "hold" || held.length > 0) {
      held.push({ frame, message });
      this.held.set(pair, held);
    } else {
      void turn().then(() => this.links.get(to)?.receive(from, frame));
    }
    return true;
  }
}

function read(frame: Uint8Array, from: number, to: number): Message[] {
  const messages: Message[] = [];
  const refusal = new FrameReader({ clusterId: CLUSTER, self: to, crc32c }).read(
    frame.slice(),
    from,
    messages,
  );
  if (refusal !== null) throw new Error(`a frame of ours was refused: ${refusal}`);
  return messages;
}

class HandLink implements Link {
  readonly implementation = "hands";
  private readonly hands: Hands;
  private readonly id: number;
  private readonly writer: FrameWriter;
  private handler: LinkHandler | null = null;

  constructor(hands: Hands, id: number) {
    this.hands = hands;
    this.id = id;
    const limits = { targetBytes: MiB, maxBytes: 16 * MiB };
    this.writer = new FrameWriter({ clusterId: CLUSTER, from: id, crc32c, ...limits });
  }

  async start(handler: LinkHandler): Promise<void> {
    this.handler = handler;
  }

  send(group: number, messages: readonly Message[]): void {
    for (const message of messages) {
      this.writer.begin(group);
      if (this.writer.add(message) !== FrameAdded) throw new Error("too large for a test");
      const { to } = message;
      if (this.hands.post(this.id, to, this.writer.finish().slice())) continue;
      void turn().then(() => this.handler?.onUnreachable(to));
    }
    this.writer.rewind();
  }

  receive(from: number, frame: Uint8Array): void {
    this.handler?.onMessages(0, from, read(frame, from, this.id));
  }

  setPeer(): void {}

  stats(): LinkStats {
    return {
      framesSent: 0,
      framesReceived: 0,
      bytesSent: 0,
      bytesReceived: 0,
      messagesSent: 0,
      messagesReceived: 0,
      framesDropped: 0,
    };
  }

  async close(): Promise<void> {
    this.handler = null;
  }
}
