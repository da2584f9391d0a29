// Records whose checksum is right but which cannot stand where they do: in words for recovery and the tools, with the
// rules that need to know the log before the record. etcd's checksum covers a record's data and not its type. A flipped
// bit in the type turns a state into an entry, or hides an entry, and only the data and the resulting log can show
// that.

export const NOT_OF_TYPE =
  "what it holds is not what a record of its type holds: its type, or the record, is damaged";
export const STATE_BACK =
  "a hard state that goes back behind the one before it (its term, or a term's commit index): it is damaged, or of " +
  "another type";
export const COMMITTED =
  "an entry at or below the commit index, which nothing replaces: it is damaged, or of another type";
export const TERM_BACK =
  "an entry of a lower term than the one before it: it is damaged, or of another type, or an entry is missing";
const SAME_ENTRY =
  "an entry without data in place of one of the same term, which it would be itself: it is of another type";
export const NO_SEGMENT_HEAD =
  "a segment begins with a checksum record and one of metadata; this is neither, or not there";

/** Whether `next` cannot follow `last`. (etcd's package writes what it is given: a vote that changes, say.) */
export function goesBack<T extends number | bigint>(
  last: { readonly term: T; readonly commit: T },
  next: { readonly term: T; readonly commit: T },
): boolean {
  return next.term < last.term || (next.term === last.term && next.commit < last.commit);
}

/**
 * What is wrong with an entry of `term` that takes another's place; "": nothing. `under`: the term of the entry before
 * it, `replaced`: of the one that it replaces; -1: not known.
 */
export function misplaced<T extends number | bigint>(
  term: T,
  hasData: boolean,
  under: T,
  replaced: T,
): string {
  if (term < under) return TERM_BACK;
  // etcd's --force-new-cluster drops entries and appends others in the same term, but those are changes with data.
  return term === replaced && !hasData ? SAME_ENTRY : "";
}

export function gapText(reach: bigint, index: bigint): string {
  const missing = index - 1n === reach + 1n ? `${index - 1n} is` : `${reach + 1n} to ${index - 1n} are`;
  return `entry ${index} leaves a gap: ${missing} missing`;
}
