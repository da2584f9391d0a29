// ReadOnly: the leader's read requests that wait for a quorum to confirm that it still leads (§8;
// dissertation §6.4). Owns their order: a confirmed request confirms all that came before it.
import { assert } from "../base/assert.js";
import type { ReadOnlyOption } from "./config.js";
import type { Message } from "./raftpb/index.js";

/** One waiting request. */
export interface ReadIndexStatus {
  readonly request: Message;
  /** The commit index when it came: what the reader must have applied. */
  readonly index: number;
  /** Who confirmed, as votes. */
  readonly acks: Map<number, boolean>;
}

export class ReadOnly {
  readonly option: ReadOnlyOption;
  /** By context, in the order they came (a Map keeps it). */
  private readonly pending = new Map<string, ReadIndexStatus>();
  /** Context of the newest waiting request; null: none waits. */
  private newest: Uint8Array | null = null;

  constructor(option: ReadOnlyOption) {
    this.option = option;
  }

  /** Notes a request; one with the same context is already waiting: nothing. */
  addRequest(index: number, request: Message): void {
    const context = request.entries[0].data;
    const key = contextKey(context);
    if (this.pending.has(key)) return;
    this.pending.set(key, { request, index, acks: new Map() });
    this.newest = context;
  }

  /** `id` confirmed the request with this context. Null: no such request. */
  recvAck(id: number, context: Uint8Array): ReadonlyMap<number, boolean> | null {
    const status = this.pending.get(contextKey(context));
    if (status === undefined) return null;
    status.acks.set(id, true);
    return status.acks;
  }

  /** Takes out the request with this context and all before it. */
  advance(context: Uint8Array): ReadIndexStatus[] {
    const last = contextKey(context);
    if (!this.pending.has(last)) return [];
    const released: ReadIndexStatus[] = [];
    for (const [key, status] of this.pending) {
      this.pending.delete(key);
      released.push(status);
      if (key === last) break;
    }
    assert(released.length > 0, "released no read request");
    if (this.pending.size === 0) this.newest = null;
    return released;
  }

  lastPendingRequestCtx(): Uint8Array | null {
    return this.newest;
  }

  reset(): void {
    this.pending.clear();
    this.newest = null;
  }
}

/** Bytes as a Map key. */
function contextKey(context: Uint8Array): string {
  let key = "";
  for (let i = 0; i < context.length; i++) key += String.fromCharCode(context[i]);
  return key;
}
