// Every point at which a machine can stop: a recorded log is cut after every byte that was written to it, and with
// sectors of the unsynced write missing, and read again. Three things must hold each time: what a sync had made durable
// is there; what is there is a prefix of what was written; and whoever reads it after the repair finds nothing to repair.
//
// Which state goes which way: every byte of every write to a segment, and every choice of sectors below, is put into
// memory and goes through the scan, the verdict and the cut that opening uses, over the whole newest segment (a
// microsecond or two each, over a million of them). Files and openWal itself take the states at the operations around
// cuts and a sample of the rest, drawn by a seed that is printed: SEED repeats it, CRASH_SAMPLES sets its size.
import assert from "node:assert/strict";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { Prng } from "../../../src/base/prng.js";
import type { Durability } from "../../../src/index.js";
import type { Entry } from "../../../src/raft/raftpb/index.js";
import { BLOCK_BYTES } from "../../../src/wal/disk/direct.js";
import { bindWasmCodec, createWasmMemory, wasmModule } from "../../../src/wal/format/codec-wasm.js";
import { RECORD_CRC, SEAL_BYTES, SECTOR_BYTES } from "../../../src/wal/format/format.js";
import * as L from "../../../src/wal/format/layout.js";
import { putSeal } from "../../../src/wal/format/record.js";
import { openWal, type Wal, type WalOptions } from "../../../src/wal/index.js";
import { judgeEnd, lastNonZero } from "../../../src/wal/recover/torn.js";
import { seedOf } from "../../seed.js";
import { tempDir } from "../../temp-dir.js";
import { assertSameEntries, durable, entriesFrom, entry, meta, options, readState } from "../helpers.js";
import { type Op, recordings } from "../recording-fs.js";
import { type Behind, Golden, ModelDisk, type ModelFile } from "./crash-model.js";

const RECORDER = new URL("../recording-fs.js", import.meta.url).href;
const PARTS = 8;
/** A MiB in all; in parts, because every openWal reads its whole log. */
const PART_BYTES_MIN = (1 << 20) / PARTS;
const SEGMENT_BYTES = 2048;
const SEGMENT_ROOM = 256 << 10;
const SAMPLES = Number(process.env["CRASH_SAMPLES"] ?? 100);

interface Recorded {
  walOptions: WalOptions;
  /** The directory before the operations. */
  disk: ModelDisk;
  golden: Golden;
  ops: Op[];
}

/**
 * Appends of all sizes, overwritten suffixes, new terms, bare commits, cuts, snapshots, releases beside the appends:
 * PART_BYTES_MIN by a real writer.
 */
async function record(t: TestContext, seed: number, durability: Durability): Promise<Recorded> {
  const walOptions = options(tempDir(t), {
    writer: "inline-js",
    durability,
    segmentBytes: SEGMENT_BYTES,
    ringBytes: 16 << 10,
  });
  await (await openWal(walOptions)).close();
  const disk = new ModelDisk(path.dirname(walOptions.dir));
  const golden = new Golden();
  const { bytes, name } = disk.newest();
  golden.add(name, bytes, 0, endOf(bytes));
  const wal = await openWal({ ...walOptions, walFs: { module: RECORDER, arg: t.name } });
  await new Appender(wal, new Prng(seed)).run();
  await wal.close();
  return { walOptions, disk, golden, ops: recordings.get(t.name)! };
}

class Appender {
  private readonly wal: Wal;
  private readonly prng: Prng;
  private last = 0;
  private term = 1;
  private commit = 0;
  /** Index of the last snapshot. */
  private saved = 0;

  constructor(wal: Wal, prng: Prng) {
    this.wal = wal;
    this.prng = prng;
  }

  async run(): Promise<void> {
    let saving = Promise.resolve();
    while (this.wal.stats().bytes < PART_BYTES_MIN) {
      // What is appended in one go is one write, or several if it does not fit.
      const appends = 1 + (this.prng.below(3) === 0 ? this.prng.below(6) : 0);
      for (let i = 1; i < appends; i++) this.append();
      await durable(this.wal, this.append());
      if (this.prng.below(12) > 0) continue;
      await saving;
      saving = this.snapshot();
    }
    await saving;
  }

  private async snapshot(): Promise<void> {
    const { commit, wal } = this;
    if (commit === this.saved) return;
    this.saved = commit;
    await wal.saveSnapshot(meta(commit, wal.storage.term(commit) as number), stateAt(commit));
  }

