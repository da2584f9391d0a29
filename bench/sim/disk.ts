// A simulated disk: files of sectors and directories of names, each as the running system sees it and as a power loss
// would leave it. What was written and not synced survives one sector at a time, or not; names survive in the order in
// which they were made, up to some point. Knows no time and no process; disk-fs.ts puts Node's calls on top.
import type { Dice } from "./dice.js";

/** What a disk writes as a whole (WAL-FORMAT: a torn write shows as pieces of this size). */
export const SECTOR = 512;
const FILE_BYTES_START = 4096;

/** What one sync makes durable: all that was written between two places when it began. */
export interface SyncPoint {
  readonly stamp: number;
  readonly size: number;
  readonly shrunkTo: number;
  readonly from: number;
  readonly to: number;
}

let files = 0;

export class SimFile {
  readonly ino = ++files;
  size = 0;
  /** What the running system sees, and what is on the platter. Both grow together; behind the size they are zeros. */
  bytes = new Uint8Array(FILE_BYTES_START);
  durable = new Uint8Array(FILE_BYTES_START);
  durableSize = 0;
  /** How often what is on the platter changed. */
  stored = 0;
  /** Sectors written since they were synced, with the stamp of their last write. */
  private readonly dirty = new Map<number, number>();
  private stamp = 0;
  /** The least size since the last sync: what was behind it is to become zeros. */
  private shrunkTo = Infinity;
  /** Sectors that have blocks; the others are holes. */
  private readonly allocated = new Set<number>();

  get blocks(): number {
    return this.allocated.size;
  }

  write(from: Uint8Array, position: number): void {
    const end = position + from.length;
    this.reserve(end);
    this.bytes.set(from, position);
    if (end > this.size) this.size = end;
    this.stamp++;
    for (let sector = Math.floor(position / SECTOR); sector * SECTOR < end; sector++) {
      this.dirty.set(sector, this.stamp);
      this.allocated.add(sector);
    }
  }

  /** Copies to `into` what is at `position`; returns how much there was. */
  read(into: Uint8Array, position: number): number {
    const bytes = Math.max(0, Math.min(into.length, this.size - position));
    into.set(this.bytes.subarray(position, position + bytes));
    return bytes;
  }

  truncate(size: number): void {
    this.reserve(size);
    if (size < this.size) {
      this.bytes.fill(0, size, this.size);
      this.shrunkTo = Math.min(this.shrunkTo, size);
      for (const of of [this.dirty, this.allocated]) {
        for (const sector of of.keys()) if (sector * SECTOR >= size) of.delete(sector);
      }
      // The sector that the file now ends in lost its end.
      if (size % SECTOR !== 0) this.dirty.set(Math.floor(size / SECTOR), ++this.stamp);
    }
    this.size = size;
  }

  /** A sync begins; or a write of bytes [from, to) that waits for the disk, which says nothing of others. */
  beginSync(from = 0, to = Infinity): SyncPoint {
    return { stamp: this.stamp, size: this.size, shrunkTo: this.shrunkTo, from, to };
  }

  endSync({ stamp, size, shrunkTo, from, to }: SyncPoint): void {
    this.stored++;
    this.shrink(shrunkTo);
    if (this.shrunkTo === shrunkTo) this.shrunkTo = Infinity;
    this.durableSize = size;
    for (const [sector, written] of this.dirty) {
      if ((sector + 1) * SECTOR <= from || sector * SECTOR >= to) continue;
      this.store(sector);
      // Written again meanwhile: the newer content may go, the older is safe.
      if (written <= stamp) this.dirty.delete(sector);
    }
  }

  /** The sync failed: the system takes for clean what may never have been written. */
  failSync(dice: Dice): void {
    this.stored++;
    for (const sector of this.dirty.keys()) if (dice.chance(0.5)) this.store(sector);
    this.dirty.clear();
  }

  /** The power went: each sector of what was not synced is there or not, `kept` being the share that is. */
  powerLoss(dice: Dice, kept: number): void {
    this.stored++;
    if (dice.chance(kept)) this.shrink(this.shrunkTo);
    if (this.size !== this.durableSize && dice.chance(kept)) {
      this.durableSize = this.size;
    }
    for (const sector of this.dirty.keys()) if (dice.chance(kept)) this.store(sector);
    this.durable.fill(0, this.durableSize);
    this.dirty.clear();
    this.shrunkTo = Infinity;
    this.size = this.durableSize;
    this.bytes.set(this.durable);
  }

  /** Changes one bit where it lies. */
  flipBit(bit: number): void {
    this.stored++;
    this.durable[bit >> 3] ^= 1 << (bit & 7);
    this.bytes[bit >> 3] ^= 1 << (bit & 7);
  }

