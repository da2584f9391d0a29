// The files of a log as opening makes, finds and mends them, before there is a writer. Main thread; the caller has the lock.
import fs from "node:fs";
import path from "node:path";
import { NO_DATA } from "../../base/bytes.js";
import { RaftmarkError } from "../../base/errors.js";
import { EMPTY_CONF_STATE, EMPTY_HARD_STATE } from "../../raft/raftpb/index.js";
import { BLOCK_BYTES, DSYNC_REACHES_DISK, takesDirect } from "../disk/direct.js";
import { type Durability, FILE_MODE, runAsync, type WalFs, withFile } from "../disk/wal-fs.js";
import {
  DIR_MODE,
  RECORD_CRC,
  RECORD_METADATA,
  RECORD_SNAPSHOT,
  SEAL_BYTES,
  SEGMENT_END_BYTES,
  type SegmentName,
  segmentName,
} from "../format/format.js";
import { PointIndex } from "../format/point-index.js";
import { encodeSnapshotRecord, FrameBuilder } from "../format/record.js";
import { cutTorn, listSegments, type RecoveredLog, type TornTail } from "../recover/recovery.js";
import { removeDrafts } from "../snap/snap-dir.js";
import { fillZeros, preparedBytes, prepareSegment, removePrepared } from "../write/prepare.js";
import { segmentHead, type TailState } from "../write/segment-writer.js";

const { O_WRONLY } = fs.constants;

/** Of the options, what the files are made by. */
export interface FilePlan {
  readonly metadata: Uint8Array;
  readonly durability: Durability;
  readonly segmentBytes: number;
}

/** None: no log is there yet. */
export function segmentsIn(dir: string): SegmentName[] {
  return fs.existsSync(dir) ? listSegments(dir) : [];
}

/**
 * Removes what a process that died left half done: a directory never renamed, segments prepared and never used, drafts
 * of snapshots.
 */
export function removeLeftovers(dir: string, snapDir: string): void {
  fs.rmSync(`${dir}.tmp`, { recursive: true, force: true });
  if (fs.existsSync(dir)) removePrepared(dir);
  removeDrafts(snapDir);
}

/** `dsyncReachesDisk`: of this system. Throws RAFT_BAD_OPTION for what is no durability here. */
export function chooseDurability(
  asked: Durability | undefined,
  file: string,
  dsyncReachesDisk = DSYNC_REACHES_DISK,
): Durability {
  const second = dsyncReachesDisk ? "o_dsync" : "fdatasync";
  const refused = (why: string): RaftmarkError =>
    new RaftmarkError(
      "RAFT_BAD_OPTION",
      `durability ${asked}: ${why}; give ${second}, or leave durability out`,
    );
  if (asked === "fdatasync" || asked === "none") return asked;
  if (asked === "o_dsync") {
    if (dsyncReachesDisk) return asked;
    throw refused(
      "on this system what it writes may be in the drive's cache only, which a power loss empties",
    );
  }
  if (dsyncReachesDisk && takesDirect(file)) return "o_direct";
  if (asked === undefined) return second;
  throw refused(`the file system of ${path.dirname(file)} takes no direct writes`);
}

const FIRST_SEGMENT = segmentName(0, 0);

/** The directory under the name of a draft, with the first segment's file; returns that one's path. */
export function beginDraft(dir: string): string {
  const draft = `${dir}.tmp`;
  fs.mkdirSync(draft, { mode: DIR_MODE });
  const file = `${draft}/${FIRST_SEGMENT}`;
  fs.writeFileSync(file, new Uint8Array(BLOCK_BYTES), { mode: FILE_MODE });
  return file;
}

