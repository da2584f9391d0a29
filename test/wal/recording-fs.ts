// File operations that are noted in the order in which they happened, with the bytes written: what a machine that stops
// may have done of them is made from this (crash-points.test.ts). For the writers on the main thread, which load it in
// this process.
import type { WalFs } from "../../src/wal/disk/wal-fs.js";

export type Op =
  | { readonly kind: "open"; readonly fd: number; readonly path: string; readonly flags: number }
  | { readonly kind: "close"; readonly fd: number }
  | { readonly kind: "write"; readonly fd: number; readonly position: number; readonly bytes: Uint8Array }
  | { readonly kind: "truncate"; readonly fd: number; readonly bytes: number }
  | { readonly kind: "fdatasync"; readonly fd: number }
  | { readonly kind: "unlink"; readonly path: string }
  | { readonly kind: "rename"; readonly from: string; readonly to: string }
  | { readonly kind: "syncDir"; readonly dir: string };

/** By name; the test takes it from here. */
export const recordings = new Map<string, Op[]>();

/** `name`: of the recording, which begins empty. An operation is noted when it begins. */
export function createWalFs(name: string, base: WalFs): WalFs {
  const ops: Op[] = [];
  recordings.set(name, ops);
  return {
    ...base,
    open(path, flags) {
      const fd = base.open(path, flags);
      ops.push({ kind: "open", fd, path, flags });
      return fd;
    },
    close(fd) {
      ops.push({ kind: "close", fd });
      base.close(fd);
    },
    rename(from, to) {
      ops.push({ kind: "rename", from, to });
      base.rename(from, to);
    },
    unlink(path) {
      ops.push({ kind: "unlink", path });
      return base.unlink(path);
    },
    write(fd, bytes, from, to, position) {
      ops.push({ kind: "write", fd, position, bytes: bytes.slice(from, to) });
      return base.write(fd, bytes, from, to, position);
    },
    fdatasync(fd) {
      ops.push({ kind: "fdatasync", fd });
      return base.fdatasync(fd);
    },
    truncate(fd, bytes) {
      ops.push({ kind: "truncate", fd, bytes });
      return base.truncate(fd, bytes);
    },
    syncDir(dir) {
      ops.push({ kind: "syncDir", dir });
      return base.syncDir(dir);
    },
  };
}
