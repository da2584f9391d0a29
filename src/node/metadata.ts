// The log's metadata record: who wrote it, and what the log began with. etcd's message {NodeID = 1, ClusterID = 2}, both
// uint64, and fields of ours with numbers that etcd's tools skip: Voters = 1000, packed uint64, LogID = 1001, bytes, and
// Addresses = 1002, UTF-8, one "id address" a line. It is written when the log is made, in one step with it, and never again. Pure.

/** What a log begins with, beside its owner. */
export interface Bootstrap {
  /** The initial voters, ascending; none: it joined a group that was there. */
  readonly voters: readonly number[];
  /** Where the option peers said that members listen; absent: an older version's log. */
  readonly addresses?: ReadonlyMap<number, string> | undefined;
  /** LOG_ID_BYTES at random: no two logs have the same, so that a log that was lost is told from its successor. */
  readonly logId: Uint8Array;
}

export interface Metadata {
  /** All 64 bits, since etcd uses them; 0: missing. */
  readonly nodeId: bigint;
  readonly clusterId: bigint;
  /** Null: a log of etcd's, of an older version, or whose record cannot be read. */
  readonly bootstrap: Bootstrap | null;
}

export const LOG_ID_BYTES = 8;

const NODE_ID = 1;
const CLUSTER_ID = 2;
const VOTERS = 1000;
const LOG_ID = 1001;
const ADDRESSES = 1002;
const VARINT = 0;
const FIXED64 = 1;
const LENGTH = 2;
const FIXED32 = 5;

/** Protobuf bytes of {NodeID, ClusterID} and, if given, {Voters, LogID, Addresses}. */
export function encodeMetadata(nodeId: number, clusterId: number, bootstrap?: Bootstrap): Uint8Array {
  const out: number[] = [];
  pushVarint(out, tag(NODE_ID, VARINT));
  pushVarint(out, nodeId);
  pushVarint(out, tag(CLUSTER_ID, VARINT));
  pushVarint(out, clusterId);
  if (bootstrap === undefined) return Uint8Array.from(out);
  const voters: number[] = [];
  for (const voter of bootstrap.voters) pushVarint(voters, voter);
  pushBytes(out, VOTERS, voters);
  pushBytes(out, LOG_ID, [...bootstrap.logId]);
  if (bootstrap.addresses !== undefined) {
    const lines = [...bootstrap.addresses].map(([id, address]) => `${id} ${address}`);
    pushBytes(out, ADDRESSES, [...Buffer.from(lines.join("\n"))]);
  }
  return Uint8Array.from(out);
}

/** What metadata bytes say; from where they cannot be read on, they say nothing. */
export function decodeMetadata(bytes: Uint8Array): Metadata {
  const reader = new Reader(bytes);
  let nodeId = 0n;
  let clusterId = 0n;
  let voters: number[] | null = null;
  let logId: Uint8Array | null = null;
  let addresses: Map<number, string> | undefined;
  while (!reader.atEnd) {
    const key = Number(reader.varint());
    if (key === tag(NODE_ID, VARINT)) nodeId = reader.varint();
    else if (key === tag(CLUSTER_ID, VARINT)) clusterId = reader.varint();
    else if (key === tag(VOTERS, LENGTH)) voters = votersOf(reader.bytes());
    else if (key === tag(LOG_ID, LENGTH)) logId = reader.bytes();
    else if (key === tag(ADDRESSES, LENGTH)) addresses = addressesOf(reader.bytes());
    else reader.skip(key & 7);
  }
  if (voters === null || logId?.length !== LOG_ID_BYTES) return { nodeId, clusterId, bootstrap: null };
  const bootstrap = addresses === undefined ? { voters, logId } : { voters, logId, addresses };
  return { nodeId, clusterId, bootstrap };
}

function addressesOf(text: Uint8Array): Map<number, string> {
  const addresses = new Map<number, string>();
  for (const line of Buffer.from(text).toString().split("\n")) {
    const space = line.indexOf(" ");
    if (space > 0) addresses.set(Number(line.slice(0, space)), line.slice(space + 1));
  }
  return addresses;
}

function votersOf(packed: Uint8Array): number[] {
  const reader = new Reader(packed);
  const voters: number[] = [];
  while (!reader.atEnd) voters.push(Number(reader.varint()));
  return voters;
}

function tag(field: number, wireType: number): number {
  return field * 8 + wireType;
}

function pushVarint(out: number[], value: number): void {
  let rest = BigInt(value);
  while (rest >= 0x80n) {
    out.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  out.push(Number(rest));
}

function pushBytes(out: number[], field: number, bytes: readonly number[]): void {
  pushVarint(out, tag(field, LENGTH));
  pushVarint(out, bytes.length);
  out.push(...bytes);
}

/** Reads to the end of what is there, and never beyond. */
class Reader {
  private readonly input: Uint8Array;
  private at = 0;

  constructor(input: Uint8Array) {
    this.input = input;
  }

  get atEnd(): boolean {
    return this.at >= this.input.length;
  }

  varint(): bigint {
    let value = 0n;
    let shift = 0n;
    let byte = 0x80;
    while (byte >= 0x80 && !this.atEnd) {
      byte = this.input[this.at++];
      value |= BigInt(byte & 0x7f) << shift;
      shift += 7n;
    }
    return BigInt.asUintN(64, value);
  }

  /** A copy. */
  bytes(): Uint8Array {
    const length = Number(this.varint());
    const found = this.input.slice(this.at, this.at + length);
    this.at += length;
    return found;
  }

  skip(wireType: number): void {
    if (wireType === VARINT) this.varint();
    else if (wireType === LENGTH) this.bytes();
    else if (wireType === FIXED64) this.at += 8;
    else if (wireType === FIXED32) this.at += 4;
    else this.at = this.input.length;
  }
}
