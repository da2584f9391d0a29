// The events of a node: an EventEmitter whose listeners can do no harm. Its type is spelled out, so that who compiles
// against the package needs no @types/node. Main thread.
import { EventEmitter } from "node:events";
import type { RaftmarkError } from "../base/errors.js";
import type { LinkRefusal } from "../link/index.js";
import { callOutside } from "./outside.js";

/** Who leads, as this node knows it. */
export interface LeaderEvent {
  /** 0: none is known any more. */
  readonly leader: number;
  readonly term: number;
}

/** What happened to the connection with a peer. */
export interface PeerEvent {
  /** Its id; 0 for a stranger who did not get as far as naming one. */
  readonly peer: number;
  /** Whether it hears this node now; false also for one that was refused. */
  readonly connected: boolean;
  /** Not null: a connection was refused; once for each reason, not at every attempt. */
  readonly refusal: LinkRefusal | null;
}

/** A snapshot of this node's state was taken, or one that a leader sent is its state now; or either failed. */
export interface SnapshotEvent {
  readonly index: number;
  readonly term: number;
  /** Of the state; 0 with an error. */
  readonly bytes: number;
  /** Who sent it; 0: it was taken here. */
  readonly from: number;
  /** Not null: it failed. The node goes on, and tries again later if a snapshot is due. */
  readonly error: RaftmarkError | null;
}

/** The events of a node, with what their listeners are given. */
export interface NodeEvents {
  snapshot: [event: SnapshotEvent];
  leader: [event: LeaderEvent];
  fault: [error: RaftmarkError];
  peer: [event: PeerEvent];
  /** This node is no member any more (RAFT_REMOVED): it stops by itself. Once. */
  removed: [error: RaftmarkError];
}

/** A listener of event `E`. */
export type NodeListener<E extends keyof NodeEvents> = (...values: NodeEvents[E]) => unknown;

/** Node's EventEmitter, of these events: nodejs.org/api/events.html. */
export interface NodeEmitter {
  on<E extends keyof NodeEvents>(event: E, listener: NodeListener<E>): this;
  once<E extends keyof NodeEvents>(event: E, listener: NodeListener<E>): this;
  off<E extends keyof NodeEvents>(event: E, listener: NodeListener<E>): this;
  addListener<E extends keyof NodeEvents>(event: E, listener: NodeListener<E>): this;
  removeListener<E extends keyof NodeEvents>(event: E, listener: NodeListener<E>): this;
  prependListener<E extends keyof NodeEvents>(event: E, listener: NodeListener<E>): this;
  prependOnceListener<E extends keyof NodeEvents>(event: E, listener: NodeListener<E>): this;
  removeAllListeners(event?: keyof NodeEvents): this;
  emit<E extends keyof NodeEvents>(event: E, ...values: NodeEvents[E]): boolean;
  // biome-ignore lint/complexity/noBannedTypes: as Node's own types have it, which take this for an EventEmitter.
  listeners<E extends keyof NodeEvents>(event: E): Function[];
  // biome-ignore lint/complexity/noBannedTypes: the same.
  rawListeners<E extends keyof NodeEvents>(event: E): Function[];
  listenerCount(event: keyof NodeEvents): number;
  eventNames(): (string | symbol)[];
  setMaxListeners(count: number): this;
  getMaxListeners(): number;
}

const Emitter: new () => NodeEmitter = EventEmitter;

/** Listeners are called in a microtask of their own, in the order they came; one that fails ends nothing. */
export class SafeEmitter extends Emitter {
  /** Called with what a listener threw, or its promise rejected with. */
  protected listenerFailed(_event: keyof NodeEvents, _cause: unknown): void {}

  /** Called with every event, before the listeners. */
  protected announced<E extends keyof NodeEvents>(_event: E, _value: NodeEvents[E][0]): void {}

  protected announce<E extends keyof NodeEvents>(event: E, value: NodeEvents[E][0]): void {
    queueMicrotask(() => {
      this.announced(event, value);
      for (const listener of this.rawListeners(event)) {
        const call = listener as (this: unknown, value: unknown) => unknown;
        callOutside(
          () => call.call(this, value),
          (cause) => this.listenerFailed(event, cause),
        );
      }
    });
  }
}
