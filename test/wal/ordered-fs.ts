// File operations that note what they do, for tests of order, in the thread where they run.
import path from "node:path";
import type { WalFs } from "../../src/wal/disk/wal-fs.js";

/** "op name", oldest first; of writes and syncs the name is that of the file. */
export const operations: string[] = [];

export function createWalFs(_arg: unknown, base: WalFs): WalFs {
  const names = new Map<number, string>();
  return {
    open(file, flags) {
      const fd = base.open(file, flags);
      names.set(fd, path.basename(file));
      operations.push(`open ${path.basename(file)}`);
      return fd;
    },
    close(fd) {
      names.delete(fd);
      base.close(fd);
    },
    rename(from, to) {
      operations.push(`rename ${path.basename(from)} ${path.basename(to)}`);
      base.rename(from, to);
      for (const [fd, name] of names) if (name === path.basename(from)) names.set(fd, path.basename(to));
    },
    unlink(file) {
      operations.push(`unlink ${path.basename(file)}`);
      return base.unlink(file);
    },
    write(fd, bytes, from, to, position) {
      operations.push(`write ${names.get(fd)}`);
      return base.write(fd, bytes, from, to, position);
    },
    fdatasync(fd) {
      const done = (): void => void operations.push(`synced ${names.get(fd)}`);
      const step = base.fdatasync(fd);
      if (step === undefined) done();
      return step?.then(done);
    },
    truncate(fd, bytes) {
      operations.push(`truncate ${names.get(fd)}`);
      return base.truncate(fd, bytes);
    },
    syncDir(dir) {
      const done = (): void => void operations.push(`synced ${path.basename(dir)}/`);
      const step = base.syncDir(dir);
      if (step === undefined) done();
      return step?.then(done);
    },
  };
}
