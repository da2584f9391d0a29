// A new group of one member, out of what another group left: a member's log and newest snapshot, or a snapshot alone. What
// `etcdutl snapshot restore` is to etcd. Indexes and terms go on, so that sessions and the places of watchers hold. Reads
// the source, and changes nothing there.
import { randomBytes } from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import { NO_DATA } from "../base/bytes.js";
import { RaftmarkError } from "../base/errors.js";
import { EMPTY_CONF_STATE, Entry, EntryNormal, type SnapshotMetadata } from "../raft/raftpb/index.js";
import { type DirLock, lockDir, realPath } from "../wal/disk/lock.js";
import { asyncFs } from "../wal/disk/wal-fs.js";
import { openWal, type SnapshotStream, type Wal } from "../wal/index.js";
import { findLog } from "../wal/inspect/log-place.js";
import { readClosedLog } from "../wal/log/closed-log.js";
import { streamSnapFile } from "../wal/snap/snap-file.js";
import { dialledAddress } from "./addresses.js";
import { checkFormat } from "./dir-format.js";
import { encodeMemberRecord } from "./member-record.js";
import { decodeMetadata, encodeMetadata, LOG_ID_BYTES } from "./metadata.js";
import { makeDir } from "./opening.js";
import { badOption } from "./option-errors.js";

/** The only member of the new group; others join it as they join any. */
export interface NewGroup {
  readonly id: number;
  /** Not the old group's: members of the two must never take each other for theirs. */
  readonly clusterId: number;
  /** host:port where the others will reach it. */
  readonly address: string;
}

/** What the new group begins with. */
export interface Begun {
  /** False: the source is a snapshot alone, so that nobody could tell whether `clusterId` is the old group's. */
  readonly isClusterKnown: boolean;
  /** Null: its log begins with entry 1. */
  readonly snapshot: { readonly index: number; readonly term: number; readonly bytes: number } | null;
  /** Paths of newer snapshots of the source that are damaged. */
  readonly damaged: readonly string[];
  /** Those behind the snapshot. */
  readonly entries: number;
  readonly lastIndex: number;
  /** Entries that the source did not know to be committed: some may never have been. */
  readonly uncertain: number;
}

/** What is taken over. */
interface Source {
  readonly clusterId: bigint | null;
  readonly snapshot: SnapshotMetadata | null;
  readonly damaged: readonly string[];
  readonly term: number;
  readonly commit: number;
  readonly lastIndex: number;
  entries(lo: number, hi: number, bytesMax: number): readonly Entry[];
  openSnapshot(): Promise<SnapshotStream>;
  close(): void;
}

/** Entries that are under way to the new log at once. */
const PIECE_BYTES = 1 << 20;

/** What is being made, in the directory that it is for; there is none when it is whole. */
const DRAFT = "new-group.draft";

/**
 * Makes `dir`, which must not be there or be empty, the directory of a new group's first member. `source`: a stopped
 * member's directory, or a .snap file. `onBytes` is told of the snapshot's bytes as they are written. On an error `dir`
 * is as it was; where a run was killed, another one may follow. Rejects with RAFT_BAD_OPTION, WAL_NOT_FOUND, WAL_LOCKED,
 * WAL_CORRUPT, or what openWal rejects with.
 */
export async function newGroup(
  source: string,
  dir: string,
  group: NewGroup,
  onBytes: (done: number, size: number) => void = () => {},
): Promise<Begun> {
  const { clusterId, address } = group;
  dialledAddress(address, "option address");
  checkEmpty(dir);
  checkApart(source, dir);
  const from = await openSource(source);
  try {
    if (from.clusterId === BigInt(clusterId)) {
      const text = `${clusterId} is the id of the old group, ${source}: members of it would take the new one for theirs`;
      throw badOption("clusterId", `${text}; choose another`);
    }
    return await make(path.resolve(dir), (draft) => fill(draft, from, group, onBytes));
  } finally {
    from.close();
  }
}

/** In `dir` itself, which may be a symbolic link or a mount. The lock is that of a node which would open it. */
async function make(dir: string, work: (draft: string) => Promise<Begun>): Promise<Begun> {
  const isNew = !fs.existsSync(dir);
  await makeDir(dir);
  const draft = path.join(dir, DRAFT);
  let lock: DirLock | null = null;
  try {
    lock = await lockDir(path.join(dir, "wal"));
    checkEmpty(dir);
    fs.rmSync(draft, { recursive: true, force: true });
    const begun = await work(draft);
    // The log last: without it no node takes what is there for its own.
    if (begun.snapshot !== null) fs.renameSync(path.join(draft, "snap"), path.join(dir, "snap"));
    fs.renameSync(path.join(draft, "wal"), path.join(dir, "wal"));
    await asyncFs.syncDir(dir);
    await asyncFs.syncDir(path.dirname(dir));
    return begun;
  } finally {
    if (lock !== null) fs.rmSync(draft, { recursive: true, force: true });
    lock?.release();
    if (isNew && fs.readdirSync(dir).length === 0) fs.rmdirSync(dir);
  }
}

/** But for what a run left that was killed. */
function checkEmpty(dir: string): void {
  const stat = fs.statSync(dir, { throwIfNoEntry: false });
  const isFull = () => fs.readdirSync(dir).some((name) => name !== DRAFT && !name.startsWith("wal.lock"));
  if (stat === undefined || (stat.isDirectory() && !isFull())) return;
  const what = stat.isDirectory() ? "there already, and not empty" : "a file";
  throw badOption("dir", `${dir} is ${what}; name a directory that is to be made, or an empty one`);
}

