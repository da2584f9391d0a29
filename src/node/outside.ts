// Calls of code that is not ours: handlers, listeners, loggers, links. What they throw ends nothing here. Pure.
import type { Link, LinkHandler, LinkStats } from "../link/index.js";
import type { Message } from "../raft/index.js";

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  if ((typeof value !== "object" && typeof value !== "function") || value === null) return false;
  return typeof (value as { then?: unknown }).then === "function";
}

/** `failed` gets what `call` throws, or what its promise rejects with. */
export function callOutside(call: () => unknown, failed: (cause: unknown) => void): void {
  try {
    const result = call();
    if (isThenable(result)) result.then(undefined, failed);
  } catch (cause) {
    failed(cause);
  }
}

/** A link of the caller's, whose `send` may throw: then what was given to it counts as dropped. */
export class OutsideLink implements Link {
  private readonly link: Link;
  private readonly failed: (cause: unknown, what: string) => void;
  private handler: LinkHandler | null = null;
  /** Absent where the link has none. */
  readonly openSnapshotLane?: NonNullable<Link["openSnapshotLane"]>;

  constructor(link: Link, failed: (cause: unknown, what: string) => void) {
    this.link = link;
    this.failed = failed;
    if (link.openSnapshotLane === undefined) return;
    this.openSnapshotLane = (peer, events) => {
      try {
        return link.openSnapshotLane!(peer, events);
      } catch (cause) {
        failed(cause, "openSnapshotLane");
        return { send: () => false, close: () => {} };
      }
    };
  }

  get implementation(): string {
    return this.link.implementation;
  }

  start(handler: LinkHandler): Promise<void> {
    this.handler = handler;
    return this.link.start(handler);
  }

  // hot
  send(group: number, messages: readonly Message[]): void {
    try {
      this.link.send(group, messages);
    } catch (cause) {
      this.dropped(cause, messages);
    }
  }

  private dropped(cause: unknown, messages: readonly Message[]): void {
    this.failed(cause, "send");
    const peers = new Set(messages.map(({ to }) => to));
    // Later, as a link does: the driver is in the middle of a turn.
    setImmediate(() => {
      for (const peer of peers) this.handler?.onUnreachable(peer);
    });
  }

  setPeer(peer: number, address: string | null): void {
    this.link.setPeer(peer, address);
  }

  redial(peer: number): void {
    callOutside(
      () => this.link.redial?.(peer),
      (cause) => this.failed(cause, "redial"),
    );
  }

  stats(): LinkStats {
    return this.link.stats();
  }

  async close(): Promise<void> {
    try {
      await this.link.close();
    } catch (cause) {
      this.failed(cause, "close");
    }
  }
}
