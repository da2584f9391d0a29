// Writes snapshots, has them recorded and releases what they make superfluous. Main thread; file operations do not
// wait. Order of a save: draft written and synced, renamed, directory synced, recorded in the log, and only then are
// older segments and files released, oldest first: a crash between any two steps leaves a log that opens, with either
// the old or the new snapshot. Files are written side by side, records one after the other, and so are releases: none of
// the first waits for one of the second.
import { existsSync, mkdirSync } from "node:fs";
import { readdir, statfs } from "node:fs/promises";
import path from "node:path";
import { assert } from "../../base/assert.js";
import { RaftmarkError } from "../../base/errors.js";
import type { SnapshotMetadata } from "../../raft/raftpb/index.js";
import { isNoDescriptor, releaseWarning, snapshotWriteError } from "../disk/errors.js";
import type { WalFs } from "../disk/wal-fs.js";
import { DIR_MODE, sortedSegments } from "../format/format.js";
import type { DurableLog } from "../read/wal-storage.js";
import type { Writer } from "../write/writer.js";
import { DRAFT_SUFFIX, listSnapshots, snapName } from "./snap-dir.js";
import { SourceError, streamSnapFile, writeSnapFile } from "./snap-file.js";
import { openSnapshotFile, receiveSnapFile, type SnapshotFile } from "./snap-transfer.js";
import type { Abortable, SnapshotData, SnapshotStream } from "./snapshot-data.js";

export interface SnapshotSetup {
  dir: string;
  snapDir: string;
  /** How many are kept. */
  keep: number;
  /** Bytes of log kept in front of the newest. */
  catchUpBytes: number;
  /** What a snapshot leaves free on the disk for the log, which ends without space; the log goes on without it. */
  reserveBytes: number;
  /** Names are made durable. */
  synced: boolean;
  fs: WalFs;
  /** Recorded snapshots whose files are there, ascending. */
  kept: SnapshotMetadata[];
}

/** Writes and syncs a file, of which nobody knows yet. */
type FillDraft = (draft: string, signal: AbortSignal) => Promise<void>;

/** What the log does for it. */
export interface SnapshotLog {
  readonly storage: DurableLog;
  readonly writer: Writer;
  /** Throws InvariantError for a snapshot that cannot be of this log. */
  checkSnapshot(metadata: SnapshotMetadata): void;
  /** Resolved when the record is durable and storage knows of it. */
  appendSnapshot(metadata: SnapshotMetadata): Promise<void>;
  warn(warning: RaftmarkError): void;
}

export class SnapshotKeeper {
  released = 0;
  recycled = 0;
  /** The last release ended early, and that was said. */
  private releaseFailed = false;
  /** A name may be gone from the log's directory that a crash brings back: nothing behind it is removed before a sync. */
  private unsynced = false;
  /** Such a sync failed, and what the disk holds is unknown: nothing is released until the log is opened again. */
  private releaseEnded = false;
  private readonly setup: SnapshotSetup;
  private readonly log: SnapshotLog;
  /** Ascending. */
  private kept: SnapshotMetadata[];
  private held = Infinity;
  private readonly closing = new AbortController();
  /** Settled when every record so far has ended. */
  private records: Promise<unknown> = Promise.resolve();
  /** Settled when every record and release so far has ended. */
  private releases: Promise<unknown> = Promise.resolve();
  private readonly writes = new Set<Promise<unknown>>();
  /** Being read; whoever reads a state does not always come to its end. */
  private readonly reading = new Set<SnapshotStream>();
  private drafts = 0;
  /** The directory is there, and its name is durable. */
  private made: Promise<void> | null = null;

  constructor(setup: SnapshotSetup, log: SnapshotLog) {
    assert(setup.keep >= 1, "no snapshot is kept");
    this.setup = setup;
    this.log = log;
    this.kept = setup.kept;
  }

  async save(metadata: SnapshotMetadata, data: SnapshotData, options?: Abortable): Promise<void> {
    await this.stage(metadata, data, options);
    await this.record(metadata).released;
  }

  /** Writes the file; without a record it counts for nothing. */
  stage(metadata: SnapshotMetadata, data: SnapshotData, options?: Abortable): Promise<void> {
    return this.draft(metadata, options?.signal, (draft, either) =>
      writeSnapFile(this.sparingFs(), draft, metadata, data, either),
    );
  }

  /** The same, of a file that another log wrote. */
  stageFile(
    metadata: SnapshotMetadata,
    pieces: AsyncIterable<Uint8Array>,
    options?: Abortable,
  ): Promise<void> {
    return this.draft(metadata, options?.signal, (draft, either) =>
      receiveSnapFile(this.sparingFs(), draft, metadata, pieces, either),
    );
  }

