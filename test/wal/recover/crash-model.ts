// What the tests of crash points know by themselves: a disk that replays recorded operations, and the log's records
// with the state behind each, read off the written bytes by the plain parsers.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import type { Entry, HardState } from "../../../src/raft/raftpb/index.js";
import { frameAt } from "../../../src/wal/format/codec-js.js";
import { crc32c } from "../../../src/wal/format/crc32c.js";
import { RECORD_CRC, RECORD_ENTRY, RECORD_SNAPSHOT, RECORD_STATE } from "../../../src/wal/format/format.js";
import { parseEntry, parseNumbers, parseRecord } from "../../../src/wal/format/record.js";
import type { Op } from "../recording-fs.js";

/** A file of the modelled disk. */
export interface ModelFile {
  /** Its content; longer than `size` at times, and zero there. */
  bytes: Uint8Array;
  size: number;
  name: string;
}

const SEGMENT = /^wal\/.*\.wal$/;

/** The files of a node's directory after the operations so far, by their names from there on. */
export class ModelDisk {
  readonly files = new Map<string, ModelFile>();
  /** Changed since `writeTo` last ran. */
  private readonly changed = new Set<string>();
  private readonly open = new Map<number, ModelFile>();
  /** Names given since the directory was synced last: a power loss may take them back. */
  private named: { from: string; to: string }[] = [];
  private readonly root: string;

  /** Begins with what `root` holds now. */
  constructor(root: string) {
    this.root = root;
    for (const name of filesBelow(root)) {
      const bytes = new Uint8Array(fs.readFileSync(path.join(root, name)));
      this.files.set(name, { bytes, size: bytes.length, name });
      this.changed.add(name);
    }
  }

  apply(op: Op): void {
    if (op.kind === "open") this.opened(op.fd, this.nameOf(op.path), op.flags);
    else if (op.kind === "close") this.open.delete(op.fd);
    else if (op.kind === "rename") {
      this.named.push({ from: this.nameOf(op.from), to: this.nameOf(op.to) });
      this.renamed(this.nameOf(op.from), this.nameOf(op.to));
    } else if (op.kind === "syncDir") this.named = [];
    else if (op.kind === "unlink") {
      this.files.delete(this.nameOf(op.path));
      this.changed.add(this.nameOf(op.path));
    } else if (op.kind === "write" || op.kind === "truncate") {
      const file = this.fileOf(op.fd);
      if (op.kind === "truncate") this.resize(file, op.bytes);
      else {
        this.resize(file, Math.max(file.size, op.position + op.bytes.length));
        file.bytes.set(op.bytes, op.position);
      }
      this.changed.add(file.name);
    }
  }

  private nameOf(file: string): string {
    return path.relative(this.root, file);
  }

  fileOf(fd: number): ModelFile {
    const file = this.open.get(fd);
    assert.ok(file !== undefined, `no open file ${fd}`);
    return file;
  }

  /** The segments, oldest first. */
  segments(): ModelFile[] {
    const names = [...this.files.keys()].filter((name) => SEGMENT.test(name)).sort();
    return names.map((name) => this.files.get(name)!);
  }

  newest(): ModelFile {
    return this.segments().at(-1)!;
  }

  private opened(fd: number, name: string, flags: number): void {
    let file = this.files.get(name);
    if (file === undefined) {
      file = { bytes: new Uint8Array(0), size: 0, name };
      this.files.set(name, file);
    }
    if ((flags & fs.constants.O_TRUNC) !== 0) this.resize(file, 0);
    this.open.set(fd, file);
    this.changed.add(name);
  }

  private renamed(from: string, to: string): void {
    const file = this.files.get(from)!;
    this.files.delete(from);
    file.name = to;
    this.files.set(to, file);
    this.changed.add(from).add(to);
  }

  /** Segments by the names that a power loss may leave them; call the result to give them their own again. */
  withoutNewNames(): (() => void) | null {
    const taken = this.named.filter(({ to }) => SEGMENT.test(to));
    if (taken.length === 0) return null;
    for (const { from, to } of taken) this.renamed(to, from);
    return () => {
      for (const { from, to } of taken) this.renamed(from, to);
    };
  }

  private resize(file: ModelFile, size: number): void {
    if (size < file.size) file.bytes.fill(0, size);
    if (size > file.bytes.length) {
      const bytes = new Uint8Array(size);
      bytes.set(file.bytes);
      file.bytes = bytes;
    }
    file.size = size;
  }

