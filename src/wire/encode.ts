// The lean encoder of raftpb.Message: the bytes that etcd <= 3.6 writes (and protobufjs, when told to emit the same
// fields), straight into one growing buffer. Entries that go to several followers are encoded once. Main thread.
import { assert } from "../base/assert.js";
import { NO_DATA } from "../base/bytes.js";
import { putVarint, varintSize } from "../base/varint.js";
import {
  type Entry,
  entrySize,
  type Message,
  marshalSnapshotMetadata,
  runEnd,
  type Snapshot,
} from "../raft/raftpb/index.js";

/** A growing byte buffer. `bytes` is replaced when it grows; what was written below `pos` moves along. */
export class ByteWriter {
  bytes: Uint8Array;
  pos = 0;
  /** Where the entries of the message encoded last end. */
  entriesEnd = 0;

  constructor(capacity: number) {
    this.bytes = new Uint8Array(capacity);
  }

  /** Makes room for `count` more bytes. */
  reserve(count: number): void {
    const needed = this.pos + count;
    if (needed <= this.bytes.length) return;
    const grown = new Uint8Array(Math.max(needed, this.bytes.length * 2));
    grown.set(this.bytes.subarray(0, this.pos));
    this.bytes = grown;
  }
}

/** A varint of a safe integer takes 8 bytes at most. */
const VARINT_BYTES_MAX = 8;
/** Ten tags and varints, reject, and the tag and length of the context. */
const MESSAGE_FIXED_BYTES_MAX = 9 * (1 + VARINT_BYTES_MAX) + 2 + 2 * (1 + VARINT_BYTES_MAX);
/** Two tags and lengths, type, term, index. */
const ENTRY_FIXED_BYTES_MAX = 2 * (1 + VARINT_BYTES_MAX) + 2 + 2 * (1 + VARINT_BYTES_MAX);
/** Below this, copying byte by byte beats the call of `set`. */
const COPY_LOOP_BYTES_MAX = 24;

/** Where the encoded entries of one MsgApp lie in the writer's buffer. */
export class EntriesBlock {
  first: Entry | null = null;
  last: Entry | null = null;
  count = 0;
  start = 0;
  end = 0;
  /** CRC-32C of the block; valid if hasCrc. */
  crc = 0;
  hasCrc = false;
}

const BLOCKS_MAX = 8;

/**
 * The blocks of entries that lie encoded in one ByteWriter, so that the second follower's MsgApp copies bytes. Equal
 * first entry, last entry and count mean equal entries: they are one run of one log. Valid until the writer is rewound.
 */
export class EntriesCache {
  readonly blocks: EntriesBlock[] = [];
  /** Blocks in use: the first `used` of `blocks`; the others hold no entry. */
  private used = 0;

  constructor() {
    for (let i = 0; i < BLOCKS_MAX; i++) this.blocks.push(new EntriesBlock());
  }

  /** hot */
  find(entries: readonly Entry[]): EntriesBlock | null {
    const count = entries.length;
    const first = entries[0]!;
    const last = entries[count - 1]!;
    for (let i = 0; i < this.used; i++) {
      const block = this.blocks[i]!;
      if (block.first === first && block.last === last && block.count === count) return block;
    }
    return null;
  }

  /** Remembers a block; null if there is no room. hot */
  add(entries: readonly Entry[], start: number, end: number): EntriesBlock | null {
    if (this.used === BLOCKS_MAX) return null;
    const block = this.blocks[this.used++]!;
    block.first = entries[0]!;
    block.last = entries[entries.length - 1]!;
    block.count = entries.length;
    block.start = start;
    block.end = end;
    block.hasCrc = false;
    return block;
  }

  /** Forgets all blocks and lets go of their entries. */
  clear(): void {
    for (let i = 0; i < this.used; i++) {
      this.blocks[i]!.first = null;
      this.blocks[i]!.last = null;
    }
    this.used = 0;
  }
}

