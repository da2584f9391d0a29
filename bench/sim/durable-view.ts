// What is durable of one node's log, read from the platter of its simulated disk by nothing but the WAL format: names
// that were synced, sectors that were synced. Apart from the engine's own bookkeeping, so that it can contradict it.
import { EMPTY_HARD_STATE, type HardState } from "../../src/raft/index.js";
import { frameAt } from "../../src/wal/format/codec-js.js";
import { crc32c } from "../../src/wal/format/crc32c.js";
import { RECORD_CRC, RECORD_ENTRY, RECORD_SNAPSHOT, RECORD_STATE } from "../../src/wal/format/format.js";
import { parseEntry, parseNumbers, recordIn } from "../../src/wal/format/record.js";
import { SimDir, type SimDisk, SimFile } from "./disk.js";

/** Directories from the disk's root to the segments. */
const WAL_PATH = ["data", "wal"];

export class DurableView {
  /** By index: the term of the entry there; 0 at index 0, nothing where the log has no entries any more. */
  readonly terms: number[] = [0];
  /** The newest one that is recorded; it stands for all in front of it. */
  snapshot = { index: 0, term: 0 };
  hardState: HardState = EMPTY_HARD_STATE;
  private readonly disk: SimDisk;
  private segment = -1;
  private file: SimFile | null = null;
  private offset = 0;
  /** The file's `stored` when it was scanned last. */
  private seen = -1;
  /** Where the next segment was looked for in vain, and its `stored` then. */
  private dir: SimDir | null = null;
  private names = -1;
  /** Rolls over all data so far: what a power loss left of a record is none. */
  private crc = -1;

  constructor(disk: SimDisk) {
    this.disk = disk;
  }

  get lastIndex(): number {
    return this.terms.length - 1;
  }

  /** Entry `index` of that term is there, or a snapshot that stands for it. */
  holds(index: number, term: number): boolean {
    return this.terms[index] === term || index <= this.snapshot.index;
  }

  /** Takes in what became durable since. */
  refresh(): void {
    this.beginAnew();
    do this.scanNew();
    while (this.findNext());
  }

  /** Its segment was released before it was read to the end: all is read again, from the first that is there. */
  private beginAnew(): void {
    const dir = this.segmentsDir();
    if (dir === null || (dir === this.dir && dir.stored === this.names)) return;
    const first = firstSegment(dir);
    if (first === Infinity || this.segment >= first) return;
    this.segment = first - 1;
    this.file = null;
    this.crc = -1;
    this.terms.length = 1;
    this.snapshot = { index: 0, term: 0 };
    this.hardState = EMPTY_HARD_STATE;
    this.dir = null;
  }

  /** Scans the file, unless its platter is as it was. */
  private scanNew(): void {
    const { file, seen } = this;
    if (file === null || file.stored === seen) return;
    this.seen = file.stored;
    this.scan(file);
  }

  /** Goes on to the next segment, if its name is there. False: nothing is new. */
  private findNext(): boolean {
    const dir = this.segmentsDir();
    if (dir === null || (dir === this.dir && dir.stored === this.names)) return false;
    const next = this.segmentIn(dir);
    if (next === null) {
      this.dir = dir;
      this.names = dir.stored;
      return false;
    }
    this.segment++;
    this.file = next;
    this.seen = -1;
    this.offset = 0;
    return true;
  }

  /** The directory of the segments; null: the platter does not have it. */
  private segmentsDir(): SimDir | null {
    let dir: SimDir = this.disk.root;
    for (const name of WAL_PATH) {
      // The root's own names count when they are synced, too.
      const below = dir.durable.get(name);
      if (!(below instanceof SimDir)) return null;
      dir = below;
    }
    return dir;
  }

  private segmentIn(dir: SimDir): SimFile | null {
    const prefix = `${(this.segment + 1).toString(16).padStart(16, "0")}-`;
    for (const [name, node] of dir.durable) {
      if (name.startsWith(prefix) && name.endsWith(".wal") && node instanceof SimFile) return node;
    }
    return null;
  }

  private scan({ durable, durableSize }: SimFile): void {
    while (this.offset + 8 <= durableSize) {
      const frame = frameAt(durable, this.offset);
      const start = this.offset + 8;
      const end = start + frame.length;
      if (frame.zero || end + frame.padding > durableSize) return;
      const record = recordIn(durable, start, end);
      if (record === null) return;
      const { type, dataStart, dataEnd } = record;
      // One that is used again may still have what it had as another.
      if (this.offset === 0 && this.crc >= 0 && record.crc !== this.crc) return;
      const crc = type === RECORD_CRC ? record.crc : crc32c(this.crc, durable.subarray(dataStart, dataEnd));
      if (crc !== record.crc) return;
      this.crc = crc;
      if (type === RECORD_ENTRY) {
        const { index, term } = parseEntry(durable, dataStart, dataEnd);
        this.terms.length = index;
        this.terms.push(term);
      } else if (type === RECORD_SNAPSHOT) {
        const [index, term] = parseNumbers(durable, dataStart, dataEnd);
        if (index > this.snapshot.index) this.snapshot = { index, term };
        // Of another log than this one, it takes its place; one from before the first segment that is left does not.
        const isBehind = this.terms[index] === undefined && index < this.terms.length;
        if (!isBehind && this.terms[index] !== term) {
          this.terms.length = index;
          this.terms.push(term);
        }
      } else if (type === RECORD_STATE) {
        const [term, vote, commit] = parseNumbers(durable, dataStart, dataEnd);
        this.hardState = { term, vote, commit };
      }
      this.offset = end + frame.padding;
    }
  }
}

/**
 * Where the last seal but one of a segment begins: behind it is the last write that was acknowledged, and a sector of
 * zeros there, or in the seal before it, is what a power loss leaves of a write that was not (docs/reliability.md).
 */
export function settledBytes({ durable, durableSize }: SimFile): number {
  const seals = [0, 0];
  for (let at = 0; at + 8 <= durableSize; ) {
    const frame = frameAt(durable, at);
    const end = at + 8 + frame.length;
    const record = frame.zero || end > durableSize ? null : recordIn(durable, at + 8, end);
    if (record === null) break;
    if (record.type === RECORD_CRC) seals.push(at);
    at = end + frame.padding;
  }
  return seals.at(-2)!;
}

/** Its number; Infinity: there is none. */
function firstSegment(dir: SimDir): number {
  let first = Infinity;
  for (const name of dir.durable.keys()) {
    if (/^[0-9a-f]{16}-.*\.wal$/.test(name)) first = Math.min(first, Number.parseInt(name.slice(0, 16), 16));
  }
  return first;
}
