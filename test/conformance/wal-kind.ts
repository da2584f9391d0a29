// Conformance, kind "wal": one fixture directory against everything its expected.json says, and a synthetic one also
// against the files that its ops.json must make (WAL-FORMAT section 8). Works on restored copies in a directory of
// its own; leaves the fixture as it is.
import { createHash } from "node:crypto";
import fs from "node:fs";
import { readdir } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { isDeepStrictEqual } from "node:util";
import { gunzipSync } from "node:zlib";
import { NO_DATA } from "../../src/base/bytes.js";
import { frameAt } from "../../src/wal/format/codec-js.js";
import { crc32c } from "../../src/wal/format/crc32c.js";
import {
  decodeEntry,
  decodeRecord,
  decodeSnapshotId,
  decodeState,
  type EtcdEntry,
  type EtcdHardState,
  type EtcdRecord,
  type EtcdSnapshotId,
  ProtoError,
} from "../../src/wal/inspect/etcd-proto.js";
import {
  etcdReadSnap,
  etcdSegments,
  etcdValidSnapshots,
  etcdVerify,
} from "../../src/wal/inspect/etcd-reader.js";
import { etcdReadAll, etcdRepair } from "./etcd-log.js";
import { type CodecName, EtcdWriter } from "./etcd-writer.js";
import type { Kind } from "./kind.js";

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
type JsonObject = { [key: string]: Json };

/** Good fixtures list their entries up to this many, damaged ones none. */
const LISTED = 150;
const TYPE_NAMES = new Map([
  [1n, "metadata"],
  [2n, "entry"],
  [3n, "state"],
  [4n, "crc"],
  [5n, "snapshot"],
]);
const CRC = 4n;
const ENTRY_TYPES = ["EntryNormal", "EntryConfChange", "EntryConfChangeV2"];

/** A unit is a directory with an expected.json. Fixtures come from etcd and are never written to. */
export const walKind: Kind = {
  name: "wal",
  ownsTree: true,
  async units(folder) {
    const entries = await readdir(folder, { withFileTypes: true });
    const fixtures = entries
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => path.join(folder, name));
    return fixtures.filter((fixture) => fs.existsSync(path.join(fixture, "expected.json"))).sort();
  },
  async run(fixture) {
    const work = fs.mkdtempSync(path.join(os.tmpdir(), "raftmark-fixture-"));
    try {
      check(fixture, work);
      return null;
    } catch (error) {
      const problem = error instanceof Error ? error.message : String(error);
      return { line: 0, what: "fixture", outputs: null, problem };
    } finally {
      fs.rmSync(work, { recursive: true, force: true });
    }
  },
  rewrite: null,
  note: (fixture) =>
    fs.existsSync(path.join(fixture, "ops.json"))
      ? "also written from its ops.json by the WASM codec and by the JavaScript one, byte for byte"
      : "",
};

function check(fixture: string, work: string): void {
  const expected = readJson(path.join(fixture, "expected.json")) as JsonObject;
  restore(fixture, work);
  const wal = path.join(work, "wal");
  if (expected["opens"] !== undefined) {
    same("raw", rawScan(wal), expected["raw"]!);
    for (const open of expected["opens"] as JsonObject[]) {
      const snap = snapOf(open["snap"] as JsonObject);
      same(`open at ${snap.index}:${snap.term}`, openResult(wal, snap, false, LISTED), open);
    }
    checkValidSnapshots("", wal, expected);
  }
  if (expected["before"] !== undefined) checkDamaged(wal, expected);
  if (expected["snapFiles"] !== undefined)
    checkSnapFiles(path.join(work, "snap"), expected["snapFiles"] as Json[]);
  const ops = path.join(fixture, "ops.json");
  if (!fs.existsSync(ops)) return;
  for (const codec of ["wasm", "js"] as const) checkWriter(codec, readJson(ops) as JsonObject[], wal);
}

// Numbers are 64-bit, and JSON.parse has 53: an integer beyond becomes a string of its digits, which is how all other
// 64-bit numbers are written here anyway.
const JSON_STRING_OR_NUMBER = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

