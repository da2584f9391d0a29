// What stateMachine.snapshot() gave, made into chunks for the log: asked for its first chunk at once, checked, and
// counted. What is wrong with it is the state machine's, and said so. Pure.
import { types } from "node:util";
import { bytesIn, NO_DATA } from "../base/bytes.js";
import { RaftmarkError, textOf } from "../base/errors.js";
import type { SnapshotSource } from "./api.js";
import { shown } from "./option-errors.js";
import { headOf } from "./session-snapshot.js";

type Chunks = Iterator<unknown> | AsyncIterator<unknown>;
type Next = Promise<IteratorResult<unknown>>;

/** An error of the state machine's, for who asked for the snapshot. */
export function sourceError(cause: unknown): RaftmarkError {
  const text = `stateMachine.snapshot failed: ${textOf(cause)}`;
  return new RaftmarkError("RAFT_SNAPSHOT_FAILED", text, { cause });
}

/** The chunks of one snapshot. Iterated once. */
export class SnapshotChunks implements AsyncIterable<Uint8Array>, AsyncIterator<Uint8Array, undefined> {
  private readonly chunks: Chunks;
  /** The first one, until it was taken. */
  private first: Next | null;
  /** The state's sessions, until they went in front of it. */
  private table: Uint8Array | null;
  /** A chunk that waits behind them. */
  private second: Uint8Array | null = null;
  /** Of the state, so far. */
  bytes = 0;
  /** How often the state machine was asked for more; 0 while it does not owe any. */
  owed = 0;
  private asks = 0;

  /** Asks for the first chunk. `table`: of the sessions, as they are now. Throws what is wrong with `source`. */
  constructor(source: SnapshotSource, table: Uint8Array = NO_DATA) {
    this.table = table;
    this.chunks = types.isUint8Array(source) ? [source].values() : iteratorOf(source);
    this.first = this.ask();
    // Whoever writes it comes later, perhaps never.
    this.first.catch(() => {});
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    const { table, second } = this;
    if (second !== null) {
      this.second = null;
      return { done: false, value: second };
    }
    const next = await this.nextOfState();
    // What the first byte of the state is decides whether there has to be a head.
    if (table === null || (next.done !== true && next.value.length === 0)) return next;
    this.table = null;
    const head = headOf(table, next.value ?? NO_DATA);
    if (head.length === 0) return next;
    if (next.done !== true) this.second = next.value;
    return { done: false, value: head };
  }

  private async nextOfState(): Promise<IteratorResult<Uint8Array, undefined>> {
    const asked = this.first ?? this.ask();
    this.first = null;
    this.owed = ++this.asks;
    try {
      const { done, value } = await asked;
      if (done === true) return { done: true, value: undefined };
      if (!types.isUint8Array(value))
        throw new TypeError(`a chunk must be a Uint8Array, not ${shown(value)}`);
      // One of ours: theirs may say that it has another length than its bytes have.
      const chunk = new Uint8Array(value.buffer, value.byteOffset, bytesIn(value));
      this.bytes += chunk.length;
      return { done: false, value: chunk };
    } catch (cause) {
      throw sourceError(cause);
    } finally {
      this.owed = 0;
    }
  }

  /** The rest is not wanted. What the state machine says to that is nobody's concern. */
  async return(): Promise<IteratorResult<Uint8Array, undefined>> {
    try {
      await this.chunks.return?.();
    } catch {}
    return { done: true, value: undefined };
  }

  private ask(): Next {
    try {
      return Promise.resolve(this.chunks.next());
    } catch (cause) {
      return Promise.reject(cause);
    }
  }
}

function iteratorOf(source: unknown): Chunks {
  const asyncOne = (source as Partial<AsyncIterable<unknown>> | null | undefined)?.[Symbol.asyncIterator];
  if (typeof asyncOne === "function") return asyncOne.call(source);
  const one = (source as Partial<Iterable<unknown>> | null | undefined)?.[Symbol.iterator];
  if (typeof source === "object" && typeof one === "function") return one.call(source);
  const hint =
    typeof (source as { then?: unknown } | null)?.then === "function" ? ", which comes too late" : "";
  throw new TypeError(
    `it must return a Uint8Array, or something to iterate over that gives them, not ${shown(source)}${hint}`,
  );
}
