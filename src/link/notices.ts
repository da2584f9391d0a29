// What a link has to tell its owner, put off to a turn of the event loop of its own: never from inside `send`, nor
// from inside a callback of uWS, which dies of an exception. Main thread.
import type { LinkHandler } from "./link.js";

/** Collects notices and delivers them together, each unreachable peer once. */
export class Notices {
  handler: LinkHandler | null = null;
  /** Opened and closed in the order it happened: ids, negative for closed. */
  private changes: number[] = [];
  private unreachables = new Set<number>();
  private paths = new Set<number>();
  private tooLongs = new Set<number>();
  private scheduled = false;
  private closed = false;

  unreachable(peer: number): void {
    this.unreachables.add(peer);
    this.schedule();
  }

  path(peer: number): void {
    this.paths.add(peer);
    this.schedule();
  }

  tooLong(peer: number): void {
    this.tooLongs.add(peer);
    this.schedule();
  }

  peer(peer: number, connected: boolean): void {
    this.changes.push(connected ? peer : -peer);
    this.schedule();
  }

  /** Nothing is delivered any more. */
  close(): void {
    this.closed = true;
  }

  private schedule(): void {
    if (this.scheduled || this.closed) return;
    this.scheduled = true;
    setImmediate(() => this.deliver());
  }

  private deliver(): void {
    const { changes, unreachables, paths, tooLongs, handler } = this;
    this.scheduled = false;
    this.changes = [];
    this.unreachables = new Set();
    this.paths = new Set();
    this.tooLongs = new Set();
    if (handler === null) return;
    // First: what is sent again because a connection is there is not what may have been lost with the one before.
    for (const peer of unreachables) if (!this.closed) handler.onUnreachable(peer);
    for (const change of changes) if (!this.closed) handler.onPeer(Math.abs(change), change > 0);
    for (const peer of paths) if (!this.closed) handler.onPath?.(peer);
    for (const peer of tooLongs) if (!this.closed) handler.onTooLong?.(peer);
  }
}