  private append(): number {
    const { prng } = this;
    const kind = prng.below(20);
    if (kind === 0) this.term++;
    // A new leader's entries take the place of uncommitted ones.
    if (kind === 0) this.last -= prng.below(this.last - this.commit + 1);
    const count = kind === 1 ? 0 : 1 + prng.below(kind === 2 ? 30 : 4);
    const entries: Entry[] = [];
    for (let i = 0; i < count; i++) entries.push(entry(++this.last, this.term, this.size()));
    const commit = this.commit;
    const hardState = { term: this.term, vote: 1 + (this.term % 3), commit };
    if (prng.below(2) === 0) this.commit += prng.below(this.last - this.commit + 1);
    return this.wal.append(hardState, entries);
  }

  private size(): number {
    const kind = this.prng.below(40);
    if (kind === 0) return 1500 + this.prng.below(9000);
    return kind < 8 ? this.prng.below(1200) : this.prng.below(150);
  }
}

/** The state of the snapshot at `index`. */
function stateAt(index: number): Uint8Array {
  return entry(index, 7, (index * 13) % 3000).data;
}

/** One segment in memory, read as opening reads the newest one. */
class Image {
  private readonly codec = bindWasmCodec(wasmModule(), createWasmMemory(L.RING + SEGMENT_ROOM));
  readonly bytes = this.codec.memory.u8.subarray(L.RING, L.RING + SEGMENT_ROOM);
  size = 0;
  /** Where the last scan stopped, and why. */
  offset = 0;
  result = 0;
  sealed = 0;

  load(content: Uint8Array, size: number): void {
    this.bytes.fill(0);
    this.bytes.set(content.subarray(0, size));
    this.size = size;
  }

  /** Scans it all, behind the log's state at its start. */
  scan(start: Behind): void {
    const { u32, f64 } = this.codec.memory;
    u32[L.SCAN_POS >>> 2] = L.RING;
    u32[L.SCAN_BASE >>> 2] = L.RING;
    u32[L.SCAN_POINTS_BASE >>> 2] = L.POINTS;
    u32[L.SCAN_POINTS_CAP >>> 2] = L.POINTS_MAX;
    u32[L.SCAN_POINTS >>> 2] = 0;
    u32[L.SCAN_SEALED >>> 2] = 0;
    u32[L.SCAN_CRC >>> 2] = start.crc;
    f64[L.SCAN_LAST_INDEX >>> 3] = start.lastIndex;
    f64[L.SCAN_LAST_TERM >>> 3] = start.lastTerm;
    f64[L.SCAN_HS_TERM >>> 3] = start.hardState.term;
    f64[L.SCAN_HS_VOTE >>> 3] = start.hardState.vote;
    f64[L.SCAN_HS_COMMIT >>> 3] = start.hardState.commit;
    do {
      this.result = this.codec.scan(L.RING + this.size);
      if (this.result === L.SCAN_SPECIAL && u32[L.SCAN_TYPE >>> 2] === RECORD_CRC) {
        u32[L.SCAN_CRC >>> 2] = u32[L.SCAN_RECORD_CRC >>> 2];
      }
    } while (this.result === L.SCAN_SPECIAL);
    this.offset = u32[L.SCAN_POS >>> 2] - L.RING;
    this.sealed = u32[L.SCAN_SEALED >>> 2];
  }

  get crc(): number {
    return this.codec.memory.u32[L.SCAN_CRC >>> 2];
  }

  verdict(): "clean" | "torn" | string {
    const { result, offset, crc, sealed } = this;
    const verdict = judgeEnd({ bytes: this.bytes.subarray(0, this.size), result, offset, crc, sealed });
    return typeof verdict === "string" ? verdict : verdict.damage;
  }

  /** Whether the scan found the log as `behind` has it. The CRC is over all data, the rest over what it lacks. */
  matches(behind: Behind): boolean {
    const { f64 } = this.codec.memory;
    const { hardState } = behind;
    return (
      this.crc === behind.crc &&
      f64[L.SCAN_LAST_INDEX >>> 3] === behind.lastIndex &&
      f64[L.SCAN_LAST_TERM >>> 3] === behind.lastTerm &&
      f64[L.SCAN_HS_TERM >>> 3] === hardState.term &&
      f64[L.SCAN_HS_VOTE >>> 3] === hardState.vote &&
      f64[L.SCAN_HS_COMMIT >>> 3] === hardState.commit
    );
  }
}

