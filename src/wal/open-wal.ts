// A log with the threads of a pool of its own: where the two meet, which know each other by interface only.
import { openLog } from "./log/open.js";
import type { Wal, WalOptions } from "./log/types.js";
import { LogPool } from "./pool/log-pool.js";

/** Opens the log in `options.dir`, or creates it. One process at a time: WAL_LOCKED otherwise. */
export function openWal(options: WalOptions): Promise<Wal> {
  return openLog(options, (writes) => new LogPool(writes));
}