  private draft(metadata: SnapshotMetadata, signal: AbortSignal | undefined, fill: FillDraft): Promise<void> {
    const { index, term } = metadata;
    assert(Number.isSafeInteger(index) && index > 0, "snapshot index out of range");
    assert(Number.isSafeInteger(term) && term > 0, "snapshot term out of range");
    const written = this.write(metadata, signal, fill).finally(() => this.writes.delete(written));
    this.writes.add(written);
    return written;
  }

  /** Whose syncs, every few MiB, fail for no space while there is some left. */
  private sparingFs(): WalFs {
    const { fs, snapDir, reserveBytes } = this.setup;
    const fdatasync = async (fd: number): Promise<void> => {
      await fs.fdatasync(fd);
      if ((await freeBytes(snapDir)) >= reserveBytes) return;
      const text = `ENOSPC: less than ${reserveBytes} bytes would be left for the log`;
      throw Object.assign(new Error(text), { code: "ENOSPC" });
    };
    return { ...fs, fdatasync };
  }

  /** Entries behind this index stay, whatever is recorded: see Wal.holdFrom. */
  holdFrom(index: number): void {
    this.held = index;
  }

  /** Records a snapshot whose file is there, and then releases what it makes superfluous. */
  record(metadata: SnapshotMetadata): { recorded: Promise<void>; released: Promise<void> } {
    const recorded = this.records.then(() => this.recordNow(metadata));
    this.records = recorded.catch(() => {});
    const released = this.releases.then(() => recorded).then(() => this.releaseNow());
    this.releases = released.catch(() => {});
    return { recorded, released };
  }

  private async recordNow(metadata: SnapshotMetadata): Promise<void> {
    const { snapDir, keep } = this.setup;
    const file = `${snapDir}/${snapName(metadata)}`;
    if (!existsSync(file)) {
      throw new RaftmarkError("WAL_NOT_FOUND", `there is no snapshot ${file} to record: it was never staged`);
    }
    this.checkFits(metadata);
    await this.log.appendSnapshot(metadata);
    // One that replaced the log leaves older ones without the entries that follow them.
    const base = this.log.storage.firstIndex() - 1;
    this.kept = [...this.kept.filter(({ index }) => index >= base), metadata].slice(-keep);
  }

  private async releaseNow(): Promise<void> {
    if (this.releaseEnded) return;
    try {
      await this.release();
      this.releaseFailed = false;
    } catch (error) {
      const isSaid = this.releaseFailed && !this.releaseEnded;
      this.releaseFailed = true;
      if (!isSaid) this.log.warn(releaseWarning(error, this.setup.dir, this.releaseEnded));
    }
  }

  private checkFits(metadata: SnapshotMetadata): void {
    this.checkNewer(metadata);
    this.log.checkSnapshot(metadata);
  }

  private checkNewer({ index }: SnapshotMetadata): void {
    const newest = this.kept[this.kept.length - 1];
    if (newest === undefined || index > newest.index) return;
    const text = `a snapshot at entry ${index} is not newer than the one at ${newest.index} that is recorded`;
    throw new RaftmarkError("WAL_SNAPSHOT_OUTDATED", text);
  }

  // The file appears under its name when it is complete and durable.
  private async write(
    metadata: SnapshotMetadata,
    signal: AbortSignal | undefined,
    fill: FillDraft,
  ): Promise<void> {
    const { fs, snapDir, synced } = this.setup;
    const file = `${snapDir}/${snapName(metadata)}`;
    const draft = `${file}.${this.drafts++}${DRAFT_SUFFIX}`;
    const closed = this.closing.signal;
    const either = signal === undefined ? closed : AbortSignal.any([signal, closed]);
    this.checkFits(metadata);
    try {
      await this.makeDir();
      await fill(draft, either);
      this.checkNewer(metadata);
      fs.rename(draft, file);
      if (synced) await fs.syncDir(snapDir);
    } catch (error) {
      await removeDraft(fs, draft);
      if (closed.aborted) throw new RaftmarkError("RAFT_CLOSED", "the log is closed");
      if (either.aborted) {
        throw new RaftmarkError("RAFT_ABORTED", `saving the snapshot at entry ${metadata.index} was aborted`);
      }
      throw error instanceof SourceError ? error.cause : snapshotWriteError(error, file);
    }
  }

  /**
   * Once: a directory that is there may be of a process that ended before it made the name durable. Again where somebody
   * removed it.
   */
  private async makeDir(): Promise<void> {
    if (!existsSync(this.setup.snapDir)) this.made = null;
    this.made ??= this.makeDirNow();
    const { made } = this;
    try {
      await made;
    } catch (error) {
      if (this.made === made) this.made = null;
      throw error;
    }
  }

