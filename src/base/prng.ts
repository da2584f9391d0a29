// Seeded randomness for whoever needs a repeatable draw: election timeouts, tests, orders of runs.

/** A small, fast, seedable generator (mulberry32; 32 bits of state). Not for secrets. */
export class Prng {
  private state: number;

  constructor(seed: number) {
    this.state = seed >>> 0;
  }

  /** The next draw, uniform in [0, 2^32). */
  nextU32(): number {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let t = this.state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  }

  /** Uniform integer in [0, bound), for 1 <= bound <= 2^32. */
  below(bound: number): number {
    return Math.floor((this.nextU32() / 4294967296) * bound);
  }
}
