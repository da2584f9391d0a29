// What the tests of the log share: logs, entries, and waiting for durability without clocks.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import type { TestContext } from "node:test";
import type { WriterKind } from "../../src/node/api.js";
import {
  EMPTY_CONF_STATE,
  Entry,
  Message,
  MsgApp,
  type SnapshotMetadata,
} from "../../src/raft/raftpb/index.js";
import { RECORD_CRC, RECORD_ENTRY, RECORD_METADATA, RECORD_SNAPSHOT } from "../../src/wal/format/format.js";
import { encodeEntry, encodeSnapshotRecord, FrameBuilder } from "../../src/wal/format/record.js";
import { openWal, readWal, type Wal, type WalOptions } from "../../src/wal/index.js";
import { ByteWriter, decodeMessage, encodeMessage } from "../../src/wire/index.js";
import { atEnd } from "../temp-dir.js";

export const WRITERS: readonly WriterKind[] = ["inline-js", "inline-wasm", "pool-wasm"];

export function options(dir: string, more: Partial<WalOptions> = {}): WalOptions {
  return {
    dir: path.join(dir, "wal"),
    metadata: Uint8Array.of(8, 1, 16, 2),
    writer: "inline-wasm",
    segmentBytes: 64 << 10,
    ringBytes: 16 << 10,
    ...more,
  };
}

/** Opens, and closes when the test ends, however it ends. */
export async function open(t: TestContext, walOptions: WalOptions): Promise<Wal> {
  const wal = await openWal(walOptions);
  atEnd(t, () => wal.close());
  return wal;
}

/** Entry `index` with data that depends on term, index and size alone. */
export function entry(index: number, term = 1, size = 100): Entry {
  const data = new Uint8Array(size);
  for (let i = 0; i < size; i++) data[i] = (index * 31 + term * 7 + i) & 0xff;
  return new Entry(0, term, index, data);
}

export function run(from: number, to: number, term = 1, size = 100): Entry[] {
  const entries: Entry[] = [];
  for (let index = from; index <= to; index++) entries.push(entry(index, term, size));
  return entries;
}

/** What a log begins with, and these entries: without seals, as etcd writes it. */
export function firstFrames(metadata: Uint8Array, entries: readonly Entry[]): FrameBuilder {
  const frames = new FrameBuilder(0);
  frames.record(RECORD_CRC, null);
  frames.record(RECORD_METADATA, metadata);
  frames.record(RECORD_SNAPSHOT, encodeSnapshotRecord(0, 0, null));
  for (const each of entries) frames.record(RECORD_ENTRY, encodeEntry(each));
  return frames;
}

/** The same entries, as a follower has them of one message: a run, as far as they have data. */
export function asRun(entries: readonly Entry[]): Entry[] {
  const message = new Message(MsgApp);
  message.to = 1;
  message.entries = entries.slice();
  const writer = new ByteWriter(16);
  encodeMessage(writer, message, null);
  return decodeMessage(writer.bytes, 0, writer.pos).entries;
}

/** Resolved when `seq` was reported durable; rejected by a fault. */
export function durable(wal: Wal, seq: number): Promise<void> {
  return new Promise((resolve, reject) => {
    wal.onDurable = (reported) => {
      if (reported >= seq) resolve();
    };
    wal.onFault = reject;
  });
}

/** A snapshot's metadata. */
export function meta(index: number, term: number, voters: number[] = [1]): SnapshotMetadata {
  const confState = { ...EMPTY_CONF_STATE, voters };
  return { index, term, confState };
}

/** The state of the newest snapshot. */
export async function readState(wal: Wal): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  const stream = await wal.openSnapshot();
  assert.ok(stream !== null, "no snapshot");
  for await (const chunk of stream) chunks.push(chunk);
  const state = Buffer.concat(chunks);
  assert.equal(state.length, stream.size);
  return state;
}

/** Names of the snapshots beside the log of tempDir. */
export function snapFiles(dir: string): string[] {
  const names = fs.existsSync(path.join(dir, "snap")) ? fs.readdirSync(path.join(dir, "snap")) : [];
  return names.filter((name) => name.endsWith(".snap")).sort();
}

/** Every entry of a log that begins with entry 1, in pages of `maxSize` bytes. */
export function allEntries(wal: Wal, maxSize = 4096): Entry[] {
  assert.equal(wal.storage.firstIndex(), 1);
  return entriesFrom(wal, maxSize);
}

/** Every entry that the log still has. */
export function entriesFrom(wal: Wal, maxSize = 4096): Entry[] {
  const entries: Entry[] = [];
  const first = wal.storage.firstIndex();
  const end = wal.storage.lastIndex() + 1;
  while (first + entries.length < end) {
    const page = wal.storage.entries(first + entries.length, end, maxSize);
    assert.ok(Array.isArray(page), "entries refused");
    assert.ok(page.length > 0, "empty page");
    entries.push(...page);
  }
  return entries;
}

export function assertSameEntries(actual: readonly Entry[], expected: readonly Entry[]): void {
  assert.equal(actual.length, expected.length);
  expected.forEach((want, i) => {
    const got = actual[i]!;
    assert.equal(got.index, want.index);
    assert.equal(got.term, want.term);
    assert.equal(got.type, want.type);
    assert.equal(Buffer.compare(got.data, want.data), 0, `data of entry ${want.index}`);
  });
}

/** What readWal makes of the directory: the log after all overwrites. */
export function replay(dir: string): Entry[] {
  const log: Entry[] = [];
  for (const record of readWal(dir)) {
    if (record.type !== "entry") continue;
    log.length = record.entry.index - 1;
    log.push(record.entry);
  }
  return log;
}

/** Path of the newest segment. */
export function newestSegment(dir: string): string {
  const names = fs.readdirSync(dir).filter((name) => name.endsWith(".wal"));
  return path.join(dir, names.sort().at(-1)!);
}
