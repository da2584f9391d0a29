// Draws of a simulated world, all from its one seed.
import { Prng } from "../../src/base/prng.js";

export class Dice {
  private readonly prng: Prng;

  constructor(seed: number) {
    this.prng = new Prng(seed);
  }

  /** Uniform in [0, 1). */
  share(): number {
    return this.prng.nextU32() / 4294967296;
  }

  /** Uniform in [from, to). */
  between(from: number, to: number): number {
    return from + (to - from) * this.share();
  }

  /** Uniform integer in [0, bound). */
  below(bound: number): number {
    return this.prng.below(bound);
  }

  chance(probability: number): boolean {
    return this.share() < probability;
  }

  /** Exponential: the time to the next of events that come once in `mean`, whatever came before. */
  wait(mean: number): number {
    return -mean * Math.log(1 - this.share());
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)];
  }
}
