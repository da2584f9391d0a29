// The bytes of a log: segments flipped, cut, spliced with each other's bytes, zeroed, left out. Opening gives the log as it
// was at some point of its writing, and no entry that was not written there, or refuses with a code and changes nothing;
// both codecs say the same, and what was opened goes on.
import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { RaftmarkError } from "../../src/base/errors.js";
import type { Prng } from "../../src/base/prng.js";
import { Entry, type HardState } from "../../src/raft/raftpb/index.js";
import { frameAt } from "../../src/wal/format/codec-js.js";
import { openWal, readWal, type Wal, type WalRecord } from "../../src/wal/index.js";
import { durable, entriesFrom, options } from "../wal/helpers.js";
import { chance, changed, flipped, pick } from "./bytes.js";
import { fuzz } from "./harness.js";

const SECTOR = 512;
const NO_STATE: HardState = { term: 0, vote: 0, commit: 0 };

/** A log as its records so far make it, and a text that tells it from others. */
class Model {
  private readonly entries: string[] = [];
  private hardState = NO_STATE;

  add(record: WalRecord): void {
    if (record.type === "state") this.hardState = record.hardState;
    if (record.type !== "entry") return;
    const { index } = record.entry;
    this.entries.length = index - 1;
    this.entries.push(textOf(record.entry));
  }

  get text(): string {
    return stateText(this.hardState, this.entries);
  }
}

function textOf({ index, term, type, data }: Entry): string {
  return `${index} ${term} ${type} ${Buffer.from(data).toString("base64")}`;
}

function stateText({ term, vote, commit }: HardState, entries: readonly string[]): string {
  return `${term} ${vote} ${commit}\n${entries.join("\n")}`;
}

/** What was opened, as text, or the code of the refusal. */
async function opened(
  dir: string,
  writer: "inline-js" | "inline-wasm",
): Promise<{ text: string; wal: Wal | null }> {
  let wal: Wal;
  try {
    wal = await openWal({ ...options(dir), writer, durability: "none", segmentBytes: 4096 });
  } catch (error) {
    if (!(error instanceof RaftmarkError)) throw error;
    return { text: error.code, wal: null };
  }
  const { hardState, lastIndex } = wal.recovered;
  const entries = lastIndex === 0 ? [] : entriesFrom(wal);
  return { text: stateText(hardState, entries.map(textOf)), wal };
}

/** Appends that a leader or a follower makes: batches, terms that overwrite, commits that move on. */
async function write(prng: Prng, dir: string): Promise<void> {
  const durability = pick(prng, ["none", "fdatasync", "o_direct"] as const);
  const wal = await openWal({ ...options(dir), writer: "inline-js", durability, segmentBytes: 4096 });
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
    const seq = wal.append(state, entries, true);
    if (chance(prng, 0.6)) await durable(wal, seq);
  }
  await durable(wal, wal.append({ ...state, vote: 2 }, [], true));
  await wal.close();
}

/** The texts of all that the log was, one record after the other. */
function historyOf(wal: string): string[] {
  const model = new Model();
  const texts: string[] = [];
  for (const record of readWal(wal)) {
    model.add(record);
    texts.push(model.text);
  }
  return texts;
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

async function goesOn(wal: Wal, dir: string, text: string): Promise<void> {
  const { hardState, lastIndex } = wal.recovered;
  const term = Math.max(hardState.term, lastIndex === 0 ? 0 : (wal.storage.term(lastIndex) as number)) + 1;
  const next = new Entry(0, term, lastIndex + 1, Uint8Array.of(1, 2, 3));
  await durable(wal, wal.append({ ...hardState, term }, [next], true));
  await wal.close();
  const again = await opened(dir, "inline-js");
  const before = text.slice(text.indexOf("\n") + 1);
  const entries = [...(before === "" ? [] : before.split("\n")), textOf(next)];
  assert.equal(again.text, stateText({ ...hardState, term }, entries), "what was appended then");
  await again.wal!.close();
}

/**
 * Holds what was opened against what may be, after `kind` befell the log. `rest`: whether its newest segment had anything
 * but zeros behind the last record that reads well.
 */
function check(
  kind: Harm,
  text: string,
  history: readonly string[],
  others: readonly string[],
  wal: Wal,
  rest: boolean,
): void {
  if (text === history.at(-1)) return;
  // All of another log in its place is a log like any other.
  const isKnown = history.includes(text) || (kind !== "flip" && others.includes(text));
  assert.ok(isKnown, `no state that the log ever had:\n${text}`);
  // Zeros from between two records on look like a shorter log. Anything else that makes it shorter is told, and a flip
  // does not: what it hits is refused, but for the one that makes a whole sector zeros, like a power loss.
  assert.ok(wal.recovered.torn !== null || !rest, "the log is shorter, and nobody is told");
  assert.ok(wal.recovered.torn !== null || kind !== "flip", "a flipped bit made the log shorter");
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
  cases: 40,
  reaches: ["WAL_CORRUPT", "whole", "shorter"],
  async run(prng, note) {
    const root = fs.mkdtempSync(path.join(os.tmpdir(), "raftmark-fuzz-"));
    try {
      const [dir, other] = [path.join(root, "a"), path.join(root, "b")];
      for (const each of [dir, other]) {
        fs.mkdirSync(each);
        await write(prng, each);
      }
      const wal = path.join(dir, "wal");
      const history = historyOf(wal);
      const others = historyOf(path.join(other, "wal"));
      const kind = pick<Harm>(prng, ["flip", "bytes", "sectors", "cut", "behind", "file"]);
      harm(prng, kind, wal, path.join(other, "wal"));
      const twin = path.join(root, "twin");
      fs.cpSync(dir, twin, { recursive: true });
      const before = contentOf(dir);
      const rest = hasRest(wal);
      const js = await opened(dir, "inline-js");
      const wasm = await opened(twin, "inline-wasm");
      assert.equal(js.text, wasm.text, "the codecs differ");
      await wasm.wal?.close();
      if (js.wal === null) {
        assert.equal(contentOf(dir), before, "refused, and changed");
        note(js.text);
        return;
      }
      check(kind, js.text, history, others, js.wal, rest);
      note(js.text === history.at(-1) ? "whole" : "shorter");
      await goesOn(js.wal, dir, js.text);
    } finally {
      fs.rmSync(root, { recursive: true, force: true });
    }
  },
});
