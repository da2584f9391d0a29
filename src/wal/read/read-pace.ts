// How fast lagging members get old entries while the group is at work: reading, sending, storing and applying them
// takes from the group. Each member gets as much as the group writes meanwhile, and gains on it by a set rate, or by a
// share of what the group writes if that is more. While the group commits nothing there is nothing to protect, and they
// get everything as fast as possible. Main thread.

/** What an entry counts beside its data. */
export const ENTRY_COST = 64;
/** A member gains on the group by this share of what the group writes. */
const GAIN_SHARE = 1 / 4;
/** How often it is looked how much the log grew, at most. */
const LOOK_MS = 100;
/** What one look counts against those before it; alone, if they are older than this. */
const LOOK_SHARE = 1 / 4;
const LOOK_MS_MAX = 1000;
/** A timer is late by a millisecond or two, which the next ones make up for. */
const LATE_MS = 50;

export class ReadPace {
  private readonly gainBytesPerS: number;
  /** Of the log, since the last look. */
  private grown = 0;
  private grownPerS = 0;
  private isIdle = true;
  /** At the last look. */
  private commit = 0;
  private lookedAt = Number.NEGATIVE_INFINITY;
  /** By reader: bytes that were read for it and that the pace has not made up for, as of when; performance.now(). */
  private readonly debts = new Map<number, { bytes: number; at: number }>();

  constructor(gainBytesPerS: number) {
    this.gainBytesPerS = gainBytesPerS;
  }

  /** The log has so many bytes more. */
  grew(bytes: number): void {
    // hot
    this.grown += bytes;
  }

  /** Milliseconds until more may be read for `reader`, as things are; `commit`: the group's commit index. */
  waitMs(reader: number, commit: number): number {
    const now = performance.now();
    this.look(now, commit);
    if (this.isIdle) return 0;
    return Math.max(0, (this.owed(reader, now) / this.rate) * 1000);
  }

  /** So many bytes were read for `reader`. */
  took(reader: number, bytes: number): void {
    // Of an idle group: it is not to be made up for when the group goes on.
    if (this.isIdle) {
      this.debts.delete(reader);
      return;
    }
    const at = performance.now();
    this.debts.set(reader, { bytes: this.owed(reader, at) + bytes, at });
  }

  /** Bytes a second, as the group writes now. */
  private get rate(): number {
    return this.grownPerS + Math.max(this.gainBytesPerS, this.grownPerS * GAIN_SHARE);
  }

  /** What is left of a debt is made up for at the rate of now: what the group writes may be known only since. */
  private owed(reader: number, now: number): number {
    const debt = this.debts.get(reader);
    if (debt === undefined) return 0;
    const { rate } = this;
    debt.bytes = Math.max((-rate * LATE_MS) / 1000, debt.bytes - (rate * (now - debt.at)) / 1000);
    debt.at = now;
    return debt.bytes;
  }

  private look(now: number, commit: number): void {
    const ms = now - this.lookedAt;
    if (ms < LOOK_MS) return;
    const perS = (this.grown * 1000) / ms;
    const share = ms > LOOK_MS_MAX ? 1 : LOOK_SHARE;
    this.grownPerS += (perS - this.grownPerS) * share;
    this.isIdle = commit === this.commit;
    this.grown = 0;
    this.commit = commit;
    this.lookedAt = now;
  }
}
