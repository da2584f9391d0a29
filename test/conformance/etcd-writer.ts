// A replica of etcd 3.4's WAL writer in memory: Create, Save, cut, SaveSnapshot and reopening with its write buffer,
// so that the same calls make the same files byte for byte (WAL-FORMAT section 5). Our own writer makes the same
// records but cuts elsewhere; this one proves that the record encoding is etcd's.
import { crc32c } from "../../src/wal/crc32c.js";
import {
  decodeEntry,
  type EtcdEntry,
  type EtcdHardState,
  type EtcdSnapshotId,
  ZERO_STATE,
} from "../../src/wal/etcd-proto.js";
import { EtcdDecoder } from "../../src/wal/etcd-reader.js";
import { frame } from "../../src/wal/record.js";

const BUFFER_BYTES = 128 * 1024;
const PAGE_BYTES = 4096;

/** A file as etcd sees it: preallocated, grown by writes behind its end. */
class MemoryFile {
  bytes: Buffer;
  at = 0;

  constructor(size: number) {
    this.bytes = Buffer.alloc(size);
  }

  write(data: Uint8Array): void {
    const end = this.at + data.length;
    if (end > this.bytes.length)
      this.bytes = Buffer.concat([this.bytes, Buffer.alloc(end - this.bytes.length)]);
    this.bytes.set(data, this.at);
    this.at = end;
  }
}

/** etcd's PageWriter: buffers, and flushes at page boundaries. */
class PageWriter {
  private readonly file: MemoryFile;
  private pageOffset: number;
  private buffered = Buffer.alloc(0);

  constructor(file: MemoryFile) {
    this.file = file;
    this.pageOffset = file.at;
  }

  write(data: Uint8Array): void {
    if (this.buffered.length + data.length <= BUFFER_BYTES) {
      this.buffered = Buffer.concat([this.buffered, data]);
      return;
    }
    const slack = PAGE_BYTES - ((this.pageOffset + this.buffered.length) % PAGE_BYTES);
    if (slack !== PAGE_BYTES) {
      this.buffered = Buffer.concat([this.buffered, data.subarray(0, slack)]);
      if (slack > data.length) return;
      data = data.subarray(slack);
    }
    this.flush();
    if (data.length > PAGE_BYTES) {
      const whole = data.length - (data.length % PAGE_BYTES);
      this.file.write(data.subarray(0, whole));
      data = data.subarray(whole);
    }
    this.write(data);
  }

  flush(): void {
    this.file.write(this.buffered);
    this.pageOffset = (this.pageOffset + this.buffered.length) % PAGE_BYTES;
    this.buffered = Buffer.alloc(0);
  }
}

export class EtcdWriter {
  /** By name. */
  readonly files = new Map<string, MemoryFile>();
  private readonly segmentSize: number;
  private readonly metadata: Uint8Array | null;
  private seq = 0n;
  private tail: MemoryFile;
  private pages: PageWriter;
  private crc = 0;
  private state: EtcdHardState = ZERO_STATE;
  private lastIndex = 0n;

  constructor(metadata: Uint8Array | null, segmentSize: number) {
    this.segmentSize = segmentSize;
    this.metadata = metadata;
    this.tail = new MemoryFile(segmentSize);
    this.pages = new PageWriter(this.tail);
    this.files.set(name(0n, 0n), this.tail);
    this.record(4, null);
    this.record(1, metadata);
    this.saveSnapshot({ index: 0n, term: 0n });
  }

  private record(type: number, data: Uint8Array | null): void {
    if (data !== null) this.crc = crc32c(this.crc, data);
    const bytes = frame(type, this.crc, data);
    this.pages.write(bytes.subarray(0, 8));
    this.pages.write(bytes.subarray(8));
  }

  save(state: EtcdHardState, entries: readonly EtcdEntry[]): void {
    if (isZero(state) && entries.length === 0) return;
    const sync = entries.length > 0 || state.vote !== this.state.vote || state.term !== this.state.term;
    for (const entry of entries) {
      this.record(2, encodeEntry(entry));
      this.lastIndex = entry.index;
    }
    this.saveState(state);
    if (this.tail.at >= this.segmentSize) this.cut();
    else if (sync) this.pages.flush();
  }

  private saveState(state: EtcdHardState): void {
    if (isZero(state)) return;
    this.state = state;
    this.record(3, fields([state.term, state.vote, state.commit]));
  }

  private cut(): void {
    this.tail.bytes = Buffer.from(this.tail.bytes.subarray(0, this.tail.at));
    this.pages.flush();
    this.seq++;
    this.tail = new MemoryFile(this.segmentSize);
    this.pages = new PageWriter(this.tail);
    this.record(4, null);
    this.record(1, this.metadata);
    this.saveState(this.state);
    this.pages.flush();
    this.files.set(name(this.seq, this.lastIndex + 1n), this.tail);
    this.pages = new PageWriter(this.tail);
  }

  saveSnapshot({ index, term }: EtcdSnapshotId): void {
    this.record(5, fields([index, term]));
    if (index > this.lastIndex) this.lastIndex = index;
    this.pages.flush();
  }

  close(): void {
    this.pages.flush();
  }

  /** Opens what this writer closed, for append at a snapshot. */
  reopen(snap: EtcdSnapshotId): void {
    const names = [...this.files.keys()].sort();
    const from = names.findLastIndex((each) => BigInt(`0x${each.slice(17, 33)}`) <= snap.index);
    const decoder = new EtcdDecoder(names.slice(from).map((each) => () => this.files.get(each)!.bytes));
    this.state = ZERO_STATE;
    this.lastIndex = 0n;
    try {
      for (;;) {
        const record = decoder.next();
        if (record.type === 4n) decoder.crc = record.crc;
        else if (record.type === 2n) this.lastIndex = decodeEntry(record.data).index;
      }
    } catch {
      // The end.
    }
    this.crc = decoder.crc;
    this.tail.at = decoder.lastOffset;
    this.tail.bytes.fill(0, this.tail.at);
    this.pages = new PageWriter(this.tail);
  }
}

function isZero(state: EtcdHardState): boolean {
  return state.term === 0n && state.vote === 0n && state.commit === 0n;
}

function name(seq: bigint, index: bigint): string {
  return `${seq.toString(16).padStart(16, "0")}-${index.toString(16).padStart(16, "0")}.wal`;
}

function fields(values: readonly bigint[]): Uint8Array {
  return Uint8Array.from(values.flatMap((value, i) => [(i + 1) << 3, ...varint(value)]));
}

function encodeEntry({ type, term, index, data }: EtcdEntry): Uint8Array {
  const head = fields([BigInt(type), term, index]);
  if (data === null) return head;
  return Buffer.concat([head, Uint8Array.of(0x22, ...varint(BigInt(data.length))), data]);
}

function varint(value: bigint): number[] {
  const bytes: number[] = [];
  for (; value >= 128n; value >>= 7n) bytes.push(Number(value & 127n) | 128);
  bytes.push(Number(value));
  return bytes;
}
