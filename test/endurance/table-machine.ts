// The state machine of the endurance programs: a table of so many rows of one size, which proposals overwrite, so that the
// state stays as large as it is however much is proposed. Cheap, so that what is measured is the engine.
import { createHash } from "node:crypto";
import type { Entry, SnapshotStream, StateMachine } from "../../src/index.js";

const HEAD_BYTES = 16;
const CHUNK_BYTES = 256 << 10;

export class TableMachine implements StateMachine {
  private readonly table: Uint8Array;
  private readonly rowBytes: number;
  private readonly rows: number;
  /** The last entry that is in the state, and how many are. */
  index = 0;
  count = 0;

  constructor(rows: number, rowBytes: number) {
    this.rows = rows;
    this.rowBytes = rowBytes;
    this.table = new Uint8Array(rows * rowBytes);
  }

  apply(entries: readonly Entry[]): undefined {
    for (const { data, index } of entries) {
      const row = (data[0]! | (data[1]! << 8) | (data[2]! << 16)) % this.rows;
      this.table.set(
        data.length > this.rowBytes ? data.subarray(0, this.rowBytes) : data,
        row * this.rowBytes,
      );
      this.index = index;
      this.count++;
    }
  }

  *snapshot(): Generator<Uint8Array> {
    // Asked for before anything else is applied: a copy is consistent, and a few MiB of it a millisecond or two.
    const copy = this.table.slice();
    yield new Uint8Array(new Float64Array([this.index, this.count]).buffer);
    for (let at = 0; at < copy.length; at += CHUNK_BYTES) yield copy.subarray(at, at + CHUNK_BYTES);
  }

  async restore(stream: SnapshotStream): Promise<void> {
    const parts: Uint8Array[] = [];
    for await (const chunk of stream) parts.push(chunk);
    const bytes = new Uint8Array(Buffer.concat(parts));
    const [index, count] = new Float64Array(bytes.buffer, 0, 2);
    this.index = index!;
    this.count = count!;
    this.table.set(bytes.subarray(HEAD_BYTES));
  }

  /** Of the whole state. */
  get hash(): string {
    return createHash("sha256").update(`${this.index} ${this.count} `).update(this.table).digest("hex");
  }
}
