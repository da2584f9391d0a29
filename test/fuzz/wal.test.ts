// The bytes of a log: segments flipped, cut, spliced with each other's bytes, zeroed, left out. Opening gives the log as it
// was at some point of its writing, and no entry that was not written there, or refuses with a code and changes nothing;
// both codecs say the same, and what was opened goes on.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { RaftmarkError } from "../../src/base/errors.js";
import type { Prng } from "../../src/base/prng.js";
import { Entry, type HardState } from "../../src/raft/raftpb/index.js";
import { frameAt } from "../../src/wal/format/codec-js.js";
import { parseRecord } from "../../src/wal/format/record.js";
import { openWal, readWal, type Wal, type WalOptions, type WalRecord } from "../../src/wal/index.js";
import { etcdAnswers } from "../../src/wal/inspect/etcd-reader.js";
import { raisedBy } from "../../src/wal/snap/snap-dir.js";
import { durable, entriesFrom, meta, options, snapFiles } from "../wal/helpers.js";
import { type Promised, promised, START, check as verifyLog } from "../wal/promised.js";
import { chance, changed, flipped, pick } from "./bytes.js";
import { fuzz } from "./harness.js";
import { withDir } from "./scratch.js";

const SECTOR = 512;
const NO_STATE: HardState = { term: 0, vote: 0, commit: 0 };
const NOTHING: State = { hardState: NO_STATE, first: 1, last: 0, entries: [] };

/** What a log is: entries from `first` on, as text, up to `last`. */
interface State {
  readonly hardState: HardState;
  readonly first: number;
  readonly last: number;
  readonly entries: readonly string[];
}

/** A log as its records so far make it. */
class Model {
  private first = 1;
  private entries: string[] = [];
  private hardState = NO_STATE;

  add(record: WalRecord): void {
    if (record.type === "state") this.hardState = record.hardState;
    if (record.type === "snapshot") this.snapshot(record.index, record.term);
    if (record.type !== "entry") return;
    const { index } = record.entry;
    // Older segments are released, and with them what this entry may have overwritten.
    if (this.entries.length === 0 || index < this.first) this.first = index;
    this.entries.length = index - this.first;
    this.entries.push(textOf(record.entry));
    // What it proves, if the state behind it is torn off.
    this.hardState = raisedBy({ index: 0, term: record.entry.term }, this.hardState);
  }

  /** What it proves; and if the log does not lead up to it, it replaces the log. */
  private snapshot(index: number, term: number): void {
    if (index === 0) return;
    this.hardState = raisedBy({ index, term }, this.hardState);
    const { first, entries } = this;
    const isHeld = index >= first && index < first + entries.length;
    if (isHeld && entries[index - first]!.startsWith(`${index} ${term} `)) return;
    if (entries.length > 0 && index < first) return;
    this.first = index + 1;
    this.entries = [];
  }

  get state(): State {
    const { hardState, first } = this;
    const entries = this.entries.slice();
    return { hardState, first, last: first + entries.length - 1, entries };
  }
}

function textOf({ index, term, type, data }: Entry): string {
  return `${index} ${term} ${type} ${Buffer.from(data).toString("base64")}`;
}

/** Whether a log that was `was` may be opened as `found`: of the same end, and with no other entry. */
function isLike(was: State, found: State): boolean {
  const { term, vote, commit } = was.hardState;
  const { hardState } = found;
  if (term !== hardState.term || vote !== hardState.vote || commit !== hardState.commit) return false;
  if (was.last !== found.last || found.first < was.first) return false;
  return found.entries.every((text, i) => text === was.entries[found.first + i - was.first]);
}

type Opened = { readonly code: string; readonly state: State | null; readonly wal: Wal | null };

const REFUSED: Opened = { code: "", state: null, wal: null };

async function opened(dir: string, more: Partial<WalOptions>): Promise<Opened> {
  let wal: Wal;
  try {
    wal = await openWal({ ...options(dir), durability: "none", segmentBytes: 4096, ...more });
  } catch (error) {
    if (!(error instanceof RaftmarkError)) throw error;
    return { ...REFUSED, code: error.code };
  }
  const { hardState, lastIndex } = wal.recovered;
  const first = wal.storage.firstIndex();
  const state = { hardState, first, last: lastIndex, entries: entriesFrom(wal).map(textOf) };
  return { code: "", state, wal };
}

