// What the form of a segment's file proves about the log, in words, for recovery and for the tools. A segment gets its
// name when its head is durable, and its final size, which ends with a seal, when the next one is (SegmentWriter.cut).

/** What is wrong with a segment that has a name and no sound head. */
export const NO_HEAD =
  "its head is missing, though a segment gets its name only when that is durable: it was emptied or overwritten";

/** What is wrong with a newest segment that is closed; the log ends with entry `lastIndex` there. */
export function closedText(seq: number | bigint, lastIndex: number | bigint): string {
  const first = BigInt(lastIndex) + 1n;
  const hex = (value: bigint): string => value.toString(16).padStart(16, "0");
  const next = `${hex(BigInt(seq) + 1n)}-${hex(first)}.wal`;
  return (
    `it was closed, which is done only when the next segment is durable, and the next one, ${next}, is missing, with ` +
    `all entries from ${first} on`
  );
}

/** What is wrong with a log whose newest state is ahead of its entries. */
export function lostText(lastIndex: number | bigint, commit: number | bigint): string {
  const first = BigInt(lastIndex) + 1n;
  return `entries ${first} to ${commit} are missing: the newest hard state says that they were committed`;
}
