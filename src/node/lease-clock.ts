// The clock of a leader's lease: time that passed for others, too, while this process, or its host, stood still.

/**
 * The wall clock steps in milliseconds; less than this is no suspension. A lease does not hold what passes unnoticed, so
 * that it is little: 20 ms, as it was, let a lease of short ticks outlive the promise that it rests on. Where the thread
 * stands still between the two readings, time counts twice, and the lease ends early.
 */
const SLACK_MS = 2;

/**
 * Milliseconds since it was made, which never fall. CLOCK_MONOTONIC goes on while a process is stopped, but not while
 * its host is suspended; the wall clock does, and may be set. Of the two the one counts that went further: a wall clock
 * that was set forward ends a lease early, and no harm is done.
 */
export class LeaseClock {
  private readonly monotonicMs: () => number;
  private readonly wallMs: () => number;
  private readonly start: number;
  /** The least that wall time was ahead of monotonic time since a suspension was seen last. */
  private ahead: number;
  private suspendedMs = 0;

  constructor(monotonicMs: () => number = () => performance.now(), wallMs: () => number = () => Date.now()) {
    this.monotonicMs = monotonicMs;
    this.wallMs = wallMs;
    this.start = monotonicMs();
    this.ahead = wallMs() - this.start;
  }

  elapsedMs(): number {
    const now = this.monotonicMs();
    const ahead = this.wallMs() - now;
    if (ahead > this.ahead + SLACK_MS) {
      this.suspendedMs += ahead - this.ahead;
      this.ahead = ahead;
    } else if (ahead < this.ahead) {
      this.ahead = ahead;
    }
    return now - this.start + this.suspendedMs;
  }
}