/** What a MsgApp has on the wire besides its entries, at most: with the frame and the WebSocket around it. */
export const MESSAGE_OVERHEAD_BYTES = 192;
/** What an entry has besides its data, at most. */
export const ENTRY_OVERHEAD_BYTES = ENTRY_FIXED_BYTES_MAX;

/** At least the length of `message` when encoded, above it by less than 128 bytes; without a snapshot. */
export function messageBytes(m: Message): number {
  let count = MESSAGE_FIXED_BYTES_MAX + m.context.length;
  for (let i = 0; i < m.entries.length; i++) count += entryBytes(m.entries[i]!);
  return count;
}

/** The length of one entry of a message. hot */
export function entryBytes(entry: Entry): number {
  const length = entrySize(entry);
  return 1 + varintSize(length) + length;
}

/** At least the length of `message` when encoded, above it by less than 64 bytes an entry; snapshots count. */
export function messageBytesMax(m: Message): number {
  let count = MESSAGE_FIXED_BYTES_MAX + m.context.length;
  for (let i = 0; i < m.entries.length; i++) count += ENTRY_FIXED_BYTES_MAX + m.entries[i]!.size;
  return m.snapshot === null ? count : count + snapshotBytesMax(m.snapshot);
}

function snapshotBytesMax({ data, metadata }: Snapshot): number {
  const { voters, learners, votersOutgoing, learnersNext } = metadata.confState;
  const ids = voters.length + learners.length + votersOutgoing.length + learnersNext.length;
  // Besides: tags and lengths of data, metadata and membership, index, term; and autoLeave.
  return data.length + (ids + 5) * (1 + VARINT_BYTES_MAX) + 2;
}

/**
 * Appends `message` to the writer. With a cache, returns the block that its entries equal, if it is there: a copy of
 * the block then ends at `entriesEnd`. hot
 */
export function encodeMessage(w: ByteWriter, m: Message, cache: EntriesCache | null): EntriesBlock | null {
  assert(m.to > 0, "a message for a local thread on its way to the wire");
  assert(m.responses.length === 0, "a message with responses on its way to the wire");
  const snapshot = m.snapshot === null ? NO_DATA : encodeSnapshot(m.snapshot);
  w.reserve(MESSAGE_FIXED_BYTES_MAX + m.context.length + 1 + VARINT_BYTES_MAX + snapshot.length);
  let bytes = w.bytes;
  let pos = w.pos;
  bytes[pos++] = 0x08;
  bytes[pos++] = m.type;
  bytes[pos++] = 0x10;
  pos = putVarint(bytes, pos, m.to);
  bytes[pos++] = 0x18;
  pos = putVarint(bytes, pos, m.from);
  bytes[pos++] = 0x20;
  pos = putVarint(bytes, pos, m.term);
  bytes[pos++] = 0x28;
  pos = putVarint(bytes, pos, m.logTerm);
  bytes[pos++] = 0x30;
  pos = putVarint(bytes, pos, m.index);
  let block: EntriesBlock | null = null;
  if (m.entries.length > 0) {
    w.pos = pos;
    block = putEntries(w, m.entries, cache);
    w.reserve(MESSAGE_FIXED_BYTES_MAX + m.context.length + 1 + VARINT_BYTES_MAX + snapshot.length);
    bytes = w.bytes;
    pos = w.pos;
  }
  w.entriesEnd = pos;
  bytes[pos++] = 0x40;
  pos = putVarint(bytes, pos, m.commit);
  if (m.snapshot !== null) pos = putBytes(bytes, pos, 0x4a, snapshot);
  bytes[pos++] = 0x50;
  bytes[pos++] = m.reject ? 1 : 0;
  bytes[pos++] = 0x58;
  pos = putVarint(bytes, pos, m.rejectHint);
  if (m.context !== NO_DATA) pos = putBytes(bytes, pos, 0x62, m.context);
  if (m.vote !== 0) {
    bytes[pos++] = 0x68;
    pos = putVarint(bytes, pos, m.vote);
  }
  w.pos = pos;
  return block;
}

