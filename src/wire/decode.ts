// The lean decoder of raftpb.Message. Takes what any proto2 writer may send: fields missing, in any order, unknown
// fields. Entries' data are views of the input, which the caller hands over. Main thread.
import { NO_DATA } from "../base/bytes.js";
import type { ConfState, EntryType, MessageType, Snapshot, SnapshotMetadata } from "../raft/raftpb/index.js";
import {
  EMPTY_SNAPSHOT,
  Entry,
  EntryConfChangeV2,
  EntryNormal,
  Message,
  MSG_ENTRIES_MAX,
  MsgForgetLeader,
  MsgHup,
} from "../raft/raftpb/index.js";
import { entryHeadBytes } from "./encode.js";
import { WireError } from "./wire-error.js";

const VARINT_BYTES_MAX = 10;
/** An entry with data, without its tag and length. */
const ENTRY_BYTES_MIN = 8;
/** The highest field numbers of the schema. */
const ENTRY_FIELD_MAX = 4;
const SNAPSHOT_FIELD_MAX = 2;
const METADATA_FIELD_MAX = 3;
const CONF_STATE_FIELD_MAX = 5;
const MESSAGE_FIELD_MAX = 14;
/** Of a snapshot without its data: room for far more members than a group may have (raft's MEMBERS_MAX). */
const SNAPSHOT_METADATA_BYTES_MAX = 64 * 1024;

/** Reads one buffer, front to back. Every method throws WireError for bytes it refuses. */
class Decoder {
  private bytes: Uint8Array = NO_DATA;
  private pos = 0;
  /** bytes.buffer and bytes.byteOffset: reading them for every view would double the view's cost. */
  private buffer: ArrayBufferLike = NO_DATA.buffer;
  private base = 0;
  /** The run being read: what its entries share, where that begins, and where the last of them ends; -1: none. */
  private run: Uint8Array = NO_DATA;
  private runStart = 0;
  private runEnd = -1;

  /** Decodes the message in [start, end) of `bytes`, and keeps no reference to them. hot */
  message(bytes: Uint8Array, start: number, end: number, maxEntries: number): Message {
    this.bytes = bytes;
    this.pos = start;
    this.buffer = bytes.buffer;
    this.base = bytes.byteOffset;
    this.runEnd = -1;
    const m = new Message(MsgHup);
    while (this.pos < end) {
      // All tags we know are one byte; what is longer is for unknownField.
      switch (this.bytes[this.pos++]) {
        case 0x08:
          m.type = this.enumerator(end, MsgForgetLeader) as MessageType;
          break;
        case 0x10:
          m.to = this.uvarint(end);
          break;
        case 0x18:
          m.from = this.uvarint(end);
          break;
        case 0x20:
          m.term = this.uvarint(end);
          break;
        case 0x28:
          m.logTerm = this.uvarint(end);
          break;
        case 0x30:
          m.index = this.uvarint(end);
          break;
        case 0x3a:
          if (m.entries.length === 0) m.entries = [];
          if (m.entries.length >= maxEntries) throw new WireError("count");
          m.entries.push(this.entry(end));
          break;
        case 0x40:
          m.commit = this.uvarint(end);
          break;
        case 0x50:
          m.reject = this.bool(end);
          break;
        case 0x58:
          m.rejectHint = this.uvarint(end);
          break;
        case 0x62:
          // A copy: it may be kept for longer than the frame.
          m.context = this.view(end).slice();
          break;
        case 0x68:
          m.vote = this.uvarint(end);
          break;
        case 0x4a:
          m.snapshot = this.snapshot(end);
          break;
        default:
          // Among them field 14, responses: they are for a node's own storage.
          this.unknownField(end, MESSAGE_FIELD_MAX);
      }
    }
    this.bytes = NO_DATA;
    this.run = NO_DATA;
    this.buffer = NO_DATA.buffer;
    return m;
  }

  /** The entry whose tag was read last. hot */
  private entry(limit: number): Entry {
    const at = this.pos - 1;
    const length = this.uvarint(limit);
    const start = this.pos;
    const end = start + length;
    if (end > limit) throw new WireError("message");
    const entry = this.entryOfRun(at, end, limit);
    if (entry !== null) return entry;
    this.pos = start;
    return this.anyEntry(end);
  }

