// "raftmark/wal": etcd-format write-ahead logs: open for appending, or read.
export { type FileSystem, realFileSystem } from "./file-system.js";
export { scanWal, type Torn, type WalScan, type WalVisitor } from "./recovery.js";
export { openWal, type Recovered, type Wal, type WalOptions, type WalStats } from "./wal.js";
export type { WalStorage } from "./wal-storage.js";
