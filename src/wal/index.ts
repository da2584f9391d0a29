// "raftmark/wal": the write-ahead log in etcd's format.
export type { Durability } from "./disk/wal-fs.js";
export { crc32c } from "./format/crc32c.js";
export type { WalRecord } from "./inspect/read-wal.js";
export { readWal } from "./inspect/read-wal.js";
export type { Recovered, Wal, WalOptions, WalStats } from "./log/types.js";
export { openWal } from "./open-wal.js";
export type { WalStorage } from "./read/wal-storage.js";
export type { TornTail } from "./recover/recovery.js";
export type { SnapshotFile } from "./snap/snap-transfer.js";
export type { Abortable, SnapshotData, SnapshotStream } from "./snap/snapshot-data.js";
export type { BatchTime, BatchTimes } from "./write/batch-times.js";
export type { DurationHistogram } from "./write/sync-times.js";
export type { WriterKind } from "./write/writer.js";
