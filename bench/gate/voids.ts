// Why a side's figures must not be used: its logs do not prove what it acknowledged. Whose they are decides what the
// gate says: head's close it, base's alone leave it unmeasured. Pure.

export interface Void {
  readonly side: "base" | "head";
  /** In words: of which clusters, and what is wrong. */
  readonly why: string;
}

/** `where`: "pair 3". */
export function voidsOf(where: string, base: readonly string[], head: readonly string[]): Void[] {
  return [
    ...base.map((fault): Void => ({ side: "base", why: `${where}: ${fault}` })),
    ...head.map((fault): Void => ({ side: "head", why: `${where}: ${fault}` })),
  ];
}

/** "base, pair 3: logs: ...". */
export function voidText({ side, why }: Void): string {
  return `${side}, ${why}`;
}