/** Appends that a leader or a follower makes: batches, terms that overwrite, commits that move on, snapshots. */
async function write(prng: Prng, dir: string): Promise<void> {
  const durability = pick(prng, ["none", "fdatasync", "o_direct"] as const);
  const wal = await openWal({ ...options(dir), writer: "inline-js", durability, segmentBytes: 4096 });
  const hasSnapshots = chance(prng, 0.4);
  let state = { term: 1, vote: 1, commit: 0 };
  let last = 0;
  for (let i = 2 + prng.below(20); i > 0; i--) {
    let from = last + 1;
    if (chance(prng, 0.2) && last > state.commit) {
      from = state.commit + 1 + prng.below(last - state.commit);
      state = { ...state, term: state.term + 1 };
    }
    const entries: Entry[] = [];
    for (let index = from, count = prng.below(6); index < from + count; index++) {
      const size = pick(prng, [0, 1, 7, 100, 500, 1500, 6000]);
      const data = new Uint8Array(prng.below(size + 1)).fill(chance(prng, 0.2) ? 0 : 1 + prng.below(255));
      entries.push(new Entry(pick(prng, [0, 0, 0, 1, 2]), state.term, index, data));
    }
    if (entries.length > 0) last = entries.at(-1)!.index;
    else if (from <= last) state = { ...state, term: state.term + 1 };
    if (chance(prng, 0.5)) state = { ...state, commit: state.commit + prng.below(last - state.commit + 1) };
    const seq = wal.append(state, entries);
    const isTime = hasSnapshots && chance(prng, 0.3);
    if (isTime || chance(prng, 0.6)) await durable(wal, seq);
    if (!isTime) continue;
    const ahead = chance(prng, 0.1) ? 1 + prng.below(5) : 0;
    if (ahead > 0) {
      last += ahead;
      state = { ...state, commit: last };
    }
    if (ahead > 0 || state.commit > wal.storage.firstIndex()) await snapshot(wal, state, ahead > 0);
  }
  await durable(wal, wal.append({ ...state, vote: 2 }, []));
  await wal.close();
}

async function snapshot(wal: Wal, { term, commit }: HardState, isAhead: boolean): Promise<void> {
  const metadata = meta(commit, isAhead ? term : (wal.storage.term(commit) as number));
  try {
    await wal.stageSnapshot(metadata, Uint8Array.of(1, 2, 3));
    await wal.recordSnapshot(metadata);
  } catch (error) {
    // One as new is there.
    if (!(error instanceof RaftmarkError) || error.code !== "WAL_SNAPSHOT_OUTDATED") throw error;
  }
}

/** All that the log was, one record after the other. */
function historyOf(wal: string): State[] {
  const model = new Model();
  const states: State[] = [];
  for (const record of readWal(wal)) {
    model.add(record);
    states.push(model.state);
  }
  return states;
}

type Harm = "flip" | "bytes" | "sectors" | "cut" | "behind" | "file";

/** What befalls the files of `wal`; `other`: another log's, with the same metadata. */
function harm(prng: Prng, kind: Harm, wal: string, other: string): void {
  const names = segmentsOf(wal);
  const file = path.join(wal, chance(prng, 0.5) ? names.at(-1)! : pick(prng, names));
  const bytes = new Uint8Array(fs.readFileSync(file));
  const used = bytes.findLastIndex((byte) => byte !== 0) + 1;
  const head = bytes.subarray(0, Math.max(1, used));
  const tail = bytes.subarray(head.length);
  const donor = path.join(chance(prng, 0.5) ? wal : other, pick(prng, segmentsOf(wal)));
  const foreign = new Uint8Array(fs.readFileSync(fs.existsSync(donor) ? donor : file));
  if (kind === "flip") fs.writeFileSync(file, Buffer.concat([flipped(prng, head), tail]));
  else if (kind === "bytes") fs.writeFileSync(file, Buffer.concat([changed(prng, head, foreign), tail]));
  else if (kind === "cut") fs.writeFileSync(file, bytes.subarray(0, prng.below(bytes.length)));
  else if (kind === "sectors") {
    for (let i = 1 + prng.below(3); i > 0; i--) {
      const at = SECTOR * prng.below(Math.ceil(head.length / SECTOR));
      const from = SECTOR * prng.below(Math.ceil(foreign.length / SECTOR));
      if (chance(prng, 0.5)) bytes.fill(0, at, at + SECTOR);
      else bytes.set(foreign.subarray(from, Math.min(from + SECTOR, from + bytes.length - at)), at);
    }
    fs.writeFileSync(file, bytes);
  } else if (kind === "behind") {
    fs.writeFileSync(file, Buffer.concat([head, changed(prng, tail, foreign)]));
  } else if (chance(prng, 0.3)) fs.rmSync(file);
  else fs.writeFileSync(file, foreign);
}

