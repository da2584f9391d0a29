// The log's metadata record: who wrote it, and what the log began with. etcd's message {NodeID = 1, ClusterID = 2},
// both uint64, and fields of ours with numbers that etcd's tools skip: Voters = 1000, packed uint64, LogID = 1001,
// bytes, and Addresses = 1002, UTF-8, one "id address" a line. It is written when the log is made, in one step with it,
// and never again. Pure.
import {
  FieldReader,
  LENGTH,
  pushBytes,
  pushNumber,
  pushVarint,
  unlessMalformed,
  VARINT,
} from "../base/protobuf.js";

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

/** Protobuf bytes of {NodeID, ClusterID} and, if given, {Voters, LogID, Addresses}. */
export function encodeMetadata(nodeId: number, clusterId: number, bootstrap?: Bootstrap): Uint8Array {
  const out: number[] = [];
  pushNumber(out, NODE_ID, nodeId);
  pushNumber(out, CLUSTER_ID, clusterId);
  if (bootstrap === undefined) return Uint8Array.from(out);
  const voters: number[] = [];
  for (const voter of bootstrap.voters) pushVarint(voters, voter);
  pushBytes(out, VOTERS, voters);
  pushBytes(out, LOG_ID, bootstrap.logId);
  if (bootstrap.addresses !== undefined) {
    const lines = [...bootstrap.addresses].map(([id, address]) => `${id} ${address}`);
    pushBytes(out, ADDRESSES, Buffer.from(lines.join("\n")));
  }
  return Uint8Array.from(out);
}

/** What metadata bytes say; from where they cannot be read on, they say nothing. */
export function decodeMetadata(bytes: Uint8Array): Metadata {
  const found: Found = { nodeId: 0n, clusterId: 0n, voters: null, logId: null, addresses: undefined };
  unlessMalformed(() => readFields(new FieldReader(bytes), found));
  const { nodeId, clusterId, voters, logId, addresses } = found;
  if (voters === null || logId?.length !== LOG_ID_BYTES) return { nodeId, clusterId, bootstrap: null };
  const bootstrap = addresses === undefined ? { voters, logId } : { voters, logId, addresses };
  return { nodeId, clusterId, bootstrap };
}

interface Found {
  nodeId: bigint;
  clusterId: bigint;
  voters: number[] | null;
  logId: Uint8Array | null;
  addresses: Map<number, string> | undefined;
}

function readFields(reader: FieldReader, found: Found): void {
  while (reader.next()) {
    if (reader.is(NODE_ID, VARINT)) found.nodeId = reader.varint64();
    else if (reader.is(CLUSTER_ID, VARINT)) found.clusterId = reader.varint64();
    else if (reader.is(VOTERS, LENGTH)) found.voters = reader.packed();
    else if (reader.is(LOG_ID, LENGTH)) found.logId = reader.view().slice();
    else if (reader.is(ADDRESSES, LENGTH)) found.addresses = addressesOf(reader.view());
    else reader.skip();
  }
}

function addressesOf(text: Uint8Array): Map<number, string> {
  const addresses = new Map<number, string>();
  for (const line of Buffer.from(text).toString().split("\n")) {
    const space = line.indexOf(" ");
    if (space > 0) addresses.set(Number(line.slice(0, space)), line.slice(space + 1));
  }
  return addresses;
}
