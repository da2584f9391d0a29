// What a state machine may return. Anything that could make a proposal's caller believe what is not so stops the node.
import { isThenable } from "./outside.js";

/** Results of `count` entries out of what apply() returned; undefined: there are none. Throws for a promise or a wrong count. */
// hot
export function resultsOf(returned: unknown, count: number): readonly unknown[] | undefined {
  if (returned === undefined) return undefined;
  if (!Array.isArray(returned)) {
    refusePromise(returned, "a promise");
    // As of an arrow function whose last expression has a value: nothing was meant by it.
    return undefined;
  }
  if (returned.length === 0) return undefined;
  if (returned.length !== count) {
    throw new TypeError(
      `stateMachine.apply returned ${returned.length} results for ${count} entries: whose they are is not known`,
    );
  }
  for (let i = 0; i < count; i++) refusePromise(returned[i], "promises among its results");
  return returned;
}

function refusePromise(value: unknown, what: string): void {
  if (!isThenable(value)) return;
  // Nobody else will look at it, and a rejection that nobody looks at would end the process.
  value.then(undefined, () => {});
  throw new TypeError(
    `stateMachine.apply returned ${what}: it must have applied the entries when it returns, as they count as applied then`,
  );
}
