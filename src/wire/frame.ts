// The envelope of what goes over a link: a batch of messages from one node to another. Little-endian:
//
//   0  u32 magic "RFMK"     8  u64 cluster id     32 u32 count of messages
//   4  u8  version          16 u64 group id       36 u32 length of the body
//   5  u8  kind             24 u64 sender         40 body: for each message u32 length, raftpb.Message
//   6  u16 flags                                     u32 CRC-32C of everything before it
//
// Where the connection tags its frames they begin at the group, since all before it was settled when the connection was
// proved, and end with the tag of what is left in place of the CRC.
//
// The writer never throws for what a peer did; the reader answers with a refusal, whatever the bytes. Main thread.
import { assert } from "../base/assert.js";
import type { Crc32c } from "../base/crc32c.js";
import { crc32cCombine } from "../base/crc32c.js";
import {
  type Message,
  MSG_ENTRIES_MAX,
  MsgApp,
  MsgBeat,
  MsgCheckQuorum,
  MsgForgetLeader,
  MsgHup,
  MsgReadIndex,
  MsgSnapStatus,
  MsgStorageAppend,
  MsgStorageAppendResp,
  MsgStorageApply,
  MsgStorageApplyResp,
  MsgTransferLeader,
  MsgUnreachable,
} from "../raft/raftpb/index.js";
import { decodeMessage } from "./decode.js";
import type { EntriesBlock } from "./encode.js";
import {
  ByteWriter,
  EntriesCache,
  encodeMessage,
  entryBytes,
  MESSAGE_OVERHEAD_BYTES,
  messageBytes,
  messageBytesMax,
} from "./encode.js";
import { WireError, type WireRefusal } from "./wire-error.js";

const FRAME_VERSION = 1;
const FRAME_MAGIC = 0x4b4d4652;
const KIND_MESSAGES = 0;
export const FRAME_HEADER_BYTES = 40;
const CRC_BYTES = 4;
export const FRAME_TAG_BYTES = 16;
/** What a tagged frame leaves out at its start. */
const SETTLED_BYTES = 16;
/** The most that a frame has besides its messages. */
export const FRAME_OVERHEAD_BYTES = FRAME_HEADER_BYTES + FRAME_TAG_BYTES;
/** A frame of one message, without the message. */
const ALONE_BYTES = FRAME_OVERHEAD_BYTES + 4;
/** A message of the wire takes more than this, so that a count can be held against the body's length. */
const MESSAGE_BYTES_MIN = 4;

/**
 * What a frame holds at most, whatever its bytes: a message or an entry takes many times its bytes in memory, so bytes
 * alone do not bound what comes of a frame. The writer begins another frame; the reader refuses.
 */
export const FRAME_MESSAGES_MAX = 1 << 16;
export const FRAME_ENTRIES_MAX = 2 * MSG_ENTRIES_MAX;

/** From this length on, a block of entries gets a CRC of its own: joining two CRCs costs that of about 400 bytes. */
const BLOCK_CRC_BYTES_MIN = 1024;
/** A writer that grew beyond this gives its memory back when rewound. */
const WRITER_BYTES_KEPT_MAX = 32 * 1024 * 1024;
const WRITER_BYTES_START = 256 * 1024;

/** What FrameWriter.add did. */
export const FrameAdded = 0;
/** Nothing was added: end this frame and put the message into the next. */
export const FrameFull = 1;
/** Nothing was added: the message alone is above the limit, and can never be sent. */
export const FrameTooLarge = 2;
export type FrameAdd = 0 | 1 | 2;

export interface FrameWriterOptions {
  clusterId: number;
  /** The sender of every frame. */
  from: number;
  crc32c: Crc32c;
  /** A frame of several messages, or of an append of several entries, stays below this. */
  targetBytes: number;
  /** A frame of one message stays below this. */
  maxBytes: number;
}

