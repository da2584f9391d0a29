// File operations that fail on demand. Loaded by the log through its walFs option, on the main thread or a worker.
import type { WalFs } from "../../src/wal/wal-fs.js";

export interface FaultPlan {
  op: "write" | "fdatasync" | "open";
  /** Fails from this call on, counting from 1 the calls whose path (open) or size (write) matches. */
  from: number;
  code: string;
  /** Only writes larger than this, or opens of paths that contain it. */
  over?: number;
  path?: string;
}

export function createWalFs(plan: FaultPlan, base: WalFs): WalFs {
  let calls = 0;
  const trip = (): void => {
    if (++calls >= plan.from) throw Object.assign(new Error(`${plan.code}: injected`), { code: plan.code });
  };
  return {
    ...base,
    open(path, flags) {
      if (plan.op === "open" && path.includes(plan.path ?? "")) trip();
      return base.open(path, flags);
    },
    write(fd, bytes, from, to, position) {
      if (plan.op === "write" && to - from > (plan.over ?? 0)) trip();
      return base.write(fd, bytes, from, to, position);
    },
    fdatasync(fd) {
      if (plan.op === "fdatasync") trip();
      return base.fdatasync(fd);
    },
  };
}
