// A link that goes nowhere: what a node sends is kept, and what it hears the test says to its handler.
import type { Link, LinkHandler } from "../../src/link/index.js";
import type { Message } from "../../src/raft/index.js";

export class StubLink implements Link {
  readonly implementation = "stub";
  readonly sent: Message[] = [];
  handler: LinkHandler | null = null;
  async start(handler: LinkHandler): Promise<void> {
    this.handler = handler;
  }
  send(_group: number, messages: readonly Message[]): void {
    this.sent.push(...messages);
  }
  setPeer(): void {}
  stats() {
    const sent = { framesSent: 0, bytesSent: 0, messagesSent: 0 };
    return { ...sent, framesReceived: 0, bytesReceived: 0, messagesReceived: 0, framesDropped: 0 };
  }
  async close(): Promise<void> {}
}