/** WAL-FORMAT section 5, "Create": the directory gets its name when its first segment is complete. */
export async function create(
  dir: string,
  file: string,
  options: FilePlan,
  walFs: WalFs,
): Promise<RecoveredLog> {
  const { durability, segmentBytes } = options;
  const draft = path.dirname(file);
  const sparse = durability === "none";
  const metadata = options.metadata === NO_DATA ? null : options.metadata;
  const frames = new FrameBuilder(0);
  frames.record(RECORD_CRC, null);
  frames.record(RECORD_METADATA, metadata);
  frames.record(RECORD_SNAPSHOT, encodeSnapshotRecord(0, 0, null));
  frames.seal();
  const head = frames.take();
  const bytes = preparedBytes(Math.max(segmentBytes, head.length + SEGMENT_END_BYTES), durability);
  const direct = durability === "o_direct";
  const task = { path: file, bytes, sparse, recycled: false, direct, count: 0 };
  await runAsync(prepareSegment(walFs, task));
  await writeAt(walFs, file, head, 0);
  await walFs.syncDir(draft);
  await syncAbove(walFs, path.dirname(dir));
  // An empty directory of that name may be there; the rename replaces it.
  fs.renameSync(draft, dir);
  await walFs.syncDir(path.dirname(dir));
  const tail: TailState = {
    name: FIRST_SEGMENT,
    seq: 0,
    offset: head.length,
    headEnd: head.length,
    crc: frames.crc,
    lastIndex: 0,
    lastTerm: 0,
    hardState: EMPTY_HARD_STATE,
    sealed: true,
  };
  return {
    metadata,
    hardState: EMPTY_HARD_STATE,
    snapshots: [{ index: 0, term: 0, confState: EMPTY_CONF_STATE }],
    points: new PointIndex(),
    confChanges: [],
    tail,
    tailBytes: segmentBytes,
    records: 4,
    segments: 1,
    torn: null,
    unclosed: null,
  };
}

/**
 * Makes the names of `dir` and of everything above it durable: whoever made them may not have, and with one of them the
 * log would be gone. What this process may not open was there before it.
 */
async function syncAbove(walFs: WalFs, dir: string): Promise<void> {
  for (let name = dir; path.dirname(name) !== name; name = path.dirname(name)) {
    try {
      await walFs.syncDir(path.dirname(name));
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== "EACCES" && code !== "EPERM") throw error;
    }
  }
}

/**
 * What is found counts as durable from here on, and may be acknowledged: but a process that was killed leaves in the
 * page cache what it had not synced yet, names and records. Of older segments all was durable before the newest had a
 * name.
 */
export async function syncFound(walFs: WalFs, dir: string, segments: readonly SegmentName[]): Promise<void> {
  const newest = segments[segments.length - 1]!;
  await withFile(walFs, `${dir}/${newest.name}`, O_WRONLY, (fd) => walFs.fdatasync(fd));
  await walFs.syncDir(dir);
  await walFs.syncDir(path.dirname(dir));
}

/** Makes of a recovered log one that can be written: cuts a torn end, and completes what a crash or another program left. */
export async function mendDir(
  dir: string,
  log: RecoveredLog,
  options: FilePlan,
  walFs: WalFs,
): Promise<TornTail | null> {
  const torn = log.torn === null ? null : await cutTorn(walFs, dir, log.torn);
  const { tail } = log;
  const file = `${dir}/${tail.name}`;
  if (tail.headEnd === 0) {
    const head = segmentHead(tail.crc, log.metadata, tail.hardState);
    await writeAt(walFs, file, head.bytes, 0);
    tail.offset = head.bytes.length;
    tail.headEnd = head.bytes.length;
    tail.crc = head.crc;
    tail.sealed = true;
  }
  // A crash came before the end of a cut.
  const { unclosed } = log;
  if (unclosed !== null) {
    await withFile(walFs, unclosed.path, O_WRONLY, async (fd) => {
      await walFs.truncate(fd, unclosed.bytes);
      await walFs.fdatasync(fd);
    });
  }
  // A file cut short by repair or damage: appends go over written blocks again.
  const bytes = Math.max(options.segmentBytes, tail.offset + SEAL_BYTES + SEGMENT_END_BYTES);
  if (log.tailBytes < bytes) {
    const from = Math.max(log.tailBytes, tail.offset);
    await withFile(walFs, file, O_WRONLY, (fd) =>
      options.durability === "none" ? walFs.truncate(fd, bytes) : runAsync(fillZeros(walFs, fd, from, bytes)),
    );
  }
  // After a torn write was cut, or where another program wrote the log: the next write begins behind a seal.
  if (!tail.sealed) {
    const frames = new FrameBuilder(tail.crc);
    frames.seal();
    await writeAt(walFs, file, frames.take(), tail.offset);
    tail.offset += SEAL_BYTES;
    tail.sealed = true;
  }
  return torn;
}

function writeAt(walFs: WalFs, file: string, bytes: Uint8Array, offset: number): Promise<void> {
  return withFile(walFs, file, O_WRONLY, async (fd) => {
    await walFs.write(fd, bytes, 0, bytes.length, offset);
    await walFs.fdatasync(fd);
  });
}
