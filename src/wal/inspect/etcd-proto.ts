// The protobuf messages of etcd's files with all 64 bits, for tools that read foreign logs. Errors carry the texts
// of etcd 3.4's generated decoders, because its readers treat a message that is cut like a file that is cut.

/** The message or the file ends too early. */
export const UNEXPECTED_EOF = "unexpected EOF";

export class ProtoError extends Error {
  override readonly name = "ProtoError";
}

type Kind = "uint" | "bytes" | "uints" | Nested;
type Schema = Readonly<Record<number, readonly [field: string, kind: Kind]>>;
type Nested = { readonly name: string; readonly schema: Schema };

const RECORD: Schema = { 1: ["Type", "uint"], 2: ["Crc", "uint"], 3: ["Data", "bytes"] };
const ENTRY: Schema = {
  1: ["Type", "uint"],
  2: ["Term", "uint"],
  3: ["Index", "uint"],
  4: ["Data", "bytes"],
};
const HARD_STATE: Schema = { 1: ["Term", "uint"], 2: ["Vote", "uint"], 3: ["Commit", "uint"] };
const WAL_SNAPSHOT: Schema = { 1: ["Index", "uint"], 2: ["Term", "uint"] };
const SNAP_FILE: Schema = { 1: ["Crc", "uint"], 2: ["Data", "bytes"] };
const CONF_STATE: Schema = {
  1: ["Voters", "uints"],
  2: ["Learners", "uints"],
  3: ["VotersOutgoing", "uints"],
  4: ["LearnersNext", "uints"],
  5: ["AutoLeave", "uint"],
};
const SNAPSHOT_METADATA: Schema = {
  1: ["ConfState", { name: "ConfState", schema: CONF_STATE }],
  2: ["Index", "uint"],
  3: ["Term", "uint"],
};
const SNAPSHOT: Schema = {
  1: ["Data", "bytes"],
  2: ["Metadata", { name: "SnapshotMetadata", schema: SNAPSHOT_METADATA }],
};

/** Values by field number; absent fields are 0n, null and []. */
class Message {
  private readonly uints = new Map<number, bigint>();
  private readonly blobs = new Map<number, Uint8Array>();
  private readonly lists = new Map<number, bigint[]>();
  private readonly messages = new Map<number, Message>();

  uint(field: number): bigint {
    return this.uints.get(field) ?? 0n;
  }

  blob(field: number): Uint8Array | null {
    return this.blobs.get(field) ?? null;
  }

  list(field: number): bigint[] {
    return this.lists.get(field) ?? [];
  }

  /** One that comes twice is merged, as in Go. */
  message(field: number): Message {
    const message = this.messages.get(field) ?? new Message();
    this.messages.set(field, message);
    return message;
  }

  set(field: number, kind: Kind, value: bigint | Uint8Array): void {
    if (value instanceof Uint8Array) this.blobs.set(field, value);
    else if (kind === "uint") this.uints.set(field, value);
    else this.lists.set(field, [...this.list(field), value]);
  }
}

class Reader {
  private readonly bytes: Uint8Array;
  at = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  get done(): boolean {
    return this.at >= this.bytes.length;
  }

  varint(): bigint {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      if (shift >= 64n) throw new ProtoError("proto: integer overflow");
      if (this.at >= this.bytes.length) throw new ProtoError(UNEXPECTED_EOF);
      const byte = this.bytes[this.at++]!;
      // Bits above 64 are lost, as in Go. Not by asUintN: Node 20's V8 dies compiling loops over what that returns.
      value |= BigInt(byte & (shift === 63n ? 1 : 0x7f)) << shift;
      if (byte < 0x80) return value;
    }
  }

  blob(tagAt?: number): Uint8Array {
    const length = BigInt.asIntN(64, this.varint());
    const before = tagAt === undefined ? 0 : this.at - tagAt;
    if (length < 0n || BigInt(before) + length >= 1n << 63n) {
      throw new ProtoError("proto: negative length found during unmarshaling");
    }
    if (BigInt(this.at) + length > BigInt(this.bytes.length)) throw new ProtoError(UNEXPECTED_EOF);
    const start = this.at;
    this.at += Number(length);
    return this.bytes.subarray(start, this.at);
  }

  /**
   * Behind the value of a field whose tag began at `tagAt`. A group may hold groups: counted, not recursed into, since
   * bytes from outside decide how deep they go. Where etcd's place in the field overflows, it says "negative length".
   */
  skip(wire: number, tagAt: number): void {
    for (let depth = 0; ; wire = Number(this.varint() & 7n)) {
      if (wire === 0) this.varint();
      else if (wire === 1) this.at += 8;
      else if (wire === 2) this.blob(tagAt);
      else if (wire === 3) depth++;
      else if (wire === 4) depth--;
      else if (wire === 5) this.at += 4;
      else throw new ProtoError(`proto: illegal wireType ${wire}`);
      if (this.at > this.bytes.length) throw new ProtoError(UNEXPECTED_EOF);
      if (depth === 0) return;
    }
  }
}