  /** If its bytes are those that we would write, it is one of a run. hot */
  private entryOfRun(at: number, end: number, limit: number): Entry | null {
    const { bytes } = this;
    const start = this.pos;
    if (end - start < ENTRY_BYTES_MIN) return null;
    if (bytes[start] !== 0x08 || bytes[start + 1]! > EntryConfChangeV2 || bytes[start + 2] !== 0x10)
      return null;
    this.pos = start + 3;
    const term = this.uvarint(end);
    if (this.pos === end || bytes[this.pos++] !== 0x18) return null;
    const index = this.uvarint(end);
    if (this.pos === end || bytes[this.pos++] !== 0x22) return null;
    const size = this.uvarint(end);
    const data = this.pos;
    // No varint is longer than it must be: the log would hold other bytes than those of its entry.
    if (data + size !== end || data - at !== entryHeadBytes(term, index, size)) return null;
    if (at !== this.runEnd) {
      this.run = new Uint8Array(this.buffer, this.base + at, limit - at);
      this.runStart = at;
    }
    this.runEnd = end;
    this.pos = end;
    const type = bytes[start + 1] as EntryType;
    return new Entry(type, term, index, this.run, data - this.runStart, size, at - this.runStart);
  }

  private anyEntry(end: number): Entry {
    let type = EntryNormal;
    let term = 0;
    let index = 0;
    let data = NO_DATA;
    while (this.pos < end) {
      // All tags we know are one byte; what is longer is for unknownField.
      switch (this.bytes[this.pos++]) {
        case 0x08:
          type = this.enumerator(end, EntryConfChangeV2);
          break;
        case 0x10:
          term = this.uvarint(end);
          break;
        case 0x18:
          index = this.uvarint(end);
          break;
        case 0x22:
          data = this.view(end);
          break;
        default:
          this.unknownField(end, ENTRY_FIELD_MAX);
      }
    }
    return new Entry(type as EntryType, term, index, data);
  }

  /** Its membership is bounded, in bytes, before anything is made of it: every id in it costs many times its bytes. */
  private snapshot(limit: number): Snapshot {
    const end = this.endOfField(limit);
    const snapshot = { data: NO_DATA, metadata: EMPTY_SNAPSHOT.metadata };
    let metadataBytes = 0;
    while (this.pos < end) {
      switch (this.bytes[this.pos++]) {
        case 0x0a:
          snapshot.data = this.view(end);
          break;
        case 0x12: {
          const metadataEnd = this.endOfField(end);
          metadataBytes += metadataEnd - this.pos;
          if (metadataBytes > SNAPSHOT_METADATA_BYTES_MAX) throw new WireError("count");
          snapshot.metadata = this.metadata(metadataEnd, snapshot.metadata);
          break;
        }
        default:
          this.unknownField(end, SNAPSHOT_FIELD_MAX);
      }
    }
    return snapshot;
  }

  /** A field that comes again goes on with what it had: `before`. */
  private metadata(end: number, before: SnapshotMetadata): SnapshotMetadata {
    let { confState, index, term } = before;
    while (this.pos < end) {
      switch (this.bytes[this.pos++]) {
        case 0x0a:
          confState = this.confState(this.endOfField(end), confState);
          break;
        case 0x10:
          index = this.uvarint(end);
          break;
        case 0x18:
          term = this.uvarint(end);
          break;
        default:
          this.unknownField(end, METADATA_FIELD_MAX);
      }
    }
    return { confState, index, term };
  }

