// How late the event loop comes to what is due: for whoever asks, and only as long as somebody does. libuv measures, in C++.
// Main thread.
import { type IntervalHistogram, monitorEventLoopDelay } from "node:perf_hooks";
import type { LoopDelay } from "./api.js";

/** Two histograms are begun anew in turn, so that the older one always has the last 30 s at least. */
const WINDOW_MS = 30_000;
/** Nobody asked for so long: nothing is measured until somebody does. */
const FORGET_MS = 5 * 60_000;
/** A timer of 20 ms takes 0.3 % of a core, one of 10 ms twice that. */
const RESOLUTION_MS = 20;

const NOTHING: LoopDelay = { meanMs: 0, p99Ms: 0, maxMs: 0 };

export class LoopDelayWatch {
  private readonly now: () => number;
  /** The older one first; empty: nobody asks. */
  private histograms: IntervalHistogram[] = [];
  private begunAt = 0;
  private forget: NodeJS.Timeout | null = null;
  private ended = false;

  /** `now`: milliseconds, never falling. */
  constructor(now: () => number = () => performance.now()) {
    this.now = now;
  }

  /** Of the last 30 s and up to as long again, or since the last call if that is longer ago; all 0 at the first. */
  read(): LoopDelay {
    if (this.ended) return NOTHING;
    if (this.forget === null) this.begin();
    else this.forget.refresh();
    const [older] = this.histograms;
    const delay = older!.count === 0 ? NOTHING : delayOf(older!);
    if (this.now() - this.begunAt >= WINDOW_MS) {
      this.begunAt = this.now();
      older!.reset();
      this.histograms.reverse();
    }
    return delay;
  }

  private begin(): void {
    this.histograms = [0, 1].map(() => monitorEventLoopDelay({ resolution: RESOLUTION_MS }));
    for (const histogram of this.histograms) histogram.enable();
    this.begunAt = this.now();
    this.forget = setTimeout(() => this.stop(), FORGET_MS);
    this.forget.unref();
  }

  private stop(): void {
    if (this.forget !== null) clearTimeout(this.forget);
    this.forget = null;
    for (const histogram of this.histograms.splice(0)) histogram.disable();
  }

  /** The node ends. */
  end(): void {
    this.ended = true;
    this.stop();
  }
}

// What is measured is the time from one sample to the next.
function delayOf(histogram: IntervalHistogram): LoopDelay {
  const ms = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e6 - RESOLUTION_MS);
  return { meanMs: ms(histogram.mean), p99Ms: ms(histogram.percentile(99)), maxMs: ms(histogram.max) };
}