/** The JSON of a fixture's file; integers that a number does not hold are decimal strings. */
function parseJson(text: string): Json {
  const exact = text.replaceAll(JSON_STRING_OR_NUMBER, (token) =>
    /^-?\d{16,}$/.test(token) && !Number.isSafeInteger(Number(token)) ? `"${token}"` : token,
  );
  return JSON.parse(exact) as Json;
}

function readJson(file: string): Json {
  return parseJson(fs.readFileSync(file, "utf8"));
}

/** Restores a fixture below `work`, as `wal` and `snap`: its stored files, extended with the zeros left out. */
export function restore(fixture: string, work: string): void {
  fs.mkdirSync(path.join(work, "wal"));
  fs.mkdirSync(path.join(work, "snap"));
  const manifest = path.join(fixture, "manifest.json");
  if (!fs.existsSync(manifest)) {
    restorePlain(fixture, work);
    return;
  }
  for (const file of (readJson(manifest) as JsonObject)["files"] as JsonObject[]) {
    const kept = gunzipSync(fs.readFileSync(path.join(fixture, file["stored"] as string)));
    same(`${file["path"]}: sha256 of what is kept`, sha256(kept), file["sha256Kept"]!);
    const whole = Buffer.alloc(file["originalSize"] as number);
    whole.set(kept);
    same(`${file["path"]}: sha256 of the original`, sha256(whole), file["sha256Original"]!);
    fs.writeFileSync(path.join(work, file["path"] as string), whole);
  }
}

// Fixtures without a manifest hold plain files.
function restorePlain(fixture: string, work: string): void {
  const golden = path.join(fixture, "TestNew.wal");
  if (fs.existsSync(golden)) {
    fs.copyFileSync(golden, path.join(work, "wal", "0000000000000000-0000000000000000.wal"));
  }
  const snaps = path.join(fixture, "snap");
  if (!fs.existsSync(snaps)) return;
  for (const name of fs.readdirSync(snaps)) {
    fs.copyFileSync(path.join(snaps, name), path.join(work, "snap", name));
  }
}

function checkDamaged(wal: string, expected: JsonObject): void {
  const [index, term] = (expected["openedAt"] as string).split(":");
  const snap = { index: BigInt(index!), term: BigInt(term!) };
  checkView("before", wal, snap, expected["before"] as JsonObject);
  const repair = expected["repair"] as JsonObject;
  const names = new Set(fs.readdirSync(wal));
  same("repair.returned", etcdRepair(wal), repair["returned"]!);
  const broken = fs.readdirSync(wal).filter((name) => name.endsWith(".broken") && !names.has(name));
  const known = (repair["brokenFiles"] as string[] | null) ?? [];
  same(
    "repair.brokenFiles",
    broken,
    known.filter((name) => !names.has(name)),
  );
  if (expected["afterRepair"] !== undefined) {
    checkView("afterRepair", wal, snap, expected["afterRepair"] as JsonObject);
  }
}

function checkView(what: string, wal: string, snap: EtcdSnapshotId, expected: JsonObject): void {
  same(`${what}.raw`, rawScan(wal), expected["raw"]!);
  same(`${what}.openForRead`, openResult(wal, snap, false, 0), expected["openForRead"]!);
  same(`${what}.openForWrite`, openResult(wal, snap, true, 0), expected["openForWrite"]!);
  same(`${what}.verifyError`, etcdVerify(wal, snap), expected["verifyError"]!);
  checkValidSnapshots(`${what}.`, wal, expected);
}

function checkValidSnapshots(what: string, wal: string, expected: JsonObject): void {
  const { snapshots, error } = etcdValidSnapshots(wal);
  same(`${what}validSnapshotsError`, error, expected["validSnapshotsError"]!);
  same(`${what}validSnapshots`, snapshots.map(snapJson), expected["validSnapshots"]!);
}

function snapOf(json: JsonObject): EtcdSnapshotId {
  return { index: BigInt(json["index"] as string), term: BigInt(json["term"] as string) };
}

function snapJson({ index, term }: EtcdSnapshotId): JsonObject {
  return { index: `${index}`, term: `${term}` };
}

