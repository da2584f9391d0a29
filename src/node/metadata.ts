// The log's metadata record: who wrote it. etcd's message {NodeID = 1, ClusterID = 2}, both uint64, so that etcd's
// tools show them.

/** Protobuf bytes of {NodeID, ClusterID}. */
export function encodeMetadata(nodeId: number, clusterId: number): Uint8Array {
  const out: number[] = [];
  pushField(out, 1, BigInt(nodeId));
  pushField(out, 2, BigInt(clusterId));
  return Uint8Array.from(out);
}

/** Ids from metadata bytes; 0 for what is missing or cannot be read. All 64 bits, since etcd uses them. */
export function decodeMetadata(bytes: Uint8Array): { nodeId: bigint; clusterId: bigint } {
  const ids = { nodeId: 0n, clusterId: 0n };
  let at = 0;
  while (at < bytes.length) {
    const tag = bytes[at++];
    let value = 0n;
    let shift = 0n;
    let byte = 0x80;
    while (byte >= 0x80 && at < bytes.length) {
      byte = bytes[at++];
      value |= BigInt(byte & 0x7f) << shift;
      shift += 7n;
    }
    if (tag === 0x08) ids.nodeId = BigInt.asUintN(64, value);
    else if (tag === 0x10) ids.clusterId = BigInt.asUintN(64, value);
    else break;
  }
  return ids;
}

function pushField(out: number[], field: number, value: bigint): void {
  out.push(field << 3);
  let rest = value;
  while (rest >= 0x80n) {
    out.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  out.push(Number(rest));
}
