// "raftmark/wal": the write-ahead log in etcd's format.
export { crc32c } from "./crc32c.js";
export { openWal } from "./open.js";
export type { WalRecord } from "./read-wal.js";
export { readWal } from "./read-wal.js";
export type {
  Recovered,
  SnapshotData,
  SnapshotStream,
  TornTail,
  Wal,
  WalOptions,
  WalStats,
  WalStorage,
} from "./types.js";