  private confState(end: number, before: ConfState): ConfState {
    const voters = [...before.voters];
    const learners = [...before.learners];
    const votersOutgoing = [...before.votersOutgoing];
    const learnersNext = [...before.learnersNext];
    const lists = [voters, learners, votersOutgoing, learnersNext];
    let { autoLeave } = before;
    while (this.pos < end) {
      const tag = this.bytes[this.pos++]!;
      const list = tag < 0x28 ? lists[(tag >> 3) - 1] : undefined;
      if (tag === 0x28) autoLeave = this.bool(end);
      else if (list !== undefined && (tag & 7) === 0) list.push(this.uvarint(end));
      else if (list !== undefined && (tag & 7) === 2) {
        // Packed, as proto3 writes them.
        const last = this.endOfField(end);
        while (this.pos < last) list.push(this.uvarint(last));
      } else this.unknownField(end, CONF_STATE_FIELD_MAX);
    }
    return { voters, learners, votersOutgoing, learnersNext, autoLeave };
  }

  /** A length, and where as many bytes from here end. */
  private endOfField(limit: number): number {
    const length = this.uvarint(limit);
    if (length > limit - this.pos) throw new WireError("message");
    return this.pos + length;
  }

  /** A varint of at most 2^53-1 that ends before `end`. hot */
  private uvarint(end: number): number {
    const bytes = this.bytes;
    let pos = this.pos;
    if (pos >= end) throw new WireError("message");
    let byte = bytes[pos++]!;
    if (byte < 0x80) {
      this.pos = pos;
      return byte;
    }
    let value = byte & 0x7f;
    for (let shift = 7; shift < 28; shift += 7) {
      if (pos >= end) throw new WireError("message");
      byte = bytes[pos++]!;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) {
        this.pos = pos;
        return value;
      }
    }
    return this.longVarint(pos, end, value);
  }

  /** The bytes from the fifth on, in floating point: exact up to 2^53-1, and never below 2^53 if the value is not. */
  private longVarint(start: number, end: number, low: number): number {
    let value = low;
    let scale = 0x10000000;
    for (let pos = start; pos < end && pos - start < VARINT_BYTES_MAX - 4; scale *= 128) {
      const byte = this.bytes[pos++]!;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (value > Number.MAX_SAFE_INTEGER) throw new WireError("unsafe-integer");
        this.pos = pos;
        return value;
      }
    }
    throw new WireError("message");
  }

  /** A bool may come as any varint, even one of 64 bits. */
  private bool(end: number): boolean {
    let value = false;
    for (let i = 0; i < VARINT_BYTES_MAX && this.pos < end; i++) {
      const byte = this.bytes[this.pos++]!;
      if ((byte & 0x7f) !== 0) value = true;
      if (byte < 0x80) return value;
    }
    throw new WireError("message");
  }

  /** An enum value of 0 .. max. What we do not know we cannot act on: taking it for 0 would be worse. */
  private enumerator(end: number, max: number): number {
    const value = this.uvarint(end);
    if (value > max) throw new WireError("type");
    return value;
  }

  /** A length and a view of as many bytes. hot */
  private view(end: number): Uint8Array {
    const length = this.uvarint(end);
    const start = this.pos;
    if (length > end - start) throw new WireError("message");
    this.pos = start + length;
    // Not subarray: on a Buffer it makes a Buffer, which costs more.
    return new Uint8Array(this.buffer, this.base + start, length);
  }

  /**
   * Passes over a field whose tag begins at the byte before. A field up to `known` is one we know, with a type it does
   * not have: damage. Groups, which no writer of raftpb ever had, are refused too.
   */
  private unknownField(end: number, known: number): void {
    this.pos--;
    const tag = this.uvarint(end);
    if (Math.floor(tag / 8) <= known) throw new WireError("message");
    switch (tag % 8) {
      case 0:
        this.bool(end);
        break;
      case 1:
        this.pos += 8;
        break;
      case 2:
        this.view(end);
        break;
      case 5:
        this.pos += 4;
        break;
      default:
        throw new WireError("message");
    }
    if (this.pos > end) throw new WireError("message");
  }
}

const decoder = new Decoder();

/**
 * Decodes the message in [start, end) of `bytes`, which are handed over: the message keeps views of them. Throws
 * WireError, also for more than `maxEntries` entries: an entry of two bytes costs a hundred in memory. hot
 */
export function decodeMessage(
  bytes: Uint8Array,
  start: number,
  end: number,
  maxEntries = MSG_ENTRIES_MAX,
): Message {
  return decoder.message(bytes, start, end, maxEntries);
}
