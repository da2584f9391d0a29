// File operations that copy the node's whole directory before each of them, while a file `copy-now` lies in it: what a
// crash just there would leave. Only those of the main thread; the log's own writer may be on another one.
import fs from "node:fs";
import path from "node:path";
import { isMainThread } from "node:worker_threads";
import type { WalFs } from "../../src/wal/disk/wal-fs.js";

export interface CopyPlan {
  from: string;
  to: string;
}

export function createWalFs(plan: CopyPlan, base: WalFs): WalFs {
  if (!isMainThread) return base;
  const copy = (): void => {
    if (!fs.existsSync(path.join(plan.from, "copy-now"))) return;
    const to = path.join(plan.to, String(fs.readdirSync(plan.to).length).padStart(4, "0"));
    for (;;) {
      try {
        // cpSync refuses a socket, as the lock has one.
        fs.cpSync(plan.from, to, { recursive: true, filter: (name) => !name.endsWith(".sock") });
        return;
      } catch (cause) {
        // Another thread renamed what was just to be copied: no state that ever was.
        if ((cause as NodeJS.ErrnoException).code !== "ENOENT") throw cause;
        fs.rmSync(to, { recursive: true, force: true });
      }
    }
  };
  const before = <A extends unknown[], R>(operation: (...args: A) => R): ((...args: A) => R) => {
    return (...args) => {
      copy();
      return operation(...args);
    };
  };
  return {
    open: before(base.open),
    close: base.close,
    rename: before(base.rename),
    unlink: before(base.unlink),
    write: before(base.write),
    fdatasync: before(base.fdatasync),
    truncate: before(base.truncate),
    syncDir: before(base.syncDir),
  };
}
