// Was a run alone on the machine? By what other programs took of the CPU within its window, and by what a durable write
// cost just before and after it. A disturbed run is done again or left out: what disturbs one run of a round and not
// another looks like a difference between configurations. Knows nothing of rounds and verdicts.
import { median } from "simple-statistics";
import type { Run } from "../report/result-schema.js";
import { probeDisk } from "./environment.js";

/** From this share of all cores on, other programs can have changed the order of the rows. */
export const DISTURBED_SHARE = 0.1;
/** Less is not worth a word. */
export const STOLEN_TOLD_SHARE = 0.01;
/** The disk has moved when a write takes so many times as long as it did lately, or a part as small; */
const MOVED_FACTOR = 2;
/** and when that is more than this: in memory, twice of nothing is nothing. */
const MOVED_US_MIN = 50;
/** How many probes make "lately": the machine's hour may change, and then it is the new one that counts. */
const PROBES_KEPT = 9;
const PROBE = { writes: 50, msMax: 300 } as const;

/** The disk between the runs: one brief probe before the first and after each. */
export class DiskWatch {
  private readonly dir: string;
  private readonly recent: number[] = [];
  private lastUs = 0;

  private constructor(dir: string) {
    this.dir = dir;
  }

  static async start(dir: string): Promise<DiskWatch> {
    const watch = new DiskWatch(dir);
    await watch.probe();
    return watch;
  }

  /** After a run: what a write cost before and after it, and why that makes it a disturbed one; empty: it does not. */
  async afterRun(): Promise<{
    readonly diskProbeUs: NonNullable<Run["diskProbeUs"]>;
    readonly why: string[];
  }> {
    const before = this.lastUs;
    const usualUs = median(this.recent);
    await this.probe();
    const diskProbeUs = { before, after: this.lastUs };
    return { diskProbeUs, why: diskMoved(diskProbeUs, usualUs) };
  }

  private async probe(): Promise<void> {
    const { p50Us } = await probeDisk(this.dir, PROBE);
    this.lastUs = p50Us;
    this.recent.push(p50Us);
    if (this.recent.length > PROBES_KEPT) this.recent.shift();
  }
}

/** Why the disk disturbed a run; `usualUs` is what a write took lately. */
export function diskMoved({ before, after }: NonNullable<Run["diskProbeUs"]>, usualUs: number): string[] {
  const off = (us: number) =>
    Math.abs(us - usualUs) >= MOVED_US_MIN && Math.max(us / usualUs, usualUs / us) >= MOVED_FACTOR;
  if (!off(before) && !off(after)) return [];
  return [`a durable write took ${before} µs before it and ${after} µs after it, and ${usualUs} µs lately`];
}

/** Why other programs, or the neighbours of a virtual machine, disturbed a run; `stolenShare` is a part of `otherShare`. */
export function cpuTaken(otherShare: number, stolenShare = 0): string[] {
  if (otherShare < DISTURBED_SHARE) return [];
  return [`other programs took ${takenText(otherShare, stolenShare)} of the CPU`];
}

/** "12 %", "12 % (5 % of it stolen by the host of this virtual machine)". */
export function takenText(otherShare: number, stolenShare: number): string {
  const percent = (share: number) => `${Math.round(share * 100)} %`;
  if (stolenShare < STOLEN_TOLD_SHARE) return percent(otherShare);
  return `${percent(otherShare)} (${percent(stolenShare)} by the host of this virtual machine: steal)`;
}
