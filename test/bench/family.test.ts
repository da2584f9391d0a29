// Equal configurations of which one varies more than the others: how often is a winner named of few rounds?
import assert from "node:assert/strict";
import { test } from "node:test";
import { Family, normals } from "../../bench/stats/family.js";
import { Prng } from "../../src/base/prng.js";

const SEED = 16;
const TABLES = 400;

for (const { members, places } of [
  { members: 4, places: 1 },
  { members: 3, places: 3 },
]) {
  test(`equals of unlike noise name no winner: ${members} at ${places} loads, 3 to 5 rounds`, () => {
    const normal = normals(new Prng(SEED));
    for (const rounds of [3, 4, 5]) {
      let named = 0;
      for (let i = 0; i < TABLES; i++) {
        const family = new Family(
          Array.from({ length: places }, () =>
            Array.from({ length: members }, (_, member) => {
              const deviation = member === 1 ? 0.3 : 0.03;
              return new Map(Array.from({ length: rounds }, (_, round) => [round, deviation * normal()]));
            }),
          ),
        );
        if (names(family, members, places)) named++;
      }
      // Three deviations above 5 % of 400.
      assert.ok(named <= 33, `${named} of ${TABLES} with ${rounds} rounds, seed ${SEED}`);
    }
  });
}

/** Whether any statement is proven. */
function names(family: Family, members: number, places: number): boolean {
  for (let a = 0; a < members; a++) {
    for (let b = a + 1; b < members; b++) {
      if (family.overall(a, b)?.proven) return true;
      for (let place = 0; place < places; place++) if (family.at(place, a, b)?.proven) return true;
    }
  }
  return false;
}
