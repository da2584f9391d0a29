// What a planted fault is, and how it is put into the built classes.

export interface Planted {
  readonly name: string;
  readonly profile: string;
  readonly nodes?: number;
  readonly lease?: boolean;
  /** In which it has to show, where that takes more than most do. */
  readonly worlds?: number;
  /** Checkers that may be the first to see it. */
  readonly checkers: RegExp;
  /** Puts the fault in; the result takes it out. */
  apply(): () => void;
}

/** The classes as they are inside: a fault reaches what no caller can. */
// biome-ignore lint/suspicious/noExplicitAny: private members are the point.
export type Inside = any;

/** What `proposals` has appended and not done. */
export function appendedIn(proposals: Inside): Inside[] {
  const batches = Array.from({ length: proposals.appended.length }, (_, i) => proposals.appended.peek(i));
  return batches.flat().slice(proposals.head);
}

/** Replaces methods of `owner` by what `make` returns, given those there are. */
export function patch(
  owner: { prototype: object },
  make: (was: Inside) => Record<string, unknown>,
): () => void {
  const prototype = owner.prototype as Record<string, unknown>;
  const was = { ...Object.getOwnPropertyDescriptors(prototype) };
  const methods = make(Object.fromEntries(Object.entries(was).map(([name, { value }]) => [name, value])));
  for (const [name, value] of Object.entries(methods)) {
    if (was[name] === undefined) throw new Error(`${name} is no method: what did it become?`);
    Object.defineProperty(prototype, name, { ...was[name], value });
  }
  return () => {
    for (const name of Object.keys(methods)) Object.defineProperty(prototype, name, was[name]);
  };
}
