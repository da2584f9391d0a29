// What messages about bad input have in common: "did you mean", the nearest allowed word, and the bounds of a value. Pure.

/** Edits (insert, delete, replace, swap of neighbours) that turn `a` into `b`. */
export function editDistance(a: string, b: string): number {
  const rows: number[][] = [];
  for (let i = 0; i <= a.length; i++) {
    rows.push([i]);
    for (let j = 1; j <= b.length; j++) {
      if (i === 0) {
        rows[0].push(j);
        continue;
      }
      const same = a[i - 1] === b[j - 1];
      let best = Math.min(rows[i - 1][j] + 1, rows[i][j - 1] + 1, rows[i - 1][j - 1] + (same ? 0 : 1));
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (swapped) best = Math.min(best, rows[i - 2][j - 2] + 1);
      rows[i].push(best);
    }
  }
  return rows[a.length][b.length];
}

/** The nearest of `words`, or null if none is near enough to be what was meant. */
export function nearest(word: string, words: readonly string[]): string | null {
  const given = word.toLowerCase();
  let found: string | null = null;
  let least = Math.max(2, Math.ceil(given.length / 3)) + 1;
  for (const candidate of words) {
    const known = candidate.toLowerCase();
    const abbreviated = given.length >= 3 && known.includes(given);
    const distance = abbreviated ? 1 : editDistance(given, known);
    if (distance < least) {
      least = distance;
      found = candidate;
    }
  }
  return found;
}

/** " Did you mean x?" or nothing. */
export function didYouMean(word: string, words: readonly string[]): string {
  const near = nearest(word, words);
  return near === null ? "" : ` Did you mean ${near}?`;
}

/** The bound or the list that a value misses, as it stands behind "must be"; null: it is another rule. `issue` is valibot's. */
export function boundText(issue: {
  readonly type: string;
  readonly requirement?: unknown;
  readonly expected: string | null;
}): string | null {
  switch (issue.type) {
    case "min_value":
      return `at least ${issue.requirement}`;
    case "max_value":
      return `at most ${issue.requirement}`;
    case "picklist":
      return `one of ${issue.expected!.replace(/^\(|\)$/g, "").replaceAll(" | ", ", ")}`;
    default:
      return null;
  }
}
