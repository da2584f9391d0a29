// Which configurations are left out, as their clusters never open: each try costs the time of a round. Pure.
import type { Variant } from "./scenario.js";
import type { Seating } from "./sitting.js";

/** One try may have met a machine that stood still; it was not that again. */
const TRIES = 2;

export class Unopened {
  /** By position: how often in a row it did not open. */
  private readonly tries = new Map<number, number>();

  /** A sitting of `variants` began, without the clusters of `missing`. Those of them that are left out from here on. */
  sat(variants: readonly Variant[], missing: readonly Variant[]): Variant[] {
    for (const { position } of variants) {
      const isMissing = missing.some((each) => each.position === position);
      this.tries.set(position, isMissing ? (this.tries.get(position) ?? 0) + 1 : 0);
    }
    return missing.filter(({ position }) => this.tries.get(position) === TRIES);
  }

  /** Without those that are left out. */
  rest(seating: Seating): Seating {
    const isIn = ({ position }: Variant) => (this.tries.get(position) ?? 0) < TRIES;
    return seating.map((sharing) => sharing.filter(isIn)).filter((sharing) => sharing.length > 0);
  }
}
