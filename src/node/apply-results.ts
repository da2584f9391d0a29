// What a state machine may return, at once or from its promise. Anything that could make a proposal's caller believe what
// is not so stops the node.
import { isThenable } from "./outside.js";

/**
 * Results of `count` entries out of what apply() returned or its promise resolved with; undefined: there are none. Throws
 * for promises among them or a wrong count.
 */
// hot
export function resultsOf(returned: unknown, count: number): readonly unknown[] | undefined {
  // As of an arrow function whose last expression has a value: nothing was meant by it.
  if (!Array.isArray(returned) || returned.length === 0) return undefined;
  if (returned.length !== count) {
    throw new TypeError(`${returned.length} results for ${count} entries: whose they are is not known`);
  }
  for (let i = 0; i < count; i++) refusePromise(returned[i]);
  return returned;
}

function refusePromise(value: unknown): void {
  if (!isThenable(value)) return;
  // Nobody else will look at it, and a rejection that nobody looks at would end the process.
  value.then(undefined, () => {});
  throw new TypeError(
    "promises among its results: return one promise of all of them, as the entries count as applied before",
  );
}