/** How often a state was refused for a bit that looked flipped (flipped.ts). */
let chances = 0;

/** One write to the newest segment, and every state it can leave. */
class WriteUnderTest {
  private readonly image: Image;
  private readonly golden: Golden;
  private readonly start: Behind;
  readonly segment: string;
  readonly position: number;
  readonly data: Uint8Array;
  private readonly sizeBefore: number;

  constructor(image: Image, golden: Golden, disk: ModelDisk, position: number, data: Uint8Array) {
    const file = disk.newest();
    this.image = image;
    this.golden = golden;
    this.segment = file.name;
    this.position = position;
    this.data = data;
    this.sizeBefore = file.size;
    this.start = golden.at(file.name, 0)!;
    // A sector that did not arrive and one that became zeros are the same.
    assert.ok(
      lastNonZero(file.bytes.subarray(0, file.size), position) === position,
      "written over something",
    );
    image.load(file.bytes, file.size);
  }

  /** The first `count` bytes arrived. */
  prefix(count: number): void {
    const { image, data, position } = this;
    image.bytes.fill(0, position, position + data.length + SEAL_BYTES);
    image.bytes.set(data.subarray(0, count), position);
    image.size = Math.max(this.sizeBefore, position + count);
  }

  /** Every prefix; returns how many. */
  everyByte(): number {
    const { image, data, position } = this;
    image.size = this.sizeBefore;
    let whole = position;
    for (let count = 0; count <= data.length; count++) {
      if (count > 0) image.bytes[position + count - 1] = data[count - 1]!;
      image.size = Math.max(this.sizeBefore, position + count);
      if (this.golden.at(this.segment, position + count) !== undefined) whole = position + count;
      const from = this.check(whole, () => `cut after ${count} of ${data.length} bytes`);
      // The repair is undone from where it began.
      image.bytes.fill(0, from, Math.max(position + count, from) + SEAL_BYTES);
      if (from < position + count) image.bytes.set(data.subarray(from - position, count), from);
    }
    return data.length;
  }

  /** Sectors alone, sectors missing alone, beginnings, ends and a few more at random; returns how many. */
  sectors(prng: Prng): number {
    const first = Math.floor(this.position / SECTOR_BYTES);
    const count = Math.floor((this.position + this.data.length - 1) / SECTOR_BYTES) - first + 1;
    let states = 0;
    const one = (arrived: (sector: number) => boolean): void => {
      this.arrive((sector) => arrived(sector - first));
      this.check(
        this.position,
        () => `sectors arrived: ${Array.from({ length: count }, (_, i) => +arrived(i))}`,
      );
      states++;
    };
    for (let at = 0; at < count; at++) {
      one((sector) => sector !== at);
      one((sector) => sector === at);
      one((sector) => sector < at);
      one((sector) => sector > at);
    }
    for (let n = 0; n < 4; n++) {
      const drawn = Array.from({ length: count }, () => prng.below(2) === 0);
      one((sector) => drawn[sector]!);
    }
    return states;
  }

  private arrive(arrived: (sector: number) => boolean): void {
    const { image, data, position } = this;
    const end = position + data.length;
    image.bytes.fill(0, position, end + SEAL_BYTES);
    image.size = Math.max(this.sizeBefore, end);
    for (let sector = Math.floor(position / SECTOR_BYTES); sector * SECTOR_BYTES < end; sector++) {
      if (!arrived(sector)) continue;
      const from = Math.max(position, sector * SECTOR_BYTES);
      const to = Math.min(end, (sector + 1) * SECTOR_BYTES);
      image.bytes.set(data.subarray(from - position, to - position), from);
    }
  }