function stateJson({ term, vote, commit }: EtcdHardState): JsonObject {
  return { term: `${term}`, vote: `${vote}`, commit: `${commit}` };
}

function sha256(data: Uint8Array | string): string {
  return createHash("sha256").update(data).digest("hex");
}

// `list`: entries are given one by one up to this many.
function openResult(wal: string, snap: EtcdSnapshotId, write: boolean, list: number): JsonObject {
  const { error, metadata, hardState, entries } = etcdReadAll(wal, snap, write);
  const hex = Buffer.from(metadata).toString("hex");
  const { term, vote, commit } = hardState;
  const dump = createHash("sha256");
  dump.update(`metadata ${hex}\nhardstate term=${term} vote=${vote} commit=${commit}\n`);
  const types: JsonObject = {};
  const listed: JsonObject[] = [];
  let dataBytes = 0;
  for (const entry of entries) {
    const data = entry.data ?? new Uint8Array(0);
    const sum = sha256(data);
    dump.update(`entry ${entry.index} ${entry.term} ${entry.type} ${data.length} ${sum}\n`);
    const type = ENTRY_TYPES[entry.type] ?? `${entry.type}`;
    types[type] = ((types[type] as number | undefined) ?? 0) + 1;
    dataBytes += data.length;
    const { index, term } = entry;
    listed.push({ index: `${index}`, term: `${term}`, type: entry.type, size: data.length, sha256: sum });
  }
  const last = entries.at(-1);
  return {
    snap: snapJson(snap),
    error,
    metadataHex: hex,
    ...metadataIds(metadata),
    hardState: stateJson(hardState),
    entryCount: entries.length,
    firstIndex: `${entries[0]?.index ?? 0}`,
    lastIndex: `${last?.index ?? 0}`,
    lastTerm: `${last?.term ?? 0}`,
    entriesByType: types,
    dataBytes,
    dumpSha256: dump.digest("hex"),
    ...(entries.length > 0 && entries.length <= list ? { entries: listed } : {}),
  };
}

// etcd's metadata: NodeID = 1, ClusterID = 2, if the bytes look like that.
function metadataIds(bytes: Uint8Array): JsonObject {
  const ids = [0n, 0n, 0n];
  let at = 0;
  const varint = (): bigint | null => {
    let value = 0n;
    for (let shift = 0n; at < bytes.length && shift < 70n; shift += 7n) {
      const byte = bytes[at++]!;
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return BigInt.asUintN(64, value);
    }
    return null;
  };
  while (at < bytes.length) {
    const tag = varint();
    if (tag === null || (tag & 7n) !== 0n) return {};
    const value = varint();
    if (value === null) return {};
    if (tag >> 3n < 3n) ids[Number(tag >> 3n)] = value;
  }
  const node = { nodeId: ids[1]!.toString(16) };
  return ids[1] === 0n && ids[2] === 0n ? {} : { ...node, clusterId: ids[2]!.toString(16) };
}

/** The scan that walcheck makes: everything up to the first thing that is wrong. */
class RawScan {
  crc = 0;
  readonly dump = createHash("sha256");
  readonly counts: JsonObject = {};
  readonly snapshots: JsonObject[] = [];
  lastState: JsonObject | null = null;
  lastEntry: JsonObject | null = null;
  entries = 0;

  segment(name: string, bytes: Uint8Array): JsonObject {
    let at = 0;
    let records = 0;
    let firstCrc = "";
    let end = "";
    this.dump.update(`segment ${name}\n`);
    while (end === "") {
      const frame = at + 8 <= bytes.length ? frameAt(bytes, at) : null;
      if (at === bytes.length) end = "eof";
      else if (frame === null) end = "truncated length field";
      else if (frame.zero) end = "zero-length";
      else if (at + 8 + frame.length + frame.padding > bytes.length) end = "record runs past end of file";
      else {
        const record = recordOf(bytes.subarray(at + 8, at + 8 + frame.length));
        end = typeof record === "string" ? record : this.check(record);
        if (typeof record === "string" || end !== "") break;
        if (record.type === CRC && records === 0) firstCrc = hex8(record.crc);
        const place = `off=${at} len=${frame.length} pad=${frame.padding} crc=${hex8(record.crc)}`;
        const data = record.data ?? NO_DATA;
        this.dump.update(`record ${typeName(record.type)} ${place} data=${data.length}:${sha256(data)}\n`);
        this.count(record.type, data);
        records++;
        at += 8 + frame.length + frame.padding;
      }
    }
    return { name, size: bytes.length, validEnd: at, records, firstCrc, end };
  }

