// The replicated state of the service: keys with their values and revisions. It changes by apply() and restore() alone, which
// are the same on every member; whoever reads it asks the node for a barrier first, or takes what is there.
import { createHash } from "node:crypto";
import type { Entry, SnapshotStream, StateMachine } from "../index.js";
import { decodeCommand, markOf } from "./commands.js";
import { type KvState, readSnapshot, type Stored, snapshotChunks } from "./kv-snapshot.js";

/** What became of a command. */
export interface Outcome {
  /** False: its condition did not hold, or there was nothing to delete. */
  readonly changed: boolean;
  /** The key's revision after it; 0: the key is absent. */
  readonly revision: number;
  /** markOf() its bytes. Outcomes that earlier versions kept have none. */
  readonly mark?: string;
}

/** Of the state behind the command at `index`. */
export interface StateHash {
  readonly index: number;
  readonly sha256: string;
}

/** So many commands without effect are remembered, for those who watch. */
const REFUSED_MAX = 100_000;

/** Keys that are taken in before others get their turn: a running node restores, too. */
const KEYS_PER_TURN = 5_000;

export class KvStore implements StateMachine {
  private map = new Map<string, Stored>();
  private readonly https = new Map<string, Stored>();
  private index = 0;
  private watchFloor = 0;
  private refused: number[] = [];
  private hashing: Promise<StateHash> | null = null;
  /** Of all keys and values. */
  bytes = 0;

  /** Index of the last command that was applied. */
  get lastIndex(): number {
    return this.index;
  }

  get keys(): number {
    return this.map.size;
  }

  get(key: string): Stored | undefined {
    return this.map.get(key);
  }

  /** Where clients reach a member that was added with that; null: nobody said. */
  httpOf(id: number): string | null {
    const stored = this.https.get(String(id));
    return stored === undefined ? null : Buffer.from(stored.value).toString();
  }

  apply(entries: readonly Entry[]): Outcome[] {
    return entries.map((entry) => ({ ...this.execute(entry), mark: markOf(entry.data) }));
  }

  /** A shallow copy is a state that does not change any more. */
  snapshot(): Iterable<Uint8Array> {
    return snapshotChunks(this.state());
  }

  async restore(stream: SnapshotStream): Promise<void> {
    const state = await readSnapshot(stream);
    const map = new Map<string, Stored>();
    let bytes = 0;
    for (const one of state.stored) {
      map.set(one.key, one);
      bytes += sizeOf(one);
      if (map.size % KEYS_PER_TURN === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    this.map = map;
    this.bytes = bytes;
    this.https.clear();
    for (const one of state.https) this.https.set(one.key, one);
    this.index = state.index;
    this.watchFloor = state.watchFloor;
    this.refused = [...state.refused];
  }

  /** Whether the command at `index`, which was applied, changed something; null: that is not known any more. */
  changedAt(index: number): boolean | null {
    if (index <= this.watchFloor) return null;
    if (index > this.index) return false;
    let low = 0;
    let high = this.refused.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.refused[middle] < index) low = middle + 1;
      else high = middle;
    }
    return this.refused[low] !== index;
  }

  /** The first index from which on changes can be told. */
  get watchableFrom(): number {
    return this.watchFloor + 1;
  }

  /**
   * SHA-256 of a snapshot of the state, and the index of the last command in it. Takes turns with others. Whoever asks while
   * one is made gets that one: each is a copy of the whole state.
   */
  hash(): Promise<StateHash> {
    this.hashing ??= this.hashNow().finally(() => {
      this.hashing = null;
    });
    return this.hashing;
  }

  private async hashNow(): Promise<StateHash> {
    const state = this.state();
    const hash = createHash("sha256");
    for (const chunk of snapshotChunks(state)) {
      hash.update(chunk);
      await new Promise((resolve) => setImmediate(resolve));
    }
    return { index: state.index, sha256: hash.digest("hex") };
  }

  private state(): KvState {
    const { index, watchFloor } = this;
    const [stored, https] = [[...this.map.values()], [...this.https.values()]];
    return { index, watchFloor, refused: [...this.refused], stored, https };
  }

  private execute({ index, data }: Entry): Outcome {
    const command = decodeCommand(data);
    const { key } = command;
    // Not given to apply: none of ours, or a command of a session that was applied before.
    for (let skipped = this.index + 1; skipped < index; skipped++) this.noteRefused(skipped);
    if (command.op === "member") {
      this.index = index;
      this.https.set(key, { key, value: new Uint8Array(command.value), revision: index });
      return { changed: true, revision: index };
    }
    const revision = this.map.get(key)?.revision ?? 0;
    this.index = index;
    const holds = command.ifRevision === null || command.ifRevision === revision;
    if (!holds || (command.op === "delete" && revision === 0)) {
      this.noteRefused(index);
      return { changed: false, revision };
    }
    if (command.op === "delete") {
      this.remove(key);
      return { changed: true, revision: 0 };
    }
    // A copy: the entry's bytes are borrowed.
    this.set({ key, value: new Uint8Array(command.value), revision: index });
    return { changed: true, revision: index };
  }

  /** A key that is there keeps its place in the map: the order, and with it a snapshot, follows from the log alone. */
  private set(one: Stored): void {
    this.bytes += sizeOf(one) - sizeOf(this.map.get(one.key));
    this.map.set(one.key, one);
  }

  private remove(key: string): void {
    this.bytes -= sizeOf(this.map.get(key));
    this.map.delete(key);
  }

  /** By half, so that not every one of a long row moves all others. */
  private noteRefused(index: number): void {
    this.refused.push(index);
    if (this.refused.length <= REFUSED_MAX) return;
    const kept = this.refused.slice(REFUSED_MAX / 2);
    this.watchFloor = this.refused[REFUSED_MAX / 2 - 1];
    this.refused = kept;
  }
}

function sizeOf(one: Stored | undefined): number {
  return one === undefined ? 0 : one.key.length + one.value.length;
}