  /** Reads, repairs and reads again. What was there up to `whole` must be found. Returns where the repair began. */
  private check(whole: number, state: () => string): number {
    const { image, golden, segment, start } = this;
    image.scan(start);
    const { offset } = image;
    const verdict = image.verdict();
    // By chance one bit fits the checksum: once in some hundred runs.
    if (/one bit of it is another/.test(verdict) && ++chances === 1) return offset;
    if (verdict !== "clean" && verdict !== "torn") this.fail(state, `refused at ${offset}: ${verdict}`);
    if (offset < whole) this.fail(state, `lost what was there: it ends at ${offset}, not ${whole}`);
    const behind = golden.at(segment, offset);
    if (behind === undefined || !image.matches(behind)) this.fail(state, `no prefix: it ends at ${offset}`);
    if (verdict === "torn")
      image.bytes.fill(0, offset, lastNonZero(image.bytes.subarray(0, image.size), offset));
    // As opening leaves it.
    const ends = image.sealed === offset ? offset : offset + SEAL_BYTES;
    if (ends !== offset) putSeal(image.bytes, offset, image.crc);
    image.size = Math.max(image.size, ends);
    image.scan(start);
    if (image.verdict() !== "clean") this.fail(state, `the second open repairs: ${image.verdict()}`);
    if (image.offset !== ends || image.sealed !== ends || !image.matches(behind!)) {
      this.fail(state, `the second open finds something else, to ${image.offset}`);
    }
    return offset;
  }

  private fail(state: () => string, what: string): never {
    assert.fail(`${this.segment}, write of ${this.data.length} at ${this.position}, ${state()}: ${what}`);
  }
}

/** Files and openWal, for states put into a directory. */
class Opened {
  private readonly walOptions: WalOptions;
  private readonly golden: Golden;
  count = 0;
  torn = 0;
  /** States in which a segment did not have its name yet. */
  unnamed = 0;
  /** States in which the segment before the newest one did not have its final size yet. */
  unclosed = 0;

  constructor(t: TestContext, golden: Golden) {
    const dir = tempDir(t);
    this.golden = golden;
    this.walOptions = options(dir, { writer: "inline-js", durability: "none", segmentBytes: SEGMENT_BYTES });
  }

  /** Opens twice what `disk` and `content`, of its newest segment, are. What the log has to `whole` must be there. */
  async check(disk: ModelDisk, content: Uint8Array, whole: number): Promise<void> {
    disk.writeTo(path.dirname(this.walOptions.dir), content);
    const { golden } = this;
    const [oldest] = disk.segments();
    const before = disk.segments().at(-2);
    if (before !== undefined && endOf(contentOf(before)) < before.size) this.unclosed++;
    const wal = await openWal(this.walOptions);
    const { torn, firstIndex, lastIndex, hardState, snapshot } = wal.recovered;
    const found = entriesFrom(wal);
    if (snapshot !== null) assert.deepEqual(await readState(wal), Buffer.from(stateAt(snapshot.index)));
    await wal.close();
    const records = golden.at(oldest!.name, 0)!.records + wal.recovered.records;
    const behind = golden.behinds[records]!;
    const newest = disk.newest().name;
    assert.ok(records >= golden.at(newest, whole)!.records, `${newest}: lost what was there to ${whole}`);
    assert.equal(snapshot?.index ?? 0, golden.snapshots[records]);
    assert.ok(firstIndex <= (snapshot?.index ?? 0) + 1, "entries behind the snapshot are missing");
    assert.equal(lastIndex, behind.lastIndex);
    // An entry proves its term: what was torn off behind it is the state that says so.
    const { term } = behind.hardState;
    const proved = { ...behind.hardState, term: behind.lastTerm, vote: 0 };
    assert.deepEqual(hardState, behind.lastTerm > term ? proved : behind.hardState);
    assertSameEntries(found, golden.entries(records, firstIndex));
    const again = await openWal(this.walOptions);
    assert.equal(again.recovered.torn, null, "the second open finds nothing to repair");
    assert.equal(again.recovered.lastIndex, lastIndex);
    assert.deepEqual(again.recovered.hardState, hardState);
    assertSameEntries(entriesFrom(again), found);
    await again.close();
    this.count++;
    if (torn !== null) this.torn++;
  }
}

interface Counts {
  bytes: number;
  sectors: number;
  writes: number;
  cuts: number;
  releases: number;
}

const NAMES: ReadonlySet<string> = new Set(["rename", "unlink", "truncate"]);

/** End of what is written, on a frame's end. */
function endOf(bytes: Uint8Array): number {
  return Math.ceil(lastNonZero(bytes, 0) / 8) * 8;
}

/** The disk as it is, with nothing under way in the newest segment; and with names that were not synced taken back. */
async function atRest(disk: ModelDisk, opened: Opened): Promise<void> {
  await opened.check(disk, contentOf(disk.newest()), endOf(contentOf(disk.newest())));
  const undo = disk.withoutNewNames();
  if (undo === null) return;
  await opened.check(disk, contentOf(disk.newest()), endOf(contentOf(disk.newest())));
  opened.unnamed++;
  undo();
}