  // "", or what is wrong with its checksum. Rolls the scan's own on.
  private check(record: EtcdRecord): string {
    if (record.type === CRC) {
      if (this.crc !== 0 && record.crc !== this.crc) return "crc record mismatch";
      this.crc = record.crc;
      return "";
    }
    this.crc = crc32c(this.crc, record.data ?? NO_DATA);
    return record.crc === this.crc ? "" : "crc mismatch";
  }

  private count(type: bigint, data: Uint8Array): void {
    const name = typeName(type);
    this.counts[name] = ((this.counts[name] as number | undefined) ?? 0) + 1;
    if (type === 2n) {
      this.entries++;
      this.lastEntry = parsed(() => snapJson(decodeEntry(data))) ?? this.lastEntry;
    } else if (type === 3n) {
      this.lastState = parsed(() => stateJson(decodeState(data))) ?? this.lastState;
    } else if (type === 5n) {
      const snapshot = parsed(() => snapJson(decodeSnapshotId(data)));
      if (snapshot !== null) this.snapshots.push(snapshot);
    }
  }
}

function typeName(type: bigint): string {
  return TYPE_NAMES.get(type) ?? `type${type}`;
}

/** A record, or why its bytes are none, as the scan says it. */
function recordOf(bytes: Uint8Array): EtcdRecord | string {
  try {
    return decodeRecord(bytes);
  } catch (error) {
    if (!(error instanceof ProtoError)) throw error;
    return `bad record: ${error.message}`;
  }
}

// The scan looks at frames and records: one whose data is no message of its type is counted, and no more.
function parsed(decode: () => JsonObject): JsonObject | null {
  try {
    return decode();
  } catch (error) {
    if (!(error instanceof ProtoError)) throw error;
    return null;
  }
}

function hex8(value: number): string {
  return value.toString(16).padStart(8, "0");
}

/** What walcheck scans: it asks for two numbers, and does not ask, as etcd does, what stands behind them. */
function scannedNames(wal: string): string[] {
  const names = fs.readdirSync(wal).filter((name) => name.endsWith(".wal"));
  return names.filter((name) => /^\s*[0-9a-fA-F]{1,16}-\s*[0-9a-fA-F]/.test(name)).sort();
}

function rawScan(wal: string): JsonObject {
  const scan = new RawScan();
  const segments: JsonObject[] = [];
  let error = "";
  for (const name of scannedNames(wal)) {
    const segment = scan.segment(name, fs.readFileSync(path.join(wal, name)));
    segments.push(segment);
    if (segment["end"] === "eof" || segment["end"] === "zero-length") continue;
    error = `${name}: ${segment["end"]}`;
    break;
  }
  scan.dump.update(`end crc=${hex8(scan.crc)}\n`);
  return {
    segments,
    recordCounts: scan.counts,
    snapshotRecords: scan.snapshots,
    lastState: scan.lastState,
    entryRecords: scan.entries,
    lastEntryRecord: scan.lastEntry,
    finalCrc: hex8(scan.crc),
    error,
    rawDumpSha256: scan.dump.digest("hex"),
  };
}

