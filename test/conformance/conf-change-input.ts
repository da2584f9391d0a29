// Conf changes as the data files write them: `v1 l2 r3 u4` (FORMAT §3, propose-conf-change).
import {
  ConfChangeAddLearnerNode,
  ConfChangeAddNode,
  ConfChangeRemoveNode,
  type ConfChangeSingle,
  type ConfChangeType,
  ConfChangeUpdateNode,
} from "../../src/raft/raftpb/index.js";

const TYPES: ReadonlyMap<string, ConfChangeType> = new Map([
  ["v", ConfChangeAddNode],
  ["l", ConfChangeAddLearnerNode],
  ["r", ConfChangeRemoveNode],
  ["u", ConfChangeUpdateNode],
]);

/** The changes, or the error text that becomes the directive's output. */
export function parseConfChanges(input: string): ConfChangeSingle[] | string {
  const trimmed = input.trim();
  if (trimmed === "") return [];
  const changes: ConfChangeSingle[] = [];
  for (const token of trimmed.split(" ")) {
    if (token.length < 2) return `unknown token ${token}`;
    const type = TYPES.get(token[0]);
    if (type === undefined) return `unknown input: ${token}`;
    const digits = token.slice(1);
    if (!/^[0-9]+$/.test(digits)) return `strconv.ParseUint: parsing "${digits}": invalid syntax`;
    if (!Number.isSafeInteger(Number(digits))) {
      return `strconv.ParseUint: parsing "${digits}": value out of range`;
    }
    changes.push({ type, nodeId: Number(digits) });
  }
  return changes;
}
