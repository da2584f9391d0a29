// What the bench proposes: a 16-byte header that names the proposal, then filler. Header, little endian: run id u32,
// client u32, sequence u64. The truth check finds acknowledged proposals in the logs by it.
import { assert } from "../../src/base/assert.js";

export const HEADER_BYTES = 16;
/** What a record of the log has beside the proposal's bytes, roughly: for the number that makes a log of a size. */
export const RECORD_OVERHEAD_BYTES = 40;

/** Which proposal an entry is. `client` is one load generator; sequences count from 0 within it. */
export interface Header {
  readonly runId: number;
  readonly client: number;
  readonly seq: number;
}

/** Payloads, one after the other in the same memory: whoever is given one has copied it when the next is asked for. */
export class Payloads {
  private readonly payload: Uint8Array;
  private readonly view: DataView;
  /** Memory of many(), and views of it. */
  private readonly batch: Uint8Array[] = [];
  private readonly views: DataView[] = [];
  /** Sequence number of the next payload. */
  seq = 0;

  constructor(runId: number, client: number, entryBytes: number) {
    assert(entryBytes >= HEADER_BYTES, "a payload holds at least its header");
    this.payload = filler(entryBytes);
    this.view = new DataView(this.payload.buffer);
    this.view.setUint32(0, runId, true);
    this.view.setUint32(4, client, true);
  }

  /** Borrowed until the next call. */
  // hot
  next(): Uint8Array {
    const seq = this.seq++;
    this.view.setUint32(8, seq >>> 0, true);
    this.view.setUint32(12, Math.floor(seq / 4294967296), true);
    return this.payload;
  }

  /** The next `count`, always as many as the first time, each in memory of its own. Borrowed until the next call. */
  // hot
  many(count: number): readonly Uint8Array[] {
    const { batch, views } = this;
    while (batch.length < count) {
      const payload = this.payload.slice();
      batch.push(payload);
      views.push(new DataView(payload.buffer));
    }
    assert(batch.length === count, "as many payloads in each call");
    for (let i = 0; i < count; i++) {
      const seq = this.seq++;
      views[i].setUint32(8, seq >>> 0, true);
      views[i].setUint32(12, Math.floor(seq / 4294967296), true);
    }
    return batch;
  }
}

/** The header of a payload, or null if the bytes are no payload. */
export function readHeader(data: Uint8Array): Header | null {
  if (data.length < HEADER_BYTES) return null;
  const view = new DataView(data.buffer, data.byteOffset, HEADER_BYTES);
  return {
    runId: view.getUint32(0, true),
    client: view.getUint32(4, true),
    seq: view.getUint32(8, true) + view.getUint32(12, true) * 4294967296,
  };
}

/** Bytes that do not compress to nothing and are the same in every run. */
function filler(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = 0x9e3779b9;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}