  /** Sectors of it that have something on them, and end at `end` or before it. */
  writtenSectors(end: number): number[] {
    const written: number[] = [];
    for (let at = 0; (at + 1) * SECTOR <= end; at++) {
      if (this.durable.subarray(at * SECTOR, (at + 1) * SECTOR).some((byte) => byte !== 0)) written.push(at);
    }
    return written;
  }

  /** What was to go to one sector went to another, long ago. */
  misdirect(from: number, to: number): void {
    this.stored++;
    for (const bytes of [this.durable, this.bytes]) {
      bytes.copyWithin(to * SECTOR, from * SECTOR, (from + 1) * SECTOR);
      bytes.fill(0, from * SECTOR, (from + 1) * SECTOR);
    }
  }

  private store(sector: number): void {
    const from = sector * SECTOR;
    this.durable.set(this.bytes.subarray(from, from + SECTOR), from);
  }

  private shrink(to: number): void {
    if (to < this.durableSize) this.durable.fill(0, to, this.durableSize);
  }

  private reserve(bytes: number): void {
    if (bytes <= this.bytes.length) return;
    const length = Math.ceil(Math.max(bytes, 2 * this.bytes.length) / SECTOR) * SECTOR;
    for (const name of ["bytes", "durable"] as const) {
      const larger = new Uint8Array(length);
      larger.set(this[name]);
      this[name] = larger;
    }
  }
}

export type SimNode = SimFile | SimDir;

/** Names that change in one step: a rename is two. Null: the name goes. */
type NameChange = readonly (readonly [name: string, node: SimNode | null])[];

export class SimDir {
  readonly ino = ++files;
  /** How often. */
  changed = 0;
  /** As the running system sees it. */
  entries = new Map<string, SimNode>();
  /** What a power loss now would leave at least. */
  readonly durable = new Map<string, SimNode>();
  /** How often names on the platter changed. */
  stored = 0;
  /** Not synced yet, oldest first. */
  private changes: NameChange[] = [];

  change(change: NameChange): void {
    apply(this.entries, change);
    this.changed++;
    this.changes.push(change);
  }

  beginSync(): NameChange | null {
    return this.changes[this.changes.length - 1] ?? null;
  }

  endSync(last: NameChange | null): void {
    if (last === null) return;
    this.stored++;
    const count = this.changes.indexOf(last) + 1;
    for (const change of this.changes.splice(0, count)) apply(this.durable, change);
  }

  /** The power went: of the changes that were not synced the first few are there. */
  powerLoss(dice: Dice, kept: number): void {
    this.stored++;
    const count =
      kept === 1 ? this.changes.length : Math.floor(dice.share() * kept * (this.changes.length + 1));
    for (const change of this.changes.splice(0, count)) apply(this.durable, change);
    this.changes = [];
    this.entries = new Map(this.durable);
    for (const node of this.entries.values()) node.powerLoss(dice, kept);
  }
}

function apply(names: Map<string, SimNode>, change: NameChange): void {
  for (const [name, node] of change) {
    if (node === null) names.delete(name);
    else names.set(name, node);
  }
}

/** Of one node: what is left of it when its process ends. */
export class SimDisk {
  /** Its name is durable: somebody mounted it. */
  root = new SimDir();

  /** The file at `path` as a power loss would leave it; null: there is none for sure. */
  durableText(path: string): string | null {
    let node: SimNode = this.root;
    for (const name of path.split("/")) {
      const below: SimNode | undefined = node instanceof SimDir ? node.durable.get(name) : undefined;
      if (below === undefined) return null;
      node = below;
    }
    if (node instanceof SimDir) return null;
    return Buffer.from(node.durable.subarray(0, node.durableSize)).toString();
  }

  /** The node at `path` ("a/b"); null: there is none. */
  find(path: string): SimNode | null {
    let node: SimNode = this.root;
    for (const name of path.split("/")) {
      if (name === "") continue;
      if (!(node instanceof SimDir)) return null;
      const next = node.entries.get(name);
      if (next === undefined) return null;
      node = next;
    }
    return node;
  }

  powerLoss(dice: Dice): void {
    const kind = dice.below(4);
    this.root.powerLoss(dice, kind === 0 ? 0 : kind === 1 ? 1 : dice.share());
  }

  /** Another disk in its place: everything is gone. */
  wipe(): void {
    this.root = new SimDir();
  }

  /** All files with their paths, sorted. */
  files(): [path: string, file: SimFile][] {
    const found: [string, SimFile][] = [];
    const walk = (dir: SimDir, path: string): void => {
      for (const [name, node] of dir.entries) {
        if (node instanceof SimDir) walk(node, `${path}${name}/`);
        else found.push([path + name, node]);
      }
    };
    walk(this.root, "");
    return found.sort(([a], [b]) => (a < b ? -1 : 1));
  }
}