/** One end of a connection whose frames are tagged, each for its place among them. */
export interface FrameTagger {
  /** Writes the tag of bytes[start, end) as the next frame behind it. Not counted before `sent`. */
  tag(bytes: Uint8Array, start: number, end: number): void;
  /** The frame tagged last went out. */
  sent(): void;
  /** Whether `frame`, of FRAME_TAG_BYTES or more, ends with the tag of the next. It is counted then. */
  check(frame: Uint8Array): boolean;
}

/** Types that never travel: local to a node, and its storage's. */
const LOCAL_TYPES: readonly boolean[] = typeSet([
  MsgHup,
  MsgBeat,
  MsgUnreachable,
  MsgSnapStatus,
  MsgCheckQuorum,
  MsgStorageAppend,
  MsgStorageAppendResp,
  MsgStorageApply,
  MsgStorageApplyResp,
  MsgForgetLeader,
]);

/**
 * Types a follower passes on to its leader with `from` as it came: the reader to answer, or the node to transfer to. All
 * others name their sender.
 */
const FORWARDED_TYPES: readonly boolean[] = typeSet([MsgReadIndex, MsgTransferLeader]);

function typeSet(types: readonly number[]): boolean[] {
  const set: boolean[] = new Array(MsgForgetLeader + 1).fill(false);
  for (const type of types) set[type] = true;
  return set;
}

/**
 * Builds frames one after another in one buffer, until `rewind`. All frames of a driver's turn are built between two
 * rewinds: entries that go to several followers are then encoded, and summed, once.
 */
export class FrameWriter {
  private readonly options: FrameWriterOptions;
  private writer = new ByteWriter(WRITER_BYTES_START);
  private readonly cache = new EntriesCache();
  /** Start of the frame being built. */
  private start = 0;
  private count = 0;
  private entries = 0;
  /** Blocks in the frame being built whose CRC is kept, and where each ends in it. */
  private readonly blocks: EntriesBlock[] = [];
  private readonly blockEnds: number[] = [];

  constructor(options: FrameWriterOptions) {
    this.options = options;
  }

  /** Starts a frame. */
  begin(group: number): void {
    const w = this.writer;
    w.reserve(FRAME_OVERHEAD_BYTES);
    const bytes = w.bytes;
    const start = w.pos;
    putU32(bytes, start, FRAME_MAGIC);
    bytes[start + 4] = FRAME_VERSION;
    bytes[start + 5] = KIND_MESSAGES;
    bytes[start + 6] = 0;
    bytes[start + 7] = 0;
    putU64(bytes, start + 8, this.options.clusterId);
    putU64(bytes, start + 16, group);
    putU64(bytes, start + 24, this.options.from);
    this.start = start;
    this.count = 0;
    this.entries = 0;
    w.pos = start + FRAME_HEADER_BYTES;
  }

  /** Appends a message to the frame being built. hot */
  add(message: Message): FrameAdd {
    const w = this.writer;
    const used = w.pos - this.start + FRAME_TAG_BYTES + MESSAGE_BYTES_MIN + messageBytesMax(message);
    const entries = this.entries + message.entries.length;
    const isFull = used > this.options.targetBytes || this.count === FRAME_MESSAGES_MAX;
    if (this.count > 0 && (isFull || entries > FRAME_ENTRIES_MAX)) return FrameFull;
    if (entries > FRAME_ENTRIES_MAX) return FrameTooLarge;
    // Above the limit by a bound that is generous to small entries: count in earnest.
    if (used > this.options.maxBytes && !this.fits(message)) return FrameTooLarge;
    w.reserve(4);
    const lengthAt = w.pos;
    w.pos += 4;
    const block = encodeMessage(w, message, this.cache);
    putU32(w.bytes, lengthAt, w.pos - lengthAt - 4);
    this.count++;
    this.entries = entries;
    if (block !== null && block.end - block.start >= BLOCK_CRC_BYTES_MIN) {
      this.blocks.push(block);
      this.blockEnds.push(w.entriesEnd);
    }
    return FrameAdded;
  }

  private fits(message: Message): boolean {
    return message.snapshot === null && ALONE_BYTES + messageBytes(message) <= this.options.maxBytes;
  }