function segmentsOf(wal: string): string[] {
  return fs
    .readdirSync(wal)
    .filter((name) => name.endsWith(".wal"))
    .sort();
}

/** Every file below `dir`, as text. */
function contentOf(dir: string): string {
  const names = fs.readdirSync(dir, { recursive: true, encoding: "utf8" }).sort();
  const files = names.filter((name) => fs.statSync(path.join(dir, name)).isFile());
  return files.map((name) => `${name} ${fs.readFileSync(path.join(dir, name), "base64")}`).join("\n");
}

async function goesOn(wal: Wal, dir: string, { hardState, first, last, entries }: State): Promise<void> {
  const lastTerm = last === 0 ? 0 : (wal.storage.term(last) as number);
  const term = Math.max(hardState.term, lastTerm) + 1;
  const next = new Entry(0, term, last + 1, Uint8Array.of(1, 2, 3));
  await durable(wal, wal.append({ ...hardState, term }, [next]));
  await wal.close();
  const again = await opened(dir, { writer: "inline-js" });
  const expected = {
    hardState: { ...hardState, term },
    first,
    last: last + 1,
    entries: [...entries, textOf(next)],
  };
  assert.deepEqual(again.state, expected, "what was appended then");
  await again.wal!.close();
}

/**
 * Holds what was opened against what may be, after `kind` befell the log. `rest`: whether its newest segment had anything
 * but zeros behind the last record that reads well.
 */
function check(
  kind: Harm,
  found: State,
  history: readonly State[],
  others: readonly State[],
  wal: Wal,
  rest: boolean,
): void {
  if (isLike(history.at(-1)!, found)) return;
  // All of another log in its place is a log like any other.
  const known = [NOTHING, ...history, ...(kind === "flip" ? [] : others)];
  assert.ok(
    known.some((was) => isLike(was, found)),
    `no state that the log ever had:\n${JSON.stringify(found)}`,
  );
  // Zeros from between two records on look like a shorter log. Anything else that makes it shorter is told, and a flip
  // does not: what it hits is refused, but for the one that makes a whole sector zeros, like a power loss.
  assert.ok(wal.recovered.torn !== null || !rest, "the log is shorter, and nobody is told");
  assert.ok(wal.recovered.torn !== null || kind !== "flip", "a flipped bit made the log shorter");
}

/** A record where it lies: its frame. */
interface Placed {
  readonly file: string;
  readonly offset: number;
  readonly frame: Uint8Array;
}

/** Of a record's bytes: its type, which etcd's checksum does not cover. */
const TYPE_AT = 9;
const RECORD_ENTRY = 2;
const RECORD_STATE = 3;

function recordsOf(wal: string): Placed[] {
  return [...readWal(wal)].map(({ segment, offset }) => {
    const file = path.join(wal, segment);
    const bytes = fs.readFileSync(file);
    const { length, padding } = frameAt(bytes, offset);
    return { file, offset, frame: bytes.subarray(offset, offset + 8 + length + padding) };
  });
}

/**
 * Whether a state record became the entry that it can be taken for (docs/reliability.md): of term 1 or 2, in place of an
 * entry of another term than its vote.
 */
