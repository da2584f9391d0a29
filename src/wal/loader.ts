// Collects what recovery finds: the runs on disk for the sparse index, and the recent entries for the cache.
import { join } from "node:path";
import { NO_DATA } from "../base/bytes.js";
import { RaftmarkError } from "../base/errors.js";
import { Entry } from "../raft/raftpb/index.js";
import { POINT_BYTES } from "./layout.js";
import { LogIndex } from "./log-index.js";
import type { WalVisitor } from "./recovery.js";

export class Loader implements WalVisitor {
  /** File names by segment number; grows with every cut. */
  readonly names: string[] = [];
  readonly index: LogIndex;
  /** The recent entries, copied out of the scanned segment. */
  recent: Entry[] = [];
  lastIndex = 0;
  private recentBytes = 0;
  private readonly cacheBytesMax: number;
  private segment = -1;
  private runOffset = 0;

  constructor(dir: string, cacheBytesMax: number) {
    this.cacheBytesMax = cacheBytesMax;
    this.index = new LogIndex((segment) => join(dir, this.names[segment]));
  }

  segmentFound(segment: number, name: string): void {
    this.names[segment] = name;
  }

  entry(borrowed: Entry, segment: number, offset: number): void {
    const { index } = borrowed;
    if (index > this.lastIndex + 1) {
      const text = `entry ${index} follows entry ${this.lastIndex}: entries in between are missing`;
      throw new RaftmarkError("WAL_CORRUPT", text);
    }
    if (index !== this.lastIndex + 1 || segment !== this.segment || offset - this.runOffset >= POINT_BYTES) {
      this.index.add(index, segment, offset);
      this.segment = segment;
      this.runOffset = offset;
    }
    if (index <= this.lastIndex) this.truncate(index);
    this.recent.push(new Entry(borrowed.type, borrowed.term, index, copyOf(borrowed.data)));
    this.recentBytes += borrowed.data.length;
    this.lastIndex = index;
    if (this.recentBytes > 2 * this.cacheBytesMax) this.trim();
  }

  private truncate(index: number): void {
    const keep = Math.max(0, this.recent.length - (this.lastIndex - index + 1));
    for (const entry of this.recent.splice(keep)) this.recentBytes -= entry.data.length;
  }

  private trim(): void {
    let drop = 0;
    while (this.recentBytes > this.cacheBytesMax && drop < this.recent.length - 1) {
      this.recentBytes -= this.recent[drop++].data.length;
    }
    this.recent.splice(0, drop);
  }
}

function copyOf(data: Uint8Array): Uint8Array {
  return data === NO_DATA ? NO_DATA : new Uint8Array(data);
}