  /** An append that is to go in parts. */
  isLong(message: Message): boolean {
    // hot
    const { type, entries } = message;
    if (type !== MsgApp || entries.length < 2) return false;
    let room = this.options.targetBytes;
    for (let i = 0; i < entries.length && room >= 0; i++) room -= entries[i]!.size;
    return room < 0;
  }

  /** How many entries of a MsgApp, from the one at `first` on, are to go in a frame of their own; 0: it holds not even one. */
  entriesThatFit(message: Message, first: number): number {
    const { maxBytes, targetBytes } = this.options;
    const fit = this.entriesWithin(message, first, Math.min(maxBytes, targetBytes));
    return fit > 0 ? fit : Math.min(1, this.entriesWithin(message, first, maxBytes));
  }

  private entriesWithin({ entries }: Message, first: number, bytes: number): number {
    let room = bytes - ALONE_BYTES - MESSAGE_OVERHEAD_BYTES;
    const last = Math.min(entries.length, first + MSG_ENTRIES_MAX);
    let end = first;
    while (end < last && (room -= entryBytes(entries[end]!)) >= 0) end++;
    return end - first;
  }

  /** The number of messages in the frame being built. */
  get messages(): number {
    return this.count;
  }

  /** Ends the frame. The view is borrowed until the next `begin` or `rewind`. hot */
  finish(tagger: FrameTagger | null = null): Uint8Array {
    assert(this.count > 0, "a frame without messages");
    const w = this.writer;
    const start = this.start;
    putU32(w.bytes, start + 32, this.count);
    putU32(w.bytes, start + 36, w.pos - start - FRAME_HEADER_BYTES);
    if (tagger !== null) {
      w.reserve(FRAME_TAG_BYTES);
      tagger.tag(w.bytes, start + SETTLED_BYTES, w.pos);
      w.pos += FRAME_TAG_BYTES;
    } else {
      const crc = this.frameCrc();
      w.reserve(CRC_BYTES);
      putU32(w.bytes, w.pos, crc);
      w.pos += CRC_BYTES;
    }
    this.blocks.length = 0;
    this.blockEnds.length = 0;
    return w.bytes.subarray(tagger === null ? start : start + SETTLED_BYTES, w.pos);
  }

  /** Forgets all frames; their views are no longer valid. */
  rewind(): void {
    this.cache.clear();
    this.blocks.length = 0;
    this.blockEnds.length = 0;
    this.writer.pos = 0;
    if (this.writer.bytes.length > WRITER_BYTES_KEPT_MAX) this.writer = new ByteWriter(WRITER_BYTES_START);
  }

  /** The CRC of the frame so far, from the CRCs of its blocks of entries and of the bytes between them. hot */
  private frameCrc(): number {
    const { bytes, pos } = this.writer;
    const crc32c = this.options.crc32c;
    let crc = 0;
    let done = this.start;
    for (let i = 0; i < this.blocks.length; i++) {
      const block = this.blocks[i]!;
      const length = block.end - block.start;
      if (!block.hasCrc) {
        block.crc = crc32c(0, bytes.subarray(block.start, block.end));
        block.hasCrc = true;
      }
      const blockEnd = this.blockEnds[i]!;
      crc = crc32c(crc, bytes.subarray(done, blockEnd - length));
      crc = crc32cCombine(crc, block.crc, length);
      done = blockEnd;
    }
    return crc32c(crc, bytes.subarray(done, pos));
  }
}

export interface FrameReaderOptions {
  clusterId: number;
  /** Who we are: every message is to us. */
  self: number;
  crc32c: Crc32c;
}

/** Takes frames apart. */
export class FrameReader {
  private readonly options: FrameReaderOptions;
  /** Group of the frame read last. */
  group = 0;

  constructor(options: FrameReaderOptions) {
    this.options = options;
  }

