// etcd 3.4's WAL writer by its rules, over our encoder: Create, Save, cut, SaveSnapshot and reopening with its write
// buffer, in memory, so that the same calls make the same files byte for byte (WAL-FORMAT section 5). Entries, states and
// snapshots go through the ring and encodeBatch, as in the live writer; the heads of segments, as there, and numbers above
// 2^53-1, which the ring does not carry, through FrameBuilder. Only where segments are cut is etcd's.
import { NO_DATA } from "../../src/base/bytes.js";
import { Entry, EntryConfChangeV2, EntryNormal, type EntryType } from "../../src/raft/raftpb/index.js";
import type { Codec } from "../../src/wal/format/codec.js";
import { createJsCodec, frameAt } from "../../src/wal/format/codec-js.js";
import { bindWasmCodec, createWasmMemory, wasmModule } from "../../src/wal/format/codec-wasm.js";
import {
  RECORD_CRC,
  RECORD_ENTRY,
  RECORD_METADATA,
  RECORD_SNAPSHOT,
  RECORD_STATE,
} from "../../src/wal/format/format.js";
import * as L from "../../src/wal/format/layout.js";
import { FrameBuilder } from "../../src/wal/format/record.js";
import {
  decodeEntry,
  type EtcdEntry,
  type EtcdHardState,
  type EtcdSnapshotId,
  ZERO_STATE,
} from "../../src/wal/inspect/etcd-proto.js";
import { EtcdDecoder } from "../../src/wal/inspect/etcd-reader.js";
import { RingProducer } from "../../src/wal/write/ring.js";
import { writerMemoryBytes } from "../../src/wal/write/segment-writer.js";

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

const RING_BYTES = 1 << 20;
/** Room for the frames of one full ring, or twice for one record that does not go through it: etcd has them below 10 MiB. */
const OUT_BYTES = 24 << 20;
const SAFE = BigInt(Number.MAX_SAFE_INTEGER);

export type CodecName = "wasm" | "js";

/** A codec set up as the live writer sets it up, and what goes into it. */
class Encoder {
  private readonly codec: Codec;
  private readonly ring: RingProducer;
  private readonly out = L.RING + RING_BYTES;

  constructor(name: CodecName) {
    const bytes = writerMemoryBytes(RING_BYTES, OUT_BYTES);
    this.codec =
      name === "wasm"
        ? bindWasmCodec(wasmModule(), createWasmMemory(bytes))
        : createJsCodec(new ArrayBuffer(Math.ceil(bytes / 8) * 8));
    this.ring = new RingProducer(this.codec.memory, RING_BYTES);
    const { u32 } = this.codec.memory;
    u32[L.ENC_RING_BASE >>> 2] = L.RING;
    u32[L.ENC_RING_MASK >>> 2] = RING_BYTES - 1;
    u32[L.ENC_POINTS_BASE >>> 2] = L.POINTS;
    u32[L.ENC_POINTS_MASK >>> 2] = L.POINTS_MAX - 1;
  }

  set crc(value: number) {
    this.codec.memory.u32[L.ENC_CRC >>> 2] = value;
  }

  entry(entry: EtcdEntry): Uint8Array {
    const { term, index, data } = entry;
    const item = new Entry(entry.type as EntryType, Number(term), Number(index), data ?? NO_DATA);
    // The live writer has such an entry framed apart, too. Types that raft does not have never get so far in it.
    const isPlain =
      term <= SAFE && index <= SAFE && entry.type >= EntryNormal && entry.type <= EntryConfChangeV2;
    if (!isPlain || this.ring.isLarge(item)) return this.record(RECORD_ENTRY, encodeEntry(entry));
    if (!this.ring.pushEntry(item, false)) throw new Error("the ring is full");
    return this.take();
  }

  state(state: EtcdHardState): Uint8Array {
    const { term, vote, commit } = state;
    if (term > SAFE || vote > SAFE || commit > SAFE)
      return this.record(RECORD_STATE, fields([term, vote, commit]));
    const isPushed = this.ring.pushState({ term: Number(term), vote: Number(vote), commit: Number(commit) });
    if (!isPushed) throw new Error("the ring is full");
    return this.take();
  }

  snapshot({ index, term }: EtcdSnapshotId): Uint8Array {
    const record = fields([index, term]);
    if (index > SAFE || term > SAFE) return this.record(RECORD_SNAPSHOT, record);
    if (!this.ring.pushSnapshot(Number(term), Number(index), record)) throw new Error("the ring is full");
    return this.take();
  }

  record(type: number, data: Uint8Array | null): Uint8Array {
    const { u32 } = this.codec.memory;
    const frames = new FrameBuilder(u32[L.ENC_CRC >>> 2]);
    frames.record(type, data);
    u32[L.ENC_CRC >>> 2] = frames.crc;
    return frames.take();
  }

