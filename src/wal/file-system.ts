// What the WAL asks of the file system, so that tests can make a disk that is full, fails or hangs.
import * as fs from "node:fs";

/** The part of node:fs that writes; synchronous, and the two calls with a callback of the inline writers. */
export type FileSystem = Pick<
  typeof fs,
  | "openSync"
  | "closeSync"
  | "writeSync"
  | "readSync"
  | "fsyncSync"
  | "fdatasyncSync"
  | "ftruncateSync"
  | "fstatSync"
  | "renameSync"
  | "mkdirSync"
  | "rmSync"
  | "readdirSync"
  | "existsSync"
  | "copyFileSync"
> & {
  write(
    fd: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
    position: number,
    done: (error: NodeJS.ErrnoException | null, written: number) => void,
  ): void;
  fdatasync(fd: number, done: (error: NodeJS.ErrnoException | null) => void): void;
};

export const realFileSystem: FileSystem = fs;