  private async makeDirNow(): Promise<void> {
    const { fs, snapDir, synced } = this.setup;
    const first = mkdirSync(snapDir, { recursive: true, mode: DIR_MODE }) ?? snapDir;
    if (!synced) return;
    for (let made = snapDir; ; made = path.dirname(made)) {
      await fs.syncDir(path.dirname(made));
      if (made === first) return;
    }
  }

  // Oldest first, each made durable before the next: what a crash leaves is always a row of segments without a gap.
  private async release(): Promise<void> {
    const { dir, snapDir, fs } = this.setup;
    const { storage, writer } = this.log;
    await this.syncNames();
    this.compact((await this.isDiskShort()) ? Infinity : this.held);
    const base = storage.firstIndex() - 1;
    const segments = sortedSegments(await readdir(dir));
    const stays = segments.findLastIndex(({ index }) => index <= base);
    if (stays > 0) storage.forgetSegments(segments[stays]!.seq);
    for (let at = 0; at < stays && !this.closing.signal.aborted; at++) {
      const segment = `${dir}/${segments[at]!.name}`;
      if (await writer.preparer.recycle((to) => this.renameSegment(segment, to))) this.recycled++;
      else {
        this.unsynced = true;
        await fs.unlink(segment);
        await this.syncNames();
      }
      this.released++;
    }
    const oldest = this.kept[0]!.index;
    for (const { name, index } of listSnapshots(snapDir)) {
      if (index < oldest && !this.closing.signal.aborted) await fs.unlink(`${snapDir}/${name}`);
    }
  }

  private async renameSegment(segment: string, to: string): Promise<void> {
    const { fs } = this.setup;
    this.unsynced = true;
    fs.rename(segment, to);
    try {
      await this.syncNames();
    } catch (error) {
      // A crash may bring the old name back: nobody is to write under the new one.
      await fs.unlink(to);
      throw error;
    }
  }

  private async syncNames(): Promise<void> {
    const { dir, fs, synced } = this.setup;
    if (!this.unsynced) return;
    try {
      if (synced) await fs.syncDir(dir);
    } catch (error) {
      // Without a descriptor it was not even tried.
      this.releaseEnded = !isNoDescriptor(error);
      throw error;
    }
    this.unsynced = false;
  }

  /** The log takes more than is free: what it holds beyond its rules would end it. */
  private async isDiskShort(): Promise<boolean> {
    return this.held !== Infinity && (await freeBytes(this.setup.dir)) < this.log.storage.logBytes;
  }

  /** Entries behind `held` stay. */
  private compact(held: number): void {
    const { kept, setup, log } = this;
    if (kept.length < setup.keep) return;
    const { storage } = log;
    const caughtUp = storage.backBy(kept[kept.length - 1]!.index, setup.catchUpBytes);
    const index = Math.min(kept[0]!.index, caughtUp, Math.max(held, storage.firstIndex() - 1));
    // Nothing new; or the next one has just replaced the log, and is not among the kept yet.
    if (index < storage.firstIndex()) return;
    const term = storage.term(index);
    assert(typeof term === "number", "compacting to where there is no log");
    storage.compact({ index, term });
  }

  /** Index null: the newest. */
  async open(index: number | null): Promise<SnapshotStream | null> {
    const found = this.kept.findLast((each) => index === null || each.index === index);
    if (found === undefined) return null;
    const stream = await streamSnapFile(`${this.setup.snapDir}/${snapName(found)}`, {
      onClosed: () => this.reading.delete(stream),
    });
    this.reading.add(stream);
    if (this.closing.signal.aborted) await stream.close();
    return stream;
  }

  /** Null: it is not kept. */
  async openFile(index: number): Promise<SnapshotFile | null> {
    const found = this.kept.find((each) => each.index === index);
    return found === undefined
      ? null
      : await openSnapshotFile(`${this.setup.snapDir}/${snapName(found)}`, found);
  }

  /** Aborts what is being written or read; a snapshot that is being recorded still gets its record. */
  async close(): Promise<void> {
    this.closing.abort();
    for (const stream of this.reading) await stream.close();
    await Promise.allSettled(this.writes);
    await this.releases;
  }
}

async function removeDraft(fs: WalFs, draft: string): Promise<void> {
  try {
    await fs.unlink(draft);
  } catch {
    // Never made; or it stays until the log is opened again.
  }
}

/** On the disk of `dir`; Infinity: its file system does not say. */
async function freeBytes(dir: string): Promise<number> {
  const { blocks, bavail, bsize } = await statfs(dir);
  return blocks === 0 ? Infinity : bavail * bsize;
}
