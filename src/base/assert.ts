// Invariants. An assert stays on in production: a node whose invariant broke must stop, because what it would
// do next can lose acknowledged data. Texts are literals, so that a passing assert builds nothing.

/** A broken invariant: a bug or damaged memory, never bad input. It is not to be caught and carried on from. */
export class InvariantError extends Error {
  readonly code = "RAFT_INVARIANT";
  override readonly name = "InvariantError";
}

/** Throws InvariantError with `message` unless `condition` holds. One condition a call, literal text. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) fail(message);
}

/** Throws InvariantError; for branches that cannot be reached. */
export function fail(message: string): never {
  throw new InvariantError(message);
}
