// So many bytes a second, for all who share it. Main thread.

const LATE_MS = 50;

export class Pace {
  private readonly bytesPerS: number;
  /** When the next may go; performance.now(). */
  private free = 0;

  constructor(bytesPerS: number) {
    this.bytesPerS = bytesPerS;
  }

  /** Resolves when `bytes` may go, in the order of the calls. */
  async wait(bytes: number): Promise<void> {
    const now = performance.now();
    // A timer is late by a millisecond or two, which the next ones make up for.
    const at = Math.max(now - LATE_MS, this.free);
    this.free = at + (bytes / this.bytesPerS) * 1000;
    if (at - now >= 1) await new Promise<void>((resolve) => void setTimeout(resolve, at - now));
  }
}