/** A node's directory stays as it is, and what is made is not lost with it: also where its log, or one snapshot, is named. */
function checkApart(source: string, dir: string): void {
  const stat = fs.statSync(source, { throwIfNoEntry: false });
  if (stat === undefined) return;
  const real = fs.realpathSync(source);
  const own = stat.isDirectory() ? real : path.dirname(real);
  for (const around of [own, path.dirname(own)]) {
    if (!liesIn(dir, around) || (around !== real && findLog(around).segments.length === 0)) continue;
    throw badOption("dir", `${dir} lies in ${around}, which is only read; name a directory elsewhere`);
  }
}

/** `around`: where symbolic links lead. */
function liesIn(dir: string, around: string): boolean {
  const inside = path.relative(around, realPath(path.resolve(dir)));
  return inside.split(path.sep)[0] !== ".." && !path.isAbsolute(inside);
}

async function openSource(source: string): Promise<Source> {
  if (fs.statSync(source, { throwIfNoEntry: false })?.isFile() === true) return await openFile(source);
  const { walDir, segments, snapDir } = findLog(source);
  if (segments.length === 0) throw new RaftmarkError("WAL_NOT_FOUND", `there is no log in ${walDir}`);
  await checkFormat(path.dirname(walDir));
  const log = await readClosedLog(walDir, snapDir);
  const { clusterId, bootstrap } = decodeMetadata(log.metadata);
  const { term, commit } = log.hardState;
  if (bootstrap !== null && log.lastIndex > 0) return { ...log, clusterId, term, commit };
  log.close();
  if (bootstrap !== null)
    throw new RaftmarkError("WAL_NOT_FOUND", `the log in ${walDir} is empty: there is nothing to go on with`);
  const text = `the log in ${walDir} was not begun by raftmark: what its entries mean is known to who wrote them`;
  throw new RaftmarkError("WAL_CORRUPT", text);
}

/** A snapshot is of what is committed, and names no cluster. */
async function openFile(file: string): Promise<Source> {
  const opened = () => streamSnapFile(file, { owner: "backup" });
  const stream = await opened();
  const { metadata } = stream;
  await stream.close();
  return {
    clusterId: null,
    snapshot: metadata,
    damaged: [],
    term: metadata.term,
    commit: metadata.index,
    lastIndex: metadata.index,
    entries: () => [],
    openSnapshot: opened,
    close: () => {},
  };
}

async function fill(
  draft: string,
  from: Source,
  { id, clusterId, address }: NewGroup,
  onBytes: (done: number, size: number) => void,
): Promise<Begun> {
  const confState = { ...EMPTY_CONF_STATE, voters: [id] };
  const bootstrap = {
    voters: [id],
    logId: randomBytes(LOG_ID_BYTES),
    addresses: new Map([[id, address]]),
  };
  const metadata = encodeMetadata(id, clusterId, bootstrap);
  const wal = await openWal({ dir: path.join(draft, "wal"), metadata, writer: "inline-wasm", confState });
  try {
    let snapshot: Begun["snapshot"] = null;
    if (from.snapshot !== null) {
      const { index, term } = from.snapshot;
      const members = encodeMemberRecord({
        given: {},
        initial: { [id]: address },
        at: 0,
        removed: [],
        logs: {},
      });
      const stream = await from.openSnapshot();
      await wal.saveSnapshot({ index, term, confState, members }, counted(stream, onBytes));
      snapshot = { index, term, bytes: stream.size };
    }
    const first = (snapshot?.index ?? 0) + 1;
    await takeEntries(wal, from, first);
    const { damaged, lastIndex, commit } = from;
    const entries = lastIndex + 1 - first;
    const uncertain = Math.max(0, lastIndex - commit);
    return { isClusterKnown: from.clusterId !== null, snapshot, damaged, entries, lastIndex, uncertain };
  } finally {
    await wal.close();
  }
}

async function* counted(
  stream: SnapshotStream,
  onBytes: (done: number, size: number) => void,
): AsyncGenerator<Uint8Array> {
  let done = 0;
  for await (const chunk of stream) {
    yield chunk;
    done += chunk.length;
    onBytes(done, stream.size);
  }
}

/** All from `first` on, as committed: whoever joins the new group gets them from its first member. */
async function takeEntries(wal: Wal, { term, lastIndex, entries }: Source, first: number): Promise<void> {
  for (let next = first; next <= lastIndex; ) {
    const piece = entries(next, lastIndex + 1, PIECE_BYTES).map(withoutChange);
    next += piece.length;
    await durable(wal, wal.append(null, piece));
  }
  await durable(wal, wal.append({ term, vote: 0, commit: lastIndex }, []));
}

/** Who the old group's members were is nothing to the new one. */
function withoutChange(entry: Entry): Entry {
  return entry.type === EntryNormal ? entry : new Entry(EntryNormal, entry.term, entry.index, NO_DATA);
}

function durable(wal: Wal, seq: number): Promise<void> {
  return new Promise((resolve, reject) => {
    wal.onDurable = (reached) => {
      if (reached >= seq) resolve();
    };
    wal.onFault = reject;
  });
}
