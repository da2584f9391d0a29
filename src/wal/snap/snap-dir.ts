// The directory of snapshot files: names, and which snapshot an opened log starts from. WAL-FORMAT section 7, with one
// difference: etcd asks for a record's index to be committed, because its 3.4 recorded a snapshot before it wrote the
// file. Ours is recorded when its file is durable, so the record and a sound file are proof enough.
import fs from "node:fs";
import { RaftmarkError } from "../../base/errors.js";
import type { HardState, SnapshotMetadata } from "../../raft/raftpb/index.js";
import { ADVICE, DamageError } from "../disk/errors.js";
import { numbersName, sortedByNumbers } from "../format/format.js";
import type { PointIndex } from "../format/point-index.js";
import type { LogBase } from "../read/wal-storage.js";
import { verifySnapFile } from "./snap-file.js";

/** What a file is called until it is complete. */
export const DRAFT_SUFFIX = ".tmp";

export interface SnapName {
  readonly name: string;
  readonly term: number;
  readonly index: number;
}

export function snapName({ term, index }: { term: number; index: number }): string {
  return numbersName(term, index, ".snap");
}

/** The snapshot files in `snapDir`, by name; none if there is no such directory. */
export function listSnapshots(snapDir: string): SnapName[] {
  return sortedByNumbers(namesIn(snapDir), ".snap").map(({ name, numbers: [term, index] }) => ({
    name,
    term,
    index,
  }));
}

/** Removes files that a process that died did not complete. */
export function removeDrafts(snapDir: string): void {
  for (const name of namesIn(snapDir)) {
    if (name.includes(".snap.") && name.endsWith(DRAFT_SUFFIX))
      fs.rmSync(`${snapDir}/${name}`, { force: true });
  }
}

function namesIn(snapDir: string): string[] {
  try {
    return fs.readdirSync(snapDir);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

/** What recovery found that matters here. `snapshots`: all records, in order. */
export interface RecordedSnapshots {
  readonly snapshots: readonly SnapshotMetadata[];
  readonly points: PointIndex;
  readonly lastIndex: number;
}

export interface SnapshotChoice {
  base: LogBase;
  /** Recorded, with a file, and of use to this log; ascending. The state machine starts from the last one. */
  kept: SnapshotMetadata[];
  /** Paths of damaged files in front of that one. */
  damaged: string[];
}

/**
 * The newest recorded snapshot whose file is sound. WAL_CORRUPT if the log's first entries are released, or were replaced
 * by a snapshot, and no snapshot stands for them. Changes nothing.
 */
export async function chooseSnapshot(
  dir: string,
  snapDir: string,
  log: RecordedSnapshots,
  signal?: AbortSignal,
): Promise<SnapshotChoice> {
  const byIndex = new Map<number, SnapshotMetadata>();
  for (const record of log.snapshots) if (record.index > 0) byIndex.set(record.index, record);
  const records = [...byIndex.values()].sort((a, b) => a.index - b.index);
  const base = baseOf(dir, log, records);
  const present = new Set(listSnapshots(snapDir).map(({ name }) => name));
  const kept = records.filter((record) => record.index >= base.index && present.has(snapName(record)));
  const damaged: string[] = [];
  while (kept.length > 0) {
    const newest = kept[kept.length - 1]!;
    const path = `${snapDir}/${snapName(newest)}`;
    const metadata = await verified(path, newest, signal);
    if (metadata !== null) {
      kept[kept.length - 1] = metadata;
      break;
    }
    damaged.push(path);
    kept.pop();
  }
  if (kept.length === 0 && base.index > 0) throw noSnapshotError(dir, snapDir, base.index, damaged);
  return { base, kept, damaged };
}

/** Renames damaged files, as etcd does; returns their new paths. */
export function setAside(damaged: readonly string[]): string[] {
  for (const path of damaged) fs.renameSync(path, `${path}.broken`);
  return damaged.map((path) => `${path}.broken`);
}

// The oldest recorded snapshot behind which no entry is missing: it gives the term before the first entry.
function baseOf(dir: string, log: RecordedSnapshots, records: readonly SnapshotMetadata[]): LogBase {
  const firstHeld = log.points.first(log.lastIndex);
  if (firstHeld <= 1) return { index: 0, term: 0 };
  const base = records.find(({ index }) => index >= firstHeld - 1);
  if (base !== undefined) return { index: base.index, term: base.term };
  const text =
    `segment 0 of the log in ${dir} is missing: the log begins with entry ${firstHeld}, and records no snapshot that ` +
    `stands for those before it. ${ADVICE}`;
  throw new RaftmarkError("WAL_CORRUPT", text);
}

async function verified(
  path: string,
  record: SnapshotMetadata,
  signal: AbortSignal | undefined,
): Promise<SnapshotMetadata | null> {
  try {
    const metadata = await verifySnapFile(path, signal);
    return metadata.index === record.index && metadata.term === record.term ? metadata : null;
  } catch (error) {
    if (error instanceof RaftmarkError && error.code === "WAL_CORRUPT") return null;
    throw error;
  }
}

function noSnapshotError(dir: string, snapDir: string, index: number, damaged: string[]): RaftmarkError {
  const what = damaged.length > 0 ? `damaged (${damaged.join(", ")})` : "missing";
  const needs = `needs a snapshot at entry ${index} or later, and those in ${snapDir} are ${what}`;
  const text = `the log in ${dir} ${needs}. Restore such a file from a copy if there is one. ${ADVICE}`;
  return new RaftmarkError("WAL_CORRUPT", text, {
    cause: new DamageError(snapDir, -1, 0, `the log ${needs}`),
  });
}

/**
 * The hard state of a log, with what its newest entry and its newest snapshot prove: of a torn write, entries may be kept of
 * a term whose state, behind them, is lost.
 */
export function provenState(state: HardState, lastTerm: number, newest: SnapshotMetadata | null): HardState {
  const raised = raisedBy({ index: 0, term: lastTerm }, state);
  return newest === null ? raised : raisedBy(newest, raised);
}

/**
 * What a snapshot proves: its entry is committed, and its term has begun. The node has not voted in a term that its
 * state does not know: votes are sent when they are durable. (Of an entry that may not be committed: index 0.)
 */
export function raisedBy({ index, term }: LogBase, state: HardState): HardState {
  if (index <= state.commit && term <= state.term) return state;
  return {
    term: Math.max(term, state.term),
    vote: term > state.term ? 0 : state.vote,
    commit: Math.max(index, state.commit),
  };
}