function isTakenForEntry(records: readonly Placed[]): boolean {
  return records.some(({ file, offset, frame }) => {
    if (frame[TYPE_AT] !== RECORD_STATE || !fs.existsSync(file)) return false;
    const now = fs.readFileSync(file).subarray(offset, offset + frame.length);
    if (now.length !== frame.length || now[TYPE_AT] !== RECORD_ENTRY) return false;
    now[TYPE_AT] = RECORD_STATE;
    const { dataStart } = parseRecord(frame, 8, 8 + frameAt(frame, 0).length);
    return now.equals(frame) && frame[dataStart + 1]! <= 2;
  });
}

/** What `raftmark wal verify` says; "": nothing to hold the engine to. */
function verdictOf(dir: string): { said: Promised | ""; findings: readonly unknown[] } {
  const wal = path.join(dir, "wal");
  if (segmentsOf(wal).length === 0) return { said: "", findings: [] };
  const { read, write, verify } = etcdAnswers(wal, START);
  for (const answer of [read, write, verify]) assert.equal(typeof answer, "string");
  const report = verifyLog(wal);
  // Bytes behind the end are damage to the tool; no reader looks at them.
  const isBehind = report.findings.some(({ what }) => what.includes("other bytes behind"));
  return {
    said: isBehind || snapFiles(dir).length > 0 ? "" : promised(report),
    findings: report.findings,
  };
}

function outcomeOf({ wal, code }: Opened): Promised | string {
  if (wal === null) return code === "WAL_CORRUPT" ? "refuses" : code;
  return wal.recovered.torn === null ? "opens" : "cuts";
}

function hasRest(wal: string): boolean {
  const newest = segmentsOf(wal).at(-1);
  if (newest === undefined) return false;
  let end = 0;
  const bytes = fs.readFileSync(path.join(wal, newest));
  try {
    for (const { segment, offset } of readWal(wal)) {
      const { length, padding } = frameAt(bytes, offset);
      if (segment === newest) end = offset + 8 + length + padding;
    }
  } catch (error) {
    if (!(error instanceof RaftmarkError)) throw error;
  }
  return bytes.subarray(end).some((byte) => byte !== 0);
}

fuzz({
  url: import.meta.url,
  name: "a damaged log opens as it once was, or is refused",
  cases: 100,
  // A torn end was cut, and then the log refused for a snapshot that was missing; a state's type became an entry's.
  kept: [2151564493, 229397527],
  reaches: ["WAL_CORRUPT", "whole", "shorter"],
  run: (prng, note) =>
    withDir(async (root) => {
      const [dir, other] = [path.join(root, "a"), path.join(root, "b")];
      for (const each of [dir, other]) {
        fs.mkdirSync(each);
        await write(prng, each);
      }
      const wal = path.join(dir, "wal");
      const history = historyOf(wal);
      const others = historyOf(path.join(other, "wal"));
      const kind = pick<Harm>(prng, ["flip", "bytes", "sectors", "cut", "behind", "file"]);
      const records = recordsOf(wal);
      harm(prng, kind, wal, path.join(other, "wal"));
      if (isTakenForEntry(records)) {
        note("of another type");
        return;
      }
      const copy = path.join(root, "copy");
      fs.cpSync(dir, copy, { recursive: true });
      const before = contentOf(dir);
      const rest = hasRest(wal);
      const verdict = verdictOf(dir);
      const js = await opened(dir, { writer: "inline-js" });
      const threads = chance(prng, 0.1) ? ({ writer: "pool-wasm", recoveryThreads: 2 } as const) : null;
      const twin = await opened(copy, threads ?? { writer: "inline-wasm" });
      assert.deepEqual([twin.code, twin.state], [js.code, js.state], "the codecs differ");
      await twin.wal?.close();
      assert.equal(verdict.said, verdict.said === "" ? "" : outcomeOf(js), JSON.stringify(verdict.findings));
      if (js.wal === null) {
        assert.equal(contentOf(dir), before, "refused, and changed");
        note(js.code);
        return;
      }
      check(kind, js.state!, history, others, js.wal, rest);
      note(isLike(history.at(-1)!, js.state!) ? "whole" : "shorter");
      await goesOn(js.wal, dir, js.state!);
    }),
});