  // Encodes what was pushed.
  private take(): Uint8Array {
    this.ring.publish();
    const { i32, u8, u32 } = this.codec.memory;
    const limit = this.out + OUT_BYTES;
    const tail = i32[L.WORD_TAIL] >>> 0;
    const bytes = this.codec.encodeBatch(this.out, this.out, tail, limit, limit, L.POINTS_MAX);
    if (u32[L.ENC_STOP >>> 2] !== L.STOP_DRAINED) throw new Error("the encoder left something in the ring");
    i32[L.WORD_HEAD] = u32[L.ENC_HEAD >>> 2];
    return u8.slice(this.out, this.out + bytes);
  }
}

export class EtcdWriter {
  /** By name. */
  readonly files = new Map<string, MemoryFile>();
  private readonly encoder: Encoder;
  private readonly segmentSize: number;
  private readonly metadata: Uint8Array | null;
  private seq = 0n;
  private tail: MemoryFile;
  private pages: PageWriter;
  private state: EtcdHardState = ZERO_STATE;
  private lastIndex = 0n;

  constructor(codec: CodecName, metadata: Uint8Array | null, segmentSize: number) {
    this.encoder = new Encoder(codec);
    this.segmentSize = segmentSize;
    this.metadata = metadata;
    this.tail = new MemoryFile(segmentSize);
    this.pages = new PageWriter(this.tail);
    this.files.set(name(0n, 0n), this.tail);
    this.record(RECORD_CRC, null);
    this.record(RECORD_METADATA, metadata);
    this.saveSnapshot({ index: 0n, term: 0n });
  }

  private record(type: number, data: Uint8Array | null): void {
    this.write(this.encoder.record(type, data));
  }

  // etcd hands each frame to its buffer in two writes: the length field, and the rest.
  private write(frames: Uint8Array): void {
    for (let at = 0; at < frames.length; ) {
      const { length, padding } = frameAt(frames, at);
      const end = at + 8 + length + padding;
      this.pages.write(frames.subarray(at, at + 8));
      this.pages.write(frames.subarray(at + 8, end));
      at = end;
    }
  }

  save(state: EtcdHardState, entries: readonly EtcdEntry[]): void {
    if (isZero(state) && entries.length === 0) return;
    const sync = entries.length > 0 || state.vote !== this.state.vote || state.term !== this.state.term;
    for (const entry of entries) {
      this.write(this.encoder.entry(entry));
      this.lastIndex = entry.index;
    }
    this.saveState(state);
    if (this.tail.at >= this.segmentSize) this.cut();
    else if (sync) this.pages.flush();
  }

  private saveState(state: EtcdHardState): void {
    if (isZero(state)) return;
    this.state = state;
    this.write(this.encoder.state(state));
  }

  private cut(): void {
    this.tail.bytes = Buffer.from(this.tail.bytes.subarray(0, this.tail.at));
    this.pages.flush();
    this.seq++;
    this.tail = new MemoryFile(this.segmentSize);
    this.pages = new PageWriter(this.tail);
    this.record(RECORD_CRC, null);
    this.record(RECORD_METADATA, this.metadata);
    this.saveState(this.state);
    this.pages.flush();
    this.files.set(name(this.seq, this.lastIndex + 1n), this.tail);
    this.pages = new PageWriter(this.tail);
  }

  saveSnapshot(snapshot: EtcdSnapshotId): void {
    const { index } = snapshot;
    this.write(this.encoder.snapshot(snapshot));
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
    this.encoder.crc = decoder.crc;
    this.tail.at = decoder.lastOffset;
    this.tail.bytes.fill(0, this.tail.at);
    this.pages = new PageWriter(this.tail);
  }
}

function isZero(state: EtcdHardState): boolean {
  return state.term === 0n && state.vote === 0n && state.commit === 0n;
}

function name(seq: bigint, index: bigint): string {
  const hex = (value: bigint) => BigInt.asUintN(64, value).toString(16).padStart(16, "0");
  return `${hex(seq)}-${hex(index)}.wal`;
}

function fields(values: readonly bigint[]): Uint8Array {
  return Uint8Array.from(values.flatMap((value, i) => [(i + 1) << 3, ...varint(value)]));
}

function encodeEntry({ type, term, index, data }: EtcdEntry): Uint8Array {
  const head = fields([BigInt(type), term, index]);
  if (data === null) return head;
  return Buffer.concat([head, Uint8Array.of(0x22, ...varint(BigInt(data.length))), data]);
}

// A negative one takes ten bytes, like any negative number of protobuf's.
function varint(signed: bigint): number[] {
  const bytes: number[] = [];
  let value = BigInt.asUintN(64, signed);
  for (; value >= 128n; value >>= 7n) bytes.push(Number(value & 127n) | 128);
  bytes.push(Number(value));
  return bytes;
}
