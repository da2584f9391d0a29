// A state machine for tests of snapshots: so many slots of bytes, each the hash of what was written to it, in order. Its
// snapshot is a stream of several chunks of the state as it was when it was asked for.
import { createHash } from "node:crypto";
import type { Entry, SnapshotSource, SnapshotStream, StateMachine } from "../../src/index.js";

const HASH_BYTES = 32;

export class SlotMachine implements StateMachine {
  /** Slot by slot; a slot's hash is replaced, never written to, so that a snapshot needs no copy of them. */
  private slots: Uint8Array[];
  /** The last entry that is in the state. */
  index = 0;
  applied = 0;
  /** Index of the snapshot that restore took, each time. */
  readonly restored: number[] = [];
  /** Bytes of ballast that each snapshot has beside the slots. */
  ballast: number;
  /** Snapshots asked for. */
  asked = 0;
  /** Each chunk of a snapshot waits for it. */
  gate: () => Promise<void> | void = () => {};

  constructor(slots = 64, ballast = 0) {
    this.slots = Array.from({ length: slots }, () => new Uint8Array(HASH_BYTES));
    this.ballast = ballast;
  }

  apply(entries: readonly Entry[]): number[] {
    return entries.map(({ data, index }) => {
      const slot = data[0]! % this.slots.length;
      this.slots[slot] = createHash("sha256").update(this.slots[slot]!).update(data).digest();
      this.index = index;
      return ++this.applied;
    });
  }

  snapshot(): SnapshotSource {
    this.asked++;
    return this.chunks(this.slots.slice(), this.index, this.applied);
  }

  private async *chunks(slots: Uint8Array[], index: number, applied: number): AsyncGenerator<Uint8Array> {
    yield new Uint8Array(new Float64Array([index, applied, slots.length]).buffer);
    for (const slot of slots) {
      await this.gate();
      yield slot;
    }
    for (let left = this.ballast; left > 0; left -= 64 << 10) {
      await this.gate();
      yield new Uint8Array(Math.min(left, 64 << 10)).fill(left & 255);
    }
  }

  async restore(stream: SnapshotStream): Promise<void> {
    const parts: Uint8Array[] = [];
    for await (const chunk of stream) parts.push(chunk);
    const bytes = new Uint8Array(Buffer.concat(parts));
    const [index, applied, count] = new Float64Array(bytes.buffer, 0, 3);
    this.index = index!;
    this.applied = applied!;
    this.slots = Array.from({ length: count! }, (_, i) =>
      bytes.slice(24 + i * HASH_BYTES, 24 + (i + 1) * HASH_BYTES),
    );
    this.restored.push(stream.metadata.index);
  }

  /** Of the state. */
  get hash(): string {
    const hash = createHash("sha256");
    for (const slot of this.slots) hash.update(slot);
    return hash.digest("hex");
  }
}
