// A LinkHandler that remembers, and on which a test can wait: for what happened, never for time.
import type { LinkHandler } from "../../src/link/index.js";
import { Entry, Message, MsgApp, MsgAppResp } from "../../src/raft/raftpb/index.js";

export class Ear implements LinkHandler {
  readonly messages: Message[] = [];
  /** "from" of each call of onMessages, and its group. */
  readonly senders: string[] = [];
  readonly unreachable: number[] = [];
  /** "+2" and "-2": peer 2 can hear us, and no longer. */
  readonly peers: string[] = [];
  /** Both, in order; "lost 2" of onUnreachable. */
  readonly told: string[] = [];
  /** What onMessages answers. */
  refuses: string | undefined = undefined;
  /** True while the test is inside `send`. */
  insideSend = false;
  private waiting: { holds: () => boolean; done: () => void }[] = [];

  onMessages(group: number, from: number, messages: readonly Message[]): string | undefined {
    this.senders.push(`${from}/${group}`);
    for (const message of messages) this.messages.push(message);
    this.changed();
    return this.refuses;
  }

  onUnreachable(peer: number): void {
    this.unreachable.push(peer);
    this.told.push(`lost ${peer}`);
    this.changed();
  }

  onPeer(peer: number, connected: boolean): void {
    this.peers.push(`${connected ? "+" : "-"}${peer}`);
    this.told.push(this.peers.at(-1)!);
    this.changed();
  }

  /** Resolves once `holds()` does; asked at each event. */
  until(holds: () => boolean): Promise<void> {
    if (holds()) return Promise.resolve();
    return new Promise((done) => this.waiting.push({ holds, done }));
  }

  /** To be called when something else that a test waits for has changed. */
  changed(): void {
    if (this.insideSend) throw new Error("a callback from inside send");
    const waiting = this.waiting;
    this.waiting = [];
    for (const one of waiting) {
      if (one.holds()) one.done();
      else this.waiting.push(one);
    }
  }
}

export function response(from: number, to: number, index: number): Message {
  return Object.assign(new Message(MsgAppResp), { from, to, index, term: 1 });
}

export function append(from: number, to: number, index: number, data: Uint8Array): Message {
  const entries = [new Entry(0, 1, index + 1, data)];
  return Object.assign(new Message(MsgApp), { from, to, index, term: 1, entries });
}
