// What a build must know to read a node's directory: the file `raftmark.format` in it has a number, and without one it is
// 1, the only format so far. The log's metadata record cannot say it: that is written once, when the log is made, and a
// later build may add what this one would misread. Such a build writes a higher number, durably, before anything else.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { RaftmarkError } from "../base/errors.js";

const FORMAT_FILE = "raftmark.format";
const FORMAT = 1;

/** Rejects with RAFT_UNSUPPORTED for a directory of a later format, or of one that cannot be told. Changes nothing. */
export async function checkFormat(dir: string): Promise<void> {
  const file = join(dir, FORMAT_FILE);
  let found: string;
  try {
    found = (await readFile(file, "utf8")).trim();
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return;
    throw new RaftmarkError("WAL_IO", `${file} cannot be read: ${message}`, { cause });
  }
  if (found === String(FORMAT)) return;
  const text =
    `a later version of raftmark wrote in ${dir}: it has format ${JSON.stringify(found.slice(0, 20))} (${file}), and ` +
    `this version knows ${FORMAT} alone and could misread it. Start it with that version, or go back by a backup from ` +
    'before it (docs/operate.md, "Another version")';
  throw new RaftmarkError("RAFT_UNSUPPORTED", text);
}
