// `raftmark wal verify`: reads a log and its snapshots, says what is there and what is wrong with it, what etcd and
// our engine would make of that, and what to do. Changes nothing.
import fs from "node:fs";
import path from "node:path";
import { grouped, plural } from "../../bench/report/numbers.js";
import { RaftmarkError } from "../base/errors.js";
import { ADVICE, DamageError, systemCode } from "../wal/disk/errors.js";
import { snapDirBeside, sortedSegments } from "../wal/format/format.js";
import { type Finding, joinSegments, type LogReport } from "../wal/inspect/check-log.js";
import type { SegmentReport } from "../wal/inspect/check-segment.js";
import { RECORD_NAMES } from "../wal/inspect/check-segment.js";
import type { EtcdSnapshotId } from "../wal/inspect/etcd-proto.js";
import { etcdAnswers, etcdPlanRepair } from "../wal/inspect/etcd-reader.js";
import { findLog, type LogPlace } from "../wal/inspect/log-place.js";
import { checkSegments } from "../wal/pool/check-pool.js";
import { LogPool } from "../wal/pool/log-pool.js";
import { recover } from "../wal/recover/recovery.js";
import { chooseSnapshot } from "../wal/snap/snap-dir.js";
import { ByteProgress, type ProgressStream } from "./byte-progress.js";
import { CommandError } from "./command-error.js";
import { checkSnaps, type SnapReport } from "./snap-report.js";

/** etcd 3.4 refuses a record from this size on. */
const ETCD_RECORD_BYTES_MAX = 10 * 1024 * 1024;
const SHOWN_SNAPSHOTS = 4;

export interface Verdict {
  readonly place: LogPlace;
  readonly log: LogReport;
  readonly snaps: readonly SnapReport[];
  /** Where a reader begins. */
  readonly start: EtcdSnapshotId;
  /** A process wrote the log meanwhile: nothing is said of the newest of its segments. */
  readonly isWritten: boolean;
  readonly sound: boolean;
}

export interface VerifyOptions {
  readonly threads: number;
  /** Where to begin; null: at the newest snapshot that has a file, else at the beginning. */
  readonly snap: EtcdSnapshotId | null;
}

/** How often a log is read whose files a running node removes meanwhile, which it does oldest first. */
const READINGS_MAX = 5;

/** Throws the system's error for a file that cannot be read. */
export async function verifyLog(
  place: LogPlace,
  options: VerifyOptions,
  stderr: ProgressStream,
): Promise<Verdict> {
  for (let readings = 1; ; readings++) {
    try {
      return await verifyOnce(place, options, stderr);
    } catch (error) {
      if (systemCode(error) !== "ENOENT") throw error;
      const now = findLog(place.dir);
      if (namesIn(now) === namesIn(place)) throw error;
      if (readings === READINGS_MAX) throw releasedError(place, error);
      place = now;
    }
  }
}

function namesIn({ segments, snaps }: LogPlace): string {
  return [...segments.map(({ name }) => name), ...snaps].join();
}

function releasedError({ dir }: LogPlace, cause: unknown): CommandError {
  const text = `a running node removes files of ${dir} sooner than they are read: ask again, or verify a copy.`;
  return new CommandError(2, text, cause);
}

async function verifyOnce(place: LogPlace, options: VerifyOptions, stderr: ProgressStream): Promise<Verdict> {
  const names = place.segments.map(({ name }) => name);
  const changed = lastChange(place);
  const total = names.reduce((sum, name) => sum + fs.statSync(path.join(place.walDir, name)).size, 0);
  const snaps = await checkSnaps(place);
  const progress = new ByteProgress(stderr, "checking", total);
  const threads = Math.max(1, Math.min(options.threads, names.length));
  const reports = await checkSegments(place.walDir, names, threads, (bytes) => progress.at(bytes));
  progress.end();
  const start = options.snap ?? startOf(reports, snaps);
  const found = joinSegments(place.segments, reports, start);
  const held = await heldAgainstEngine(
    place,
    found,
    threads,
    options.snap === null,
    new ByteProgress(stderr, "reading as the engine does", total),
  );
  const isWritten = lastChange(place) !== changed;
  const isJudged = ({ file }: Finding) => file.endsWith(".wal") && file !== names.at(-1);
  const findings = isWritten ? held.findings.filter(isJudged) : held.findings;
  const sound = findings.length === 0 && snaps.every(({ error }) => error === "");
  return { place, log: { ...held, findings }, snaps, start, isWritten, sound };
}

// Of what is written while it is read, a part is seen: records without those before them, the end of a segment without
// the next one, a snapshot without its record.
function lastChange({ walDir, segments }: LogPlace): bigint {
  if (segments.length === 0) return 0n;
  const newest = path.join(walDir, segments.at(-1)!.name);
  return fs.statSync(newest, { bigint: true, throwIfNoEntry: false })?.mtimeNs ?? 0n;
}

