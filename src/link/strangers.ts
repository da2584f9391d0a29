// Connections that have not proved yet whose they are. Anybody can open them, so they are few, and do not stay: above
// a number, for each address and in all, the newest takes the place of the oldest, since a peer proves itself within
// milliseconds and who holds connections for their own sake holds old ones. Main thread.
import { assert } from "../base/assert.js";

export interface StrangerLimits {
  /** In all. */
  readonly max: number;
  readonly maxPerAddress: number;
}

/** From the connection's opening until it must be proved. */
export const PROOF_TIMEOUT_MS = 5000;
/** What is left to one that was refused to take its leave. */
const LEAVE_MS = 1000;
const SWEEP_MS = 500;

export interface Stranger {
  readonly address: string;
  /** It took too long: refuse it. */
  expire(): void;
  /** Closes its socket at once. */
  cut(): void;
}

interface Stay {
  readonly since: number;
  expired: boolean;
}

export class Strangers {
  private readonly limits: StrangerLimits;
  /** Oldest first. */
  private readonly stays = new Map<Stranger, Stay>();
  private readonly perAddress = new Map<string, number>();
  private sweeper: NodeJS.Timeout | null = null;

  constructor(limits: StrangerLimits) {
    this.limits = limits;
  }

  get count(): number {
    return this.stays.size;
  }

  add(stranger: Stranger): void {
    assert(!this.stays.has(stranger), "a stranger comes once");
    const { address } = stranger;
    const ofAddress = (this.perAddress.get(address) ?? 0) + 1;
    this.perAddress.set(address, ofAddress);
    this.stays.set(stranger, { since: performance.now(), expired: false });
    this.sweeper ??= setInterval(() => this.sweep(), SWEEP_MS);
    if (ofAddress > this.limits.maxPerAddress) this.cutOldest(address);
    else if (this.stays.size > this.limits.max) this.cutOldest(null);
  }

  /** It is proved, or gone. Harmless if it is not here. */
  remove(stranger: Stranger): void {
    if (!this.stays.delete(stranger)) return;
    const { address } = stranger;
    const ofAddress = this.perAddress.get(address)! - 1;
    if (ofAddress === 0) this.perAddress.delete(address);
    else this.perAddress.set(address, ofAddress);
    if (this.stays.size === 0) this.stopSweeping();
  }

  /** Cuts them all. */
  close(): void {
    for (const stranger of [...this.stays.keys()]) this.end(stranger);
  }

  private cutOldest(address: string | null): void {
    for (const stranger of this.stays.keys()) {
      if (address !== null && stranger.address !== address) continue;
      this.end(stranger);
      return;
    }
  }

  private end(stranger: Stranger): void {
    this.remove(stranger);
    stranger.cut();
  }

  private sweep(): void {
    const now = performance.now();
    for (const [stranger, stay] of [...this.stays]) {
      const age = now - stay.since;
      if (age >= PROOF_TIMEOUT_MS + LEAVE_MS) {
        this.end(stranger);
      } else if (age >= PROOF_TIMEOUT_MS && !stay.expired) {
        stay.expired = true;
        stranger.expire();
      }
    }
  }

  private stopSweeping(): void {
    if (this.sweeper !== null) clearInterval(this.sweeper);
    this.sweeper = null;
  }
}