function checkSnapFiles(dir: string, expected: Json[]): void {
  const actual = fs
    .readdirSync(dir)
    .sort()
    .map((name): JsonObject => {
      const bytes = fs.readFileSync(path.join(dir, name));
      const { error, crc, snapshot } = etcdReadSnap(bytes);
      const file = { name, size: bytes.length, error };
      if (snapshot === null) return file;
      const { confState, data } = snapshot;
      const texts = (ids: bigint[]): string[] => ids.map((id) => `${id}`);
      return {
        ...file,
        crc: hex8(crc),
        // What is 0 was left out.
        ...(snapshot.index !== 0n && { index: `${snapshot.index}` }),
        ...(snapshot.term !== 0n && { term: `${snapshot.term}` }),
        confState: {
          voters: texts(confState.voters),
          learners: texts(confState.learners),
          votersOutgoing: texts(confState.votersOutgoing),
          learnersNext: texts(confState.learnersNext),
          autoLeave: confState.autoLeave,
        },
        ...(data.length > 0 && { dataSize: data.length }),
        dataSha256: sha256(data),
      };
    });
  same("snapFiles", actual, expected);
}

// The calls of ops.json must make the fixture's files, names, zeros and all.
function checkWriter(codec: CodecName, ops: JsonObject[], wal: string): void {
  const [create, ...calls] = ops;
  const metadata =
    create!["nilMetadata"] === true ? null : Buffer.from(create!["metadataHex"] as string, "hex");
  const writer = new EtcdWriter(codec, metadata, create!["segmentSize"] as number);
  for (const call of calls) {
    const op = call["op"];
    if (op === "save")
      writer.save(stateOf(call["hardState"]), ((call["entries"] ?? []) as JsonObject[]).map(entryOf));
    else if (op === "saveSnapshot") writer.saveSnapshot(snapOf(call));
    else if (op === "openAndReadAll") writer.reopen(snapOf(call));
    else if (op === "close") writer.close();
    else if (op !== "releaseLockTo") throw new Error(`ops.json: unknown call ${op}`);
  }
  same(
    `ops, ${codec} codec: segments`,
    [...writer.files.keys()].sort(),
    etcdSegments(wal).map(({ name }) => name),
  );
  for (const [name, file] of writer.files) {
    const bytes = fs.readFileSync(path.join(wal, name));
    if (bytes.equals(file.bytes)) continue;
    let at = 0;
    while (at < bytes.length && bytes[at] === file.bytes[at]) at++;
    const sizes = `sizes ${file.bytes.length} and ${bytes.length}`;
    throw new Error(`ops, ${codec} codec: ${name} differs from etcd's at offset ${at} (${sizes})`);
  }
}

function stateOf(json: Json | undefined): EtcdHardState {
  const state = (json ?? { term: "0", vote: "0", commit: "0" }) as { [key: string]: string };
  return { term: BigInt(state["term"]!), vote: BigInt(state["vote"]!), commit: BigInt(state["commit"]!) };
}

function entryOf(json: JsonObject): EtcdEntry {
  const place = { type: json["type"] as number, ...snapOf(json) };
  if (json["noData"] === true) return { ...place, data: null };
  if (json["pattern"] === undefined) {
    return { ...place, data: Buffer.from((json["dataHex"] as string | undefined) ?? "", "hex") };
  }
  const [seed, size] = (json["pattern"] as string).split(":");
  const data = new Uint8Array(Number(size));
  let x = (Math.imul(Number(BigInt.asUintN(32, BigInt(seed!))), 2654435761) + 1) >>> 0;
  for (let i = 0; i < data.length; i++) {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
    data[i] = x >>> 24;
  }
  return { ...place, data };
}

/** Throws with the first difference between two values. */
function same(what: string, actual: Json, expected: Json): void {
  if (isDeepStrictEqual(actual, expected)) return;
  if (isObject(actual) && isObject(expected)) {
    for (const key of new Set([...Object.keys(expected), ...Object.keys(actual)])) {
      same(`${what}.${key}`, actual[key] ?? null, expected[key] ?? null);
    }
  } else if (Array.isArray(actual) && Array.isArray(expected)) {
    const length = Math.max(actual.length, expected.length);
    for (let i = 0; i < length; i++) same(`${what}[${i}]`, actual[i] ?? null, expected[i] ?? null);
  }
  throw new Error(`${what}: got ${brief(actual)}, expected ${brief(expected)}`);
}

function brief(value: Json): string {
  const text = JSON.stringify(value);
  return text.length <= 200 ? text : `${text.slice(0, 200)}...`;
}

function isObject(value: Json): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
