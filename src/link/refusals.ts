// What a link tells its owner of refused connections: each kind once, not at every attempt to connect. Main thread.
import type { LinkHandler, LinkRefusal } from "./link.js";

/** Refusals remembered so as not to be told again; more than this, and all are forgotten. */
const REFUSALS_KEPT_MAX = 256;

export class Refusals {
  /** Whom to tell; null: the link is not started. */
  handler: LinkHandler | null = null;
  private readonly told = new Set<string>();
  private closed = false;

  /** Tells it, later, if it is news for this peer, code and direction. */
  tell(refusal: LinkRefusal): void {
    const { handler } = this;
    if (this.closed || handler === null) return;
    const { peer, code, by } = refusal;
    const key = `${peer} ${code} ${by}`;
    if (this.told.has(key)) return;
    if (this.told.size >= REFUSALS_KEPT_MAX) this.told.clear();
    this.told.add(key);
    // Later, like all notices: a callback of uWS is no place for the owner's exceptions.
    setImmediate(() => handler.onRefused?.(refusal));
  }

  /** The peer connected: what is refused from here on is news. */
  forget(peer: number): void {
    for (const key of this.told) if (key.startsWith(`${peer} `)) this.told.delete(key);
  }

  /** Nothing is told any more. */
  close(): void {
    this.closed = true;
  }
}