// Segments were read each by itself. What the engine refuses is damage, whatever that came to: only it goes over the log
// as a whole, by what is before each record. `withSnaps`: the snapshot that it starts from has to be here.
async function heldAgainstEngine(
  place: LogPlace,
  log: LogReport,
  threads: number,
  withSnaps: boolean,
  progress: ByteProgress,
): Promise<LogReport> {
  const { walDir } = place;
  const segments = sortedSegments(place.segments.map(({ name }) => name));
  if (segments.length === 0 || log.unsafe || log.findings.some(({ torn }) => !torn)) return log;
  const pool = new LogPool(false);
  try {
    const options = {
      js: false,
      threads: threads === 1 ? 0 : threads,
      pool,
      progress: (bytes: number) => progress.at(bytes),
    };
    const { snapshots, points, tail } = await recover(walDir, segments, options);
    const recorded = { snapshots, points, lastIndex: tail.lastIndex };
    if (withSnaps) await chooseSnapshot(walDir, place.snapDir ?? snapDirBeside(walDir), recorded);
    return log;
  } catch (error) {
    if (!(error instanceof RaftmarkError)) throw error;
    const { cause } = error;
    // The others are segments that are missing, which is judged by the snapshot that the caller names.
    if (!(cause instanceof DamageError)) return log;
    const { offset, record, message: what } = cause;
    const finding = {
      file: path.basename(cause.file),
      offset,
      record,
      what,
      torn: false,
      recordsFollow: false,
    };
    return { ...log, findings: [finding] };
  } finally {
    progress.end();
    await pool.end();
  }
}

// The newest file that reads well and that the log knows. (etcd asks for its commit, too; ours is proof enough.)
function startOf(reports: readonly SegmentReport[], snaps: readonly SnapReport[]): EtcdSnapshotId {
  for (const { id } of snaps) {
    if (id === null) continue;
    const isKnown = reports.some(({ snapshots }) => snapshots.some((known) => sameSnapshot(known, id)));
    if (isKnown) return id;
  }
  return { index: 0n, term: 0n };
}

function sameSnapshot(a: EtcdSnapshotId, b: EtcdSnapshotId): boolean {
  return a.index === b.index && a.term === b.term;
}

/** What the command prints. */
export function verdictText(verdict: Verdict): string {
  const { place, log, snaps } = verdict;
  const lines: string[] = [];
  if (place.segments.length > 0) lines.push(...logLines(place, log));
  lines.push(...snapLines(place, snaps));
  lines.push(...notes(verdict).map((note) => `note: ${note}`));
  if (verdict.sound) {
    lines.push("sound");
    return `${lines.join("\n")}\n`;
  }
  const places = log.findings.length + snaps.filter(({ error }) => error !== "").length;
  lines.push(`damaged in ${places === 1 ? "one place" : `${places} places`}:`);
  for (const finding of log.findings) lines.push(...findingLines(finding, log.unsafe));
  for (const { name, error } of snaps) if (error !== "") lines.push(...badSnapLines(name, error));
  if (log.findings.length > 0) lines.push(...etcdLines(verdict), `next: ${advice(verdict)}`);
  return `${lines.join("\n")}\n`;
}

function logLines(place: LogPlace, log: LogReport): string[] {
  const { segments } = place;
  const names = segments.length === 1 ? segments[0].name : `${segments[0].name} to ${segments.at(-1)!.name}`;
  const types = RECORD_NAMES.map((name, type) => `${grouped(log.counts[type])} ${name}`);
  const { entries, lastState: state } = log;
  return [
    `${place.walDir}: ${plural(segments.length, "segment")}, ${grouped(log.bytes)} bytes`,
    `  segments   ${names}`,
    `  records    ${grouped(log.records)}: ${types.slice(1).join(", ")}`,
    `  entries    ${entries === null ? "none" : `${entries.first} to ${entries.last.index}, last term ${entries.last.term}`}`,
    `  state      ${state === null ? "none" : `term ${state.term}, vote ${state.vote}, commit ${state.commit}`}`,
    `  snapshots  ${snapshotList(log.snapshots)}`,
    `  checksum   ${log.finalCrc.toString(16).padStart(8, "0")}`,
  ];
}

/** "0:0, 22:1, 49:1 and 12 more, newest 134:4", index:term each. */
function snapshotList(snapshots: readonly EtcdSnapshotId[]): string {
  const texts = snapshots.map(({ index, term }) => `${index}:${term}`);
  if (texts.length <= SHOWN_SNAPSHOTS) return texts.length === 0 ? "none" : texts.join(", ");
  const hidden = texts.length - SHOWN_SNAPSHOTS;
  return `${texts.slice(0, SHOWN_SNAPSHOTS - 1).join(", ")} and ${hidden} more, newest ${texts.at(-1)}`;
}

function snapLines(place: LogPlace, snaps: readonly SnapReport[]): string[] {
  if (place.snapDir === null) return [];
  const bytes = snaps.reduce((sum, snap) => sum + snap.bytes, 0);
  const newest = snaps.find(({ id }) => id !== null);
  const tail = newest === undefined ? "" : `, newest ${newest.id!.index}:${newest.id!.term}`;
  return [`${place.snapDir}: ${plural(snaps.length, "snapshot file")}, ${grouped(bytes)} bytes${tail}`];
}