function contentOf({ bytes, size }: ModelFile): Uint8Array {
  return bytes.slice(0, size);
}

/** What an append adds to its file: a direct write has whole blocks, which begin with what is there and end with zeros. */
function added(op: Op & { kind: "write" }, file: ModelFile): { position: number; bytes: Uint8Array } {
  const content = file.bytes.subarray(0, file.size);
  const skipped = endOf(content) - op.position;
  if (skipped === 0 && op.bytes.length % BLOCK_BYTES !== 0) return op;
  const there = content.subarray(op.position, endOf(content));
  assert.deepEqual(
    op.bytes.subarray(0, skipped),
    there,
    "the block in which the log ends is written as it was",
  );
  return { position: endOf(content), bytes: op.bytes.subarray(skipped, endOf(op.bytes)) };
}

/** Goes through the operations of one part; at each, every state that they can leave. */
async function everyState(recorded: Recorded, opened: Opened, prng: Prng, counts: Counts): Promise<void> {
  const { disk, golden, ops } = recorded;
  const image = new Image();
  const samples = ops.filter((op) => op.kind === "write").length * (PARTS / SAMPLES);
  for (const op of ops) {
    const newest = disk.newest();
    const isAppend = op.kind === "write" && disk.fileOf(op.fd) === newest && lastNonZero(op.bytes, 0) > 0;
    if (!isAppend) {
      // A name that changes or goes, a draft that grows: before, half way, and behind.
      const isStep = op.kind === "write" || NAMES.has(op.kind);
      const isSample = isStep && prng.below(op.kind === "write" ? samples * 4 : samples) === 0;
      if (isSample) await atRest(disk, opened);
      if (isSample && op.kind === "write") {
        disk.apply({ ...op, bytes: op.bytes.subarray(0, prng.below(op.bytes.length)) });
        await atRest(disk, opened);
      }
      disk.apply(op);
      // The head of a segment is written under another name: it counts once it has its own.
      if (op.kind === "rename" && op.to.endsWith(".wal")) {
        const { name, bytes, size } = disk.newest();
        golden.add(name, bytes, 0, endOf(bytes.subarray(0, size)));
        counts.cuts++;
      }
      if (op.kind === "unlink" || (op.kind === "rename" && op.from.endsWith(".wal"))) counts.releases++;
      if (isSample) await atRest(disk, opened);
      continue;
    }
    const { position, bytes } = added(op, newest);
    const end = position + bytes.length;
    const placed = new Uint8Array(end);
    placed.set(bytes, position);
    golden.add(newest.name, placed, position, end);
    const write = new WriteUnderTest(image, golden, disk, position, bytes);
    counts.bytes += write.everyByte();
    counts.sectors += write.sectors(prng);
    counts.writes++;
    if (prng.below(samples) === 0) {
      write.prefix(prng.below(bytes.length));
      await opened.check(disk, image.bytes.slice(0, image.size), position);
    }
    disk.apply(op);
  }
}

test("every byte of a MiB of log, every sector: what was durable is there, a prefix, repaired once", async (t) => {
  const seed = seedOf(t, import.meta.url);
  const counts: Counts = { bytes: 0, sectors: 0, writes: 0, cuts: 0, releases: 0 };
  let byOpenWal = 0;
  let torn = 0;
  let unnamed = 0;
  let unclosed = 0;
  for (let part = 0; part < PARTS; part++) {
    const recorded = await record(t, seed + part, part % 2 === 0 ? "o_direct" : "fdatasync");
    const opened = new Opened(t, recorded.golden);
    await everyState(recorded, opened, new Prng(seed + part), counts);
    byOpenWal += opened.count;
    torn += opened.torn;
    unnamed += opened.unnamed;
    unclosed += opened.unclosed;
  }
  t.diagnostic(
    `${counts.bytes} bytes in ${counts.writes} writes, each a state, ${counts.cuts} cuts, ${counts.releases} files released;`,
  );
  t.diagnostic(`${counts.sectors} states with sectors missing; ${byOpenWal} by openWal, ${torn} torn,`);
  t.diagnostic(
    `${unnamed} before a segment's name was durable, ${unclosed} before the one before it was closed`,
  );
  assert.ok(counts.bytes >= PARTS * PART_BYTES_MIN);
  assert.ok(torn > 0);
  assert.ok(unnamed > 0 && unclosed > 0);
  assert.ok(counts.releases > 100);
});