  /**
   * Reads one frame of `sender`, whose bytes are handed over, and appends its messages to `into`. Returns null, or why
   * it refused the frame; nothing was appended then. Never throws. With a tagger the frame must be the connection's
   * next, and has no CRC. hot
   */
  read(
    bytes: Uint8Array,
    sender: number,
    into: Message[],
    tagger: FrameTagger | null = null,
  ): WireRefusal | null {
    const tagged = tagger !== null;
    const end = bytes.length - (tagged ? FRAME_TAG_BYTES : CRC_BYTES);
    // Where the frame would begin, if it had everything.
    const start = tagged ? -SETTLED_BYTES : 0;
    if (end < start + FRAME_HEADER_BYTES) return "length";
    // Before anything else is believed.
    if (tagged && !tagger.check(bytes)) return "tag";
    const refusal =
      (tagged ? null : this.checkSettled(bytes, end)) ?? this.checkHead(bytes, start, end, sender);
    if (refusal !== null) return refusal;
    const kept = into.length;
    try {
      const wrong = this.messages(bytes, start, end, sender, into);
      if (wrong !== null) into.length = kept;
      return wrong;
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      into.length = kept;
      return error.refusal;
    }
  }

  private checkSettled(bytes: Uint8Array, end: number): WireRefusal | null {
    if (getU32(bytes, 0) !== FRAME_MAGIC) return "magic";
    if (bytes[4] !== FRAME_VERSION) return "version";
    if (bytes[5] !== KIND_MESSAGES || bytes[6] !== 0 || bytes[7] !== 0) return "flags";
    if (getU32(bytes, 36) !== end - FRAME_HEADER_BYTES) return "length";
    if (this.options.crc32c(0, bytes.subarray(0, end)) !== getU32(bytes, end)) return "crc";
    return getU64(bytes, 8) === this.options.clusterId ? null : "cluster";
  }

  private checkHead(bytes: Uint8Array, start: number, end: number, sender: number): WireRefusal | null {
    if (getU32(bytes, start + 36) !== end - start - FRAME_HEADER_BYTES) return "length";
    if (getU64(bytes, start + 24) !== sender) return "sender";
    this.group = getU64(bytes, start + 16);
    return Number.isSafeInteger(this.group) ? null : "unsafe-integer";
  }

  private messages(
    bytes: Uint8Array,
    frameStart: number,
    end: number,
    sender: number,
    into: Message[],
  ): WireRefusal | null {
    const body = frameStart + FRAME_HEADER_BYTES;
    const count = getU32(bytes, frameStart + 32);
    if (count === 0 || count > (end - body) / MESSAGE_BYTES_MIN) return "count";
    if (count > FRAME_MESSAGES_MAX) return "count";
    let pos = body;
    let entriesLeft = FRAME_ENTRIES_MAX;
    for (let i = 0; i < count; i++) {
      if (end - pos < 4) return "count";
      const start = pos + 4;
      const length = getU32(bytes, pos);
      if (length > end - start) return "length";
      pos = start + length;
      const message = decodeMessage(bytes, start, pos, entriesLeft);
      entriesLeft -= message.entries.length;
      if (LOCAL_TYPES[message.type]) return "type";
      if (message.to !== this.options.self) return "receiver";
      if (message.from !== sender && !FORWARDED_TYPES[message.type]) return "sender";
      into.push(message);
    }
    return pos === end ? null : "count";
  }
}

export function putU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value & 255;
  bytes[at + 1] = (value >>> 8) & 255;
  bytes[at + 2] = (value >>> 16) & 255;
  bytes[at + 3] = value >>> 24;
}

/** A safe integer >= 0. */
export function putU64(bytes: Uint8Array, at: number, value: number): void {
  putU32(bytes, at, value % 4294967296);
  putU32(bytes, at + 4, Math.floor(value / 4294967296));
}

export function getU32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
}

/** Exact up to 2^53-1, and never below 2^53 if the value is not. */
export function getU64(bytes: Uint8Array, at: number): number {
  return getU32(bytes, at) + getU32(bytes, at + 4) * 4294967296;
}