// What is no damage, and worth knowing.
function notes({ place, log, snaps, start, isWritten }: Verdict): string[] {
  const found: string[] = [];
  if (isWritten) {
    const newest = place.segments.at(-1)!.name;
    found.push(`the log was written while it was read: nothing is said of ${newest}, nor of what is newer`);
  }
  const first = place.segments[0];
  if (first !== undefined && log.released) {
    found.push(
      `the log begins with segment ${first.seq}, as after a release; it starts from the snapshot ${start.index}:${start.term}`,
    );
  }
  const { jumpTo } = log;
  if (jumpTo !== null && !snaps.some(({ id }) => id?.index === jumpTo)) {
    found.push(
      `entries go on behind a snapshot at ${jumpTo} with a gap before it; its .snap file is not here, and a node needs it to start`,
    );
  }
  if (log.unsafe) {
    found.push(
      "terms, votes or indexes above 2^53-1: raftmark's tools read them, its engine refuses to open such a log",
    );
  }
  if (log.longestRecord >= ETCD_RECORD_BYTES_MAX) {
    found.push("a record of 10 MiB or more: etcd 3.4 refuses it, later ones and raftmark read it");
  }
  for (const name of place.foreign) {
    found.push(
      `etcd takes ${JSON.stringify(name)} for a segment by its name, raftmark does not: move it elsewhere`,
    );
  }
  if (place.segments.length > 0) {
    const copies = fs.readdirSync(place.walDir).filter((name) => name.includes(".wal.broken")).length;
    if (copies > 0)
      found.push(
        `${plural(copies, ".broken copy", ".broken copies")} kept by a repair or by opening a torn log`,
      );
  }
  return found;
}

function findingLines(
  { file, offset, record, what, torn, recordsFollow }: Finding,
  unsafe: boolean,
): string[] {
  const at = offset < 0 ? file : `${file}, offset ${grouped(offset)}, record ${grouped(record)}`;
  const behind = recordsFollow && offset >= 0 ? " (records that continue the log lie behind it)" : "";
  const tail = torn ? ", the end of a torn write" : behind;
  let engine =
    "refuses to open the log (WAL_CORRUPT) and changes nothing: acknowledged entries may be lost there";
  if (torn) {
    engine = "cuts it off when it opens the log, and keeps a copy; what was acknowledged lies before it";
    if (unsafe) engine = "does not open this log at all, for its large numbers; it would cut off this end";
  }
  return [`  ${at}: ${what}${tail}`, `    raftmark's engine ${engine}`];
}

function badSnapLines(name: string, error: string): string[] {
  return [
    `  ${name}: ${error}`,
    "    etcd and raftmark's engine rename it to NAME.snap.broken when they load it, and take the next older one",
  ];
}

function etcdLines({ place, start }: Verdict): string[] {
  const { walDir } = place;
  const { read, write, verify, validSnapshots } = etcdAnswers(walDir, start);
  const plan = etcdPlanRepair(walDir);
  const repair = {
    clean: "true, it changes nothing",
    cut: `true, it cuts ${plan.name} at offset ${grouped(plan.offset)}`,
    refuse: `false (${plan.error})`,
  }[plan.answer];
  const answer = (error: string): string => (error === "" ? "no error" : error);
  return [
    `etcd 3.4 answers, at snapshot ${start.index}:${start.term}:`,
    `  open for reading  ${answer(read)}`,
    `  open for writing  ${answer(write)}`,
    `  Verify            ${answer(verify)}`,
    `  valid snapshots   ${answer(validSnapshots)}`,
    `  Repair            ${repair}`,
  ];
}

function advice({ place, log, snaps }: Verdict): string {
  if (log.findings.every(({ torn }) => torn)) {
    const { answer } = etcdPlanRepair(place.walDir, place.segments);
    // Zeros up to the end of the file, but not a whole sector of them.
    if (answer === "refuse")
      return "a crash leaves this; start the node, which cuts the torn end (etcd's Repair does not)";
    const start = log.unsafe ? "" : "start the node, or ";
    return `a crash leaves this; ${start}cut the torn end now: raftmark wal repair ${place.walDir}`;
  }
  const first = place.segments[0];
  const newest = log.snapshots.findLast(({ index }) => index >= first.index);
  // Segments before the first one are missing, or a snapshot is.
  const isReleased = log.findings.every(
    ({ file, offset }) => offset < 0 && (file === first.name || !file.endsWith(".wal")),
  );
  if (isReleased && newest !== undefined && snaps.length === 0) {
    const id = `${newest.index}:${newest.term}`;
    return `if a snapshot whose file lies elsewhere stands for what is missing, say which one, like --snap ${id}`;
  }
  return `keep a copy of the directory. ${ADVICE}. What is readable: raftmark wal dump ${place.walDir}`;
}
