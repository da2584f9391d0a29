// A log that begins behind a snapshot at an index of choice, as one does whose cluster has run for long: for runs in
// which indexes are large.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { encodeMetadata } from "../../src/node/metadata.js";
import { EMPTY_CONF_STATE } from "../../src/raft/raftpb/index.js";
import { openWal } from "../../src/wal/index.js";
import type { NodeConfig } from "./protocol.js";

/** Term of the snapshot: the first election makes a later one. */
const TERM = 1;

/** Makes the log of a node that has none; its snapshot has no bytes, as the state machine has applied nothing. */
export async function beginLog(config: NodeConfig): Promise<void> {
  const { id, clusterId, durability, peers, startIndex } = config;
  const dir = join(config.dir, "wal");
  if (existsSync(dir)) return;
  const voters = Object.keys(peers).map(Number);
  const confState = { ...EMPTY_CONF_STATE, voters };
  const metadata = encodeMetadata(id, clusterId);
  const wal = await openWal({ dir, metadata, writer: "inline-wasm", durability, confState });
  try {
    await wal.saveSnapshot({ index: startIndex, term: TERM, confState }, new Uint8Array(0));
  } finally {
    await wal.close();
  }
}
