// Logs whose records are sound one by one: what the tools say of them is what the engine does.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { verdictText, verifyLog } from "../../../src/cli/wal-verify.js";
import {
  RECORD_CRC,
  RECORD_METADATA,
  RECORD_SNAPSHOT,
  RECORD_STATE,
} from "../../../src/wal/format/format.js";
import { encodeSnapshotRecord, FrameBuilder } from "../../../src/wal/format/record.js";
import { openWal, readWal, type WalOptions } from "../../../src/wal/index.js";
import { findLog } from "../../../src/wal/inspect/log-place.js";
import { tempDir } from "../../temp-dir.js";
import { durable, run as entries, firstFrames, open, options } from "../helpers.js";

const FIRST = "0000000000000000-0000000000000000.wal";
const SECOND = "0000000000000001-0000000000000004.wal";
const sink = { isTTY: false, write: () => true };

function written(t: TestContext, segments: Readonly<Record<string, Uint8Array>>): WalOptions {
  const walOptions = options(tempDir(t));
  fs.mkdirSync(walOptions.dir);
  for (const [name, bytes] of Object.entries(segments))
    fs.writeFileSync(path.join(walOptions.dir, name), bytes);
  return walOptions;
}

async function bothRefuse(walOptions: WalOptions, file: string, what: RegExp): Promise<void> {
  await assert.rejects(openWal(walOptions), (error: Error) => what.test(error.message));
  const { sound, log } = await verifyLog(findLog(walOptions.dir), { threads: 1, snap: null }, sink);
  assert.equal(sound, false);
  assert.equal(log.findings.length, 1);
  assert.equal(log.findings[0].file, file);
  assert.match(log.findings[0].what, what);
  assert.equal(log.findings[0].torn, false);
}

test("a snapshot of another term replaced the log: committed entries behind it are missing", async (t) => {
  const frames = firstFrames(new Uint8Array(0), entries(1, 3));
  frames.record(RECORD_SNAPSHOT, encodeSnapshotRecord(1, 2, null));
  frames.record(RECORD_STATE, Uint8Array.of(8, 2, 16, 1, 24, 3));
  await bothRefuse(written(t, { [FIRST]: frames.take() }), FIRST, /^.*entries 2 to 3 are missing/);
});

test("a snapshot of another term replaced the log, and its file is missing: sound when the caller names it", async (t) => {
  const frames = firstFrames(new Uint8Array(0), entries(1, 3));
  frames.record(RECORD_SNAPSHOT, encodeSnapshotRecord(3, 2, null));
  frames.record(RECORD_STATE, Uint8Array.of(8, 2, 16, 1, 24, 3));
  const walOptions = written(t, { [FIRST]: frames.take() });
  await bothRefuse(walOptions, "snap", /needs a snapshot at entry 3 or later, and those in .* are missing/);
  const place = findLog(walOptions.dir);
  const named = await verifyLog(place, { threads: 1, snap: { index: 3n, term: 2n } }, sink);
  assert.equal(named.sound, true);
  const verdict = await verifyLog(place, { threads: 1, snap: null }, sink);
  assert.match(verdictText(verdict), /next: if a snapshot .* lies elsewhere .* --snap 3:2$/m);
});

test("a wrong length of the first record of the newest segment is no torn write", async (t) => {
  const frames = firstFrames(new Uint8Array(0), entries(1, 3));
  const { crc } = frames;
  const first = frames.take();
  const next = new FrameBuilder(crc);
  next.record(RECORD_CRC, null);
  next.record(RECORD_METADATA, new Uint8Array(0));
  const second = next.take();
  second[4] ^= 1;
  await bothRefuse(written(t, { [FIRST]: first, [SECOND]: second }), SECOND, /its length is wrong/);
});

test("of a log that is written while it is read, nothing is said of the newest segment", async (t) => {
  const walOptions = options(tempDir(t));
  const wal = await open(t, walOptions);
  await durable(wal, wal.append(null, entries(1, 500)));
  await durable(wal, wal.append(null, entries(501, 1000)));
  await wal.close();
  const [first, ...others] = findLog(walOptions.dir).segments.map(({ name }) =>
    path.join(walOptions.dir, name),
  );
  for (const other of others) fs.renameSync(other, `${other}.later`);
  const place = findLog(walOptions.dir);
  assert.match(verdictText(await verifyLog(place, { threads: 1, snap: null }, sink)), /it was closed, which/);
  const verifying = verifyLog(place, { threads: 1, snap: null }, sink);
  for (const other of others) fs.renameSync(`${other}.later`, other);
  fs.utimesSync(first, 1, 1);
  const text = verdictText(await verifying);
  assert.match(text, /note: the log was written while it was read: nothing is said of .*\nsound\n$/);
  assert.doesNotMatch(text, /etcd takes/);
});

test("readWal: a number that is too large for us has a place and a code", (t) => {
  const frames = firstFrames(new Uint8Array(0), []);
  frames.record(RECORD_STATE, Uint8Array.of(8, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10, 16, 1, 24, 0));
  const { dir } = written(t, { [FIRST]: frames.take() });
  const message = /record 4 of this segment\): a term or index above 2\^53-1/;
  assert.throws(() => [...readWal(dir)], { code: "WAL_CORRUPT", message });
});

test("a directory that holds something else is told as such, not as one without write access", async (t) => {
  const walOptions = written(t, { notes: new Uint8Array(1) });
  const message = /^there is no log in .*, but something else; move it elsewhere/;
  await assert.rejects(openWal(walOptions), { code: "WAL_NOT_WRITABLE", message });
});

test("segments that a running node releases while they are read: what is left is judged; where they always are, that is said", async (t) => {
  const walOptions = options(tempDir(t), { segmentBytes: 4096 });
  const wal = await open(t, walOptions);
  for (let from = 1; from <= 100; from += 10) wal.append(null, entries(from, from + 9, 1, 500));
  await wal.close();
  const place = findLog(walOptions.dir);
  const snap = { index: 100n, term: 1n };
  fs.rmSync(path.join(walOptions.dir, place.segments[0].name));
  const { sound, place: read, log } = await verifyLog(place, { threads: 1, snap }, sink);
  assert.deepEqual([sound, log.released, read.segments], [true, true, place.segments.slice(1)]);
  // A node that is faster each time.
  const { statSync } = fs;
  t.mock.method(fs, "statSync", (file: string, ...more: []) => {
    if (file.endsWith(".wal")) fs.rmSync(path.join(walOptions.dir, fs.readdirSync(walOptions.dir).sort()[0]));
    return statSync(file, ...more);
  });
  const message = /removes files of .* sooner than they are read: ask again/;
  await assert.rejects(verifyLog(read, { threads: 1, snap }, sink), { exitCode: 2, message });
});
