// What two nodes say to each other of a forwarded proposal: a MsgProp with entries from a node that does not lead to the
// one that does, in its term, and a MsgProp without entries back. Neither is stepped: etcd's core forwards a proposal and
// tells nobody what became of it. The request's context names it as no other of any node and time; an answer has the
// same. Answers go over both lanes (lanes.ts): in front of the entries that they are about, whatever else is under way. Pure.
import { EntryNormal, Message, MsgProp } from "../raft/index.js";

/**
 * Requests of one node that may be unanswered at once, however small: the leader remembers some more, so that it can say
 * again what became of each.
 */
export const REQUESTS_MAX = 1024;
/** Drawn when the asking node opened. */
export const LIFE_BYTES = 8;
const FORWARD_CONTEXT_BYTES = LIFE_BYTES + 8;

/** Why a forwarded proposal was refused. All but the last: it is in no log, and never will be by this request. */
export const NotLeading = 1;
/** It hands its leadership over, and has as many waiting for that to end as it may. */
export const Transferring = 2;
export const Overloaded = 3;
export const UncommittedLimit = 4;
export const NoMember = 5;
export const TooLarge = 6;
/** The leader of that term ended since, and does not know what it appended. */
export const Forgotten = 7;
export type ForwardRefusal = 1 | 2 | 3 | 4 | 5 | 6 | 7;

export function forwardContext(life: Uint8Array, sequence: number): Uint8Array {
  const context = new Uint8Array(FORWARD_CONTEXT_BYTES);
  context.set(life);
  new DataView(context.buffer).setBigUint64(LIFE_BYTES, BigInt(sequence));
  return context;
}

export function sequenceIn(context: Uint8Array): number {
  const view = new DataView(context.buffer, context.byteOffset, context.length);
  return Number(view.getBigUint64(LIFE_BYTES));
}

/** To `request`, whose first entry is at `index` now. */
export function accepted(request: Message, index: number): Message {
  const answer = new Message(MsgProp);
  answer.to = request.from;
  answer.from = request.to;
  answer.term = request.term;
  answer.context = request.context;
  answer.index = index;
  return answer;
}

/** To `request`, which was not taken. */
export function refused(request: Message, why: ForwardRefusal): Message {
  const answer = accepted(request, 0);
  answer.reject = true;
  answer.rejectHint = why;
  return answer;
}

/** Null: it is a request or an answer. */
export function refusalOfForward(m: Message): string | null {
  const { entries, context, index, reject, rejectHint } = m;
  if (context.length !== FORWARD_CONTEXT_BYTES || !Number.isSafeInteger(sequenceIn(context)))
    return "a context of no forwarded proposal";
  if (entries.length === 0) {
    const isPlausible = reject
      ? index === 0 && rejectHint >= NotLeading && rejectHint <= Forgotten
      : index > 0 && rejectHint === 0;
    return isPlausible ? null : "an answer that is none";
  }
  if (index !== 0 || reject || rejectHint !== 0) return "a request and an answer at once";
  for (const { type, term, index: at, size } of entries) {
    if (type !== EntryNormal || term !== 0 || at !== 0 || size === 0)
      return "entries that nobody may propose here";
  }
  return null;
}
