// Saves snapshots one after the other and releases what they make superfluous. Main thread; file operations do not
// wait. Order of a save: draft written and synced, renamed, directory synced, recorded in the log, and only then are
// older segments and files released, oldest first: a crash between any two steps leaves a log that opens, with either
// the old or the new snapshot.
import { mkdirSync } from "node:fs";
import { readdir } from "node:fs/promises";
import path from "node:path";
import { assert } from "../base/assert.js";
import { RaftmarkError } from "../base/errors.js";
import type { SnapshotMetadata } from "../raft/raftpb/index.js";
import { snapshotWriteError } from "./errors.js";
import { DIR_MODE, sortedSegments } from "./format.js";
import { DRAFT_SUFFIX, listSnapshots, snapName } from "./snap-dir.js";
import { SourceError, streamSnapFile, writeSnapFile } from "./snap-file.js";
import type { SnapshotData, SnapshotStream } from "./types.js";
import type { WalFs } from "./wal-fs.js";
import type { DurableLog } from "./wal-storage.js";
import type { Writer } from "./writer.js";

export interface SnapshotSetup {
  dir: string;
  snapDir: string;
  /** How many are kept. */
  keep: number;
  /** Names are made durable. */
  synced: boolean;
  fs: WalFs;
  /** Recorded snapshots whose files are there, ascending. */
  kept: SnapshotMetadata[];
}

/** What the log does for it. */
export interface SnapshotLog {
  readonly storage: DurableLog;
  readonly writer: Writer;
  /** Resolved when the record is durable and storage knows of it. */
  recordSnapshot(metadata: SnapshotMetadata): Promise<void>;
}

export class SnapshotKeeper {
  released = 0;
  recycled = 0;
  /** Why the last release ended early, if it did. What it left is released with the next snapshot. */
  releaseError: unknown = null;
  private readonly setup: SnapshotSetup;
  private readonly log: SnapshotLog;
  /** Ascending. */
  private kept: SnapshotMetadata[];
  private readonly closing = new AbortController();
  /** Settled when every save so far has ended. */
  private saves: Promise<unknown> = Promise.resolve();

  constructor(setup: SnapshotSetup, log: SnapshotLog) {
    assert(setup.keep >= 1, "no snapshot is kept");
    this.setup = setup;
    this.log = log;
    this.kept = setup.kept;
  }

  save(metadata: SnapshotMetadata, data: SnapshotData, signal: AbortSignal | null): Promise<void> {
    const { index, term } = metadata;
    assert(Number.isSafeInteger(index) && index > 0, "snapshot index out of range");
    assert(Number.isSafeInteger(term) && term > 0, "snapshot term out of range");
    const saved = this.saves.then(() => this.saveNow(metadata, data, signal));
    this.saves = saved.catch(() => {});
    return saved;
  }

  private async saveNow(
    metadata: SnapshotMetadata,
    data: SnapshotData,
    signal: AbortSignal | null,
  ): Promise<void> {
    this.checkNewer(metadata);
    await this.write(metadata, data, signal);
    await this.log.recordSnapshot(metadata);
    // One that replaced the log leaves older ones without the entries that follow them.
    const base = this.log.storage.firstIndex() - 1;
    this.kept = [...this.kept.filter(({ index }) => index >= base && index < metadata.index), metadata];
    this.kept = this.kept.slice(-this.setup.keep);
    try {
      await this.release();
      this.releaseError = null;
    } catch (error) {
      this.releaseError = error;
    }
  }

  private checkNewer({ index }: SnapshotMetadata): void {
    const newest = this.kept[this.kept.length - 1];
    if (newest === undefined || index > newest.index) return;
    const text = `a snapshot at entry ${index} is not newer than the one at ${newest.index} that is there`;
    throw new RaftmarkError("WAL_SNAPSHOT_OUTDATED", text);
  }

  // The file appears under its name when it is complete and durable.
  private async write(
    metadata: SnapshotMetadata,
    data: SnapshotData,
    signal: AbortSignal | null,
  ): Promise<void> {
    const { fs, snapDir, synced } = this.setup;
    const file = `${snapDir}/${snapName(metadata)}`;
    const draft = file + DRAFT_SUFFIX;
    const closed = this.closing.signal;
    const either = signal === null ? closed : AbortSignal.any([signal, closed]);
    try {
      if (mkdirSync(snapDir, { recursive: true, mode: DIR_MODE }) !== undefined && synced) {
        await fs.syncDir(path.dirname(snapDir));
      }
      await writeSnapFile(fs, draft, metadata, data, either);
      fs.rename(draft, file);
      if (synced) await fs.syncDir(snapDir);
    } catch (error) {
      await removeDraft(fs, draft);
      if (closed.aborted) throw new RaftmarkError("RAFT_CLOSED", "the log is closed");
      if (either.aborted) {
        throw new RaftmarkError("RAFT_ABORTED", `saving the snapshot at entry ${metadata.index} was aborted`);
      }
      if (error instanceof SourceError) throw error.cause;
      throw snapshotWriteError(error, file);
    }
  }

  // Oldest first, each made durable before the next: what a crash leaves is always a row of segments without a gap.
  private async release(): Promise<void> {
    const { dir, snapDir, fs, synced } = this.setup;
    const { storage, writer } = this.log;
    if (this.kept.length === this.setup.keep) storage.compact(this.kept[0]!);
    const base = storage.firstIndex() - 1;
    const segments = sortedSegments(await readdir(dir));
    const stays = segments.findLastIndex(({ index }) => index <= base);
    if (stays > 0) storage.forgetSegments(segments[stays]!.seq);
    for (let at = 0; at < stays && !this.closing.signal.aborted; at++) {
      const segment = `${dir}/${segments[at]!.name}`;
      if (writer.recycle((to) => fs.rename(segment, to))) this.recycled++;
      else await fs.unlink(segment);
      this.released++;
      if (synced) await fs.syncDir(dir);
    }
    for (const { name, index } of listSnapshots(snapDir)) {
      if (index < base && !this.closing.signal.aborted) await fs.unlink(`${snapDir}/${name}`);
    }
  }

  async open(): Promise<SnapshotStream | null> {
    const newest = this.kept[this.kept.length - 1];
    return newest === undefined ? null : await streamSnapFile(`${this.setup.snapDir}/${snapName(newest)}`);
  }

  /** Aborts what is being written; a snapshot that is being recorded still gets its record. */
  async close(): Promise<void> {
    this.closing.abort();
    await this.saves;
  }
}

async function removeDraft(fs: WalFs, draft: string): Promise<void> {
  try {
    await fs.unlink(draft);
  } catch {
    // Never made; or it stays until the log is opened again.
  }
}