  /** Makes `root` hold the model's files, the newest segment with `content` instead of its own; nothing else. */
  writeTo(root: string, content: Uint8Array): void {
    const newest = this.newest().name;
    for (const name of filesBelow(root)) if (!this.files.has(name)) fs.rmSync(path.join(root, name));
    for (const name of this.changed) {
      const file = this.files.get(name);
      if (file === undefined) continue;
      fs.mkdirSync(path.join(root, path.dirname(name)), { recursive: true });
      fs.writeFileSync(path.join(root, name), file.bytes.subarray(0, file.size));
    }
    this.changed.clear();
    fs.writeFileSync(path.join(root, newest), content);
    // Whoever opens it changes these.
    for (const { name } of this.segments().slice(-2)) this.changed.add(name);
    for (const name of this.files.keys()) if (name.endsWith(".tmp")) this.changed.add(name);
  }
}

/** Names of the files in the directories of `root`. */
function filesBelow(root: string): string[] {
  const names = fs.readdirSync(root, { recursive: true, withFileTypes: true });
  return names
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(root, path.join(entry.parentPath, entry.name)));
}

/** The log behind a record. */
export interface Behind {
  /** Rolling CRC: over the data of every record so far. */
  readonly crc: number;
  readonly lastIndex: number;
  readonly lastTerm: number;
  readonly hardState: HardState;
  /** How many of the log's records this is. */
  readonly records: number;
}

/** The log's records in the order in which they were written, and the state behind each by its place. */
export class Golden {
  readonly records: (Entry | HardState | null)[] = [];
  /** By the number of records: index of the last snapshot recorded; 0: none. */
  readonly snapshots: number[] = [0];
  private readonly places = new Map<string, Map<number, Behind>>();
  /** By the number of records. */
  readonly behinds: Behind[] = [];
  private behind: Behind = {
    crc: 0,
    lastIndex: 0,
    lastTerm: 0,
    hardState: { term: 0, vote: 0, commit: 0 },
    records: 0,
  };

  /** Takes in what one write added at `from` of a segment. */
  add(segment: string, bytes: Uint8Array, from: number, to: number): void {
    const places = this.placesOf(segment);
    if (from === 0) places.set(0, this.behind);
    for (let at = from; at < to; ) {
      const frame = frameAt(bytes, at);
      const record = parseRecord(bytes, at + 8, at + 8 + frame.length);
      const data = bytes.slice(record.dataStart, record.dataEnd);
      let { lastIndex, lastTerm, hardState } = this.behind;
      let item: Entry | HardState | null = null;
      if (record.type === RECORD_ENTRY) {
        item = parseEntry(data, 0, data.length);
        lastIndex = item.index;
        lastTerm = item.term;
      } else if (record.type === RECORD_STATE) {
        const [term, vote, commit] = parseNumbers(data, 0, data.length);
        hardState = { term, vote, commit };
        item = hardState;
      }
      const crc = record.type === RECORD_CRC ? this.behind.crc : crc32c(this.behind.crc, data);
      assert.equal(crc, record.crc, `the recorded write at ${from} of ${segment} has a wrong CRC`);
      let snapshot = this.snapshots[this.records.length]!;
      if (record.type === RECORD_SNAPSHOT) snapshot = parseNumbers(data, 0, data.length)[0];
      this.records.push(item);
      this.snapshots.push(snapshot);
      this.behind = { crc, lastIndex, lastTerm, hardState, records: this.records.length };
      at += 8 + frame.length + frame.padding;
      assert.ok(at <= to, `the recorded write at ${from} of ${segment} ends inside a record`);
      places.set(at, this.behind);
      this.behinds[this.records.length] = this.behind;
    }
  }

  private placesOf(segment: string): Map<number, Behind> {
    let places = this.places.get(segment);
    if (places === undefined) {
      places = new Map();
      this.places.set(segment, places);
    }
    return places;
  }

  /** The state behind the record that ends at `offset`; undefined: none does. */
  at(segment: string, offset: number): Behind | undefined {
    return this.places.get(segment)?.get(offset);
  }

  /** The entries of the log behind its first `records` records, from `first` on. */
  entries(records: number, first: number): Entry[] {
    const log: Entry[] = [];
    for (let i = 0; i < records; i++) {
      const item = this.records[i]!;
      if (item === null || !("index" in item)) continue;
      log.length = item.index - 1;
      log.push(item);
    }
    return log.slice(first - 1);
  }
}
