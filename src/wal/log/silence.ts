// How long the disk has owed an answer, measured by looking at it again and again.

/** Of one kind of request. */
export class Silence {
  private lookedAt = 0;
  private since = 0;
  private ms = 0;

  /**
   * Milliseconds; 0 if nothing is owed. `since`: when what is owed was asked for, or another answer came last;
   * Infinity: nothing is owed. Of the time between two looks at most `gapMsMax` counts.
   */
  measure(now: number, since: number, gapMsMax: number): number {
    const { lookedAt } = this;
    this.lookedAt = now;
    if (since === Number.POSITIVE_INFINITY) return 0;
    if (since !== this.since) {
      this.since = since;
      this.ms = 0;
    }
    this.ms += Math.min(now - Math.max(since, lookedAt), gapMsMax);
    return this.ms;
  }
}