/** A snapshot, as the value of its field. */
function encodeSnapshot({ data, metadata }: Snapshot): Uint8Array {
  const known = marshalSnapshotMetadata(metadata);
  const bytes = new Uint8Array(data.length + known.length + 2 * (1 + VARINT_BYTES_MAX));
  const pos = data === NO_DATA ? 0 : putBytes(bytes, 0, 0x0a, data);
  return bytes.subarray(0, putBytes(bytes, pos, 0x12, known));
}

function putBytes(bytes: Uint8Array, pos: number, tag: number, value: ArrayLike<number>): number {
  bytes[pos++] = tag;
  const start = putVarint(bytes, pos, value.length);
  bytes.set(value, start);
  return start + value.length;
}

/** Appends field 7 for each entry, from the cache if it has them. hot */
function putEntries(
  w: ByteWriter,
  entries: readonly Entry[],
  cache: EntriesCache | null,
): EntriesBlock | null {
  if (cache === null) {
    encodeEntries(w, entries);
    return null;
  }
  const known = cache.find(entries);
  if (known === null) {
    const start = w.pos;
    encodeEntries(w, entries);
    return cache.add(entries, start, w.pos);
  }
  w.reserve(known.end - known.start);
  w.bytes.copyWithin(w.pos, known.start, known.end);
  w.pos += known.end - known.start;
  return known;
}

/** hot */
function encodeEntries(w: ByteWriter, entries: readonly Entry[]): void {
  for (let i = 0; i < entries.length; ) {
    const entry = entries[i]!;
    if (entry.at === -1) {
      encodeEntry(w, entry);
      i++;
      continue;
    }
    i = runEnd(entries, i);
    const last = entries[i - 1]!;
    const run = entry.bytes.subarray(entry.at, last.start + last.size);
    w.reserve(run.length);
    w.bytes.set(run, w.pos);
    w.pos += run.length;
  }
}

/** hot */
function encodeEntry(w: ByteWriter, { type, term, index, bytes: data, size }: Entry): void {
  w.reserve(ENTRY_FIXED_BYTES_MAX + size);
  const { bytes } = w;
  if (data !== NO_DATA) {
    const pos = w.pos + entryHeadBytes(term, index, size);
    putEntryHead(bytes, w.pos, type, term, index, size);
    if (size <= COPY_LOOP_BYTES_MAX) for (let j = 0; j < size; j++) bytes[pos + j] = data[j]!;
    else bytes.set(data, pos);
    w.pos = pos + size;
    return;
  }
  let { pos } = w;
  bytes[pos++] = 0x3a;
  pos = putVarint(bytes, pos, 4 + varintSize(term) + varintSize(index));
  w.pos = putNumbers(bytes, pos, type, term, index);
}

/** What an entry with data has in front of it, as field 7 of a message. hot */
export function entryHeadBytes(term: number, index: number, size: number): number {
  const inner = 5 + varintSize(term) + varintSize(index) + varintSize(size);
  return 1 + varintSize(inner + size) + inner;
}

/** Writes that head of entryHeadBytes at `pos`. hot */
export function putEntryHead(
  bytes: Uint8Array,
  at: number,
  type: number,
  term: number,
  index: number,
  size: number,
): void {
  let pos = at;
  bytes[pos++] = 0x3a;
  pos = putVarint(bytes, pos, 5 + varintSize(term) + varintSize(index) + varintSize(size) + size);
  pos = putNumbers(bytes, pos, type, term, index);
  bytes[pos++] = 0x22;
  putVarint(bytes, pos, size);
}

/** hot */
function putNumbers(bytes: Uint8Array, at: number, type: number, term: number, index: number): number {
  bytes[at] = 0x08;
  bytes[at + 1] = type;
  bytes[at + 2] = 0x10;
  const pos = putVarint(bytes, at + 3, term);
  bytes[pos] = 0x18;
  return putVarint(bytes, pos + 1, index);
}