function decode(name: string, schema: Schema, bytes: Uint8Array, message = new Message()): Message {
  const reader = new Reader(bytes);
  while (!reader.done) {
    const tagAt = reader.at;
    const tag = reader.varint();
    const field = Number(BigInt.asIntN(32, tag >> 3n));
    const wire = Number(tag & 7n);
    if (wire === 4) throw new ProtoError(`proto: ${name}: wiretype end group for non-group`);
    if (field <= 0) throw new ProtoError(`proto: ${name}: illegal tag ${field} (wire type ${tag})`);
    const known = schema[field];
    if (known === undefined) {
      reader.skip(wire, tagAt);
      continue;
    }
    const [fieldName, kind] = known;
    if (typeof kind === "object" && wire === 2) {
      decode(kind.name, kind.schema, reader.blob(), message.message(field));
    } else if (kind === "bytes" && wire === 2) message.set(field, kind, reader.blob());
    else if ((kind === "uint" || kind === "uints") && wire === 0) message.set(field, kind, reader.varint());
    else if (kind === "uints" && wire === 2) {
      const packed = new Reader(reader.blob());
      while (!packed.done) message.set(field, kind, packed.varint());
    } else throw new ProtoError(`proto: wrong wireType = ${wire} for field ${fieldName}`);
  }
  return message;
}

export interface EtcdRecord {
  type: bigint;
  crc: number;
  /** Null: the field is absent. */
  data: Uint8Array | null;
}

export interface EtcdEntry {
  type: number;
  term: bigint;
  index: bigint;
  data: Uint8Array | null;
}

export interface EtcdHardState {
  term: bigint;
  vote: bigint;
  commit: bigint;
}

export interface EtcdSnapshotId {
  index: bigint;
  term: bigint;
}

export interface EtcdConfState {
  voters: bigint[];
  learners: bigint[];
  votersOutgoing: bigint[];
  learnersNext: bigint[];
  autoLeave: boolean;
}

export const ZERO_STATE: EtcdHardState = { term: 0n, vote: 0n, commit: 0n };
const NOTHING = new Uint8Array(0);

export function decodeRecord(bytes: Uint8Array): EtcdRecord {
  const m = decode("Record", RECORD, bytes);
  return { type: BigInt.asIntN(64, m.uint(1)), crc: Number(BigInt.asUintN(32, m.uint(2))), data: m.blob(3) };
}

export function decodeEntry(bytes: Uint8Array | null): EtcdEntry {
  const m = decode("Entry", ENTRY, bytes ?? NOTHING);
  return { type: Number(BigInt.asIntN(32, m.uint(1))), term: m.uint(2), index: m.uint(3), data: m.blob(4) };
}

export function decodeState(bytes: Uint8Array | null): EtcdHardState {
  const m = decode("HardState", HARD_STATE, bytes ?? NOTHING);
  return { term: m.uint(1), vote: m.uint(2), commit: m.uint(3) };
}

export function decodeSnapshotId(bytes: Uint8Array | null): EtcdSnapshotId {
  const m = decode("Snapshot", WAL_SNAPSHOT, bytes ?? NOTHING);
  return { index: m.uint(1), term: m.uint(2) };
}

export function decodeSnapFile(bytes: Uint8Array): { crc: number; data: Uint8Array } {
  const m = decode("snapshot", SNAP_FILE, bytes);
  return { crc: Number(BigInt.asUintN(32, m.uint(1))), data: m.blob(2) ?? NOTHING };
}

export function decodeSnapshot(bytes: Uint8Array): {
  data: Uint8Array;
  index: bigint;
  term: bigint;
  confState: EtcdConfState;
} {
  const snapshot = decode("Snapshot", SNAPSHOT, bytes);
  const metadata = snapshot.message(2);
  const conf = metadata.message(1);
  return {
    data: snapshot.blob(1) ?? NOTHING,
    index: metadata.uint(2),
    term: metadata.uint(3),
    confState: {
      voters: conf.list(1),
      learners: conf.list(2),
      votersOutgoing: conf.list(3),
      learnersNext: conf.list(4),
      autoLeave: conf.uint(5) !== 0n,
    },
  };
}
