// What callers pass, checked at the door: a value of another type would be one thing in this node's memory and another
// in the log and on the peers. Pure.
import { types } from "node:util";
import { bytesIn } from "../base/bytes.js";
import { RaftmarkError, textOf } from "../base/errors.js";
import { didYouMean } from "../base/suggest.js";
import { shown } from "./option-errors.js";
import { isOfSession } from "./session-entry.js";

/** Null: bytes that can be proposed, as far as their type goes. */
// hot
export function refusalOfBytes(bytes: unknown): RaftmarkError | null {
  if (!types.isUint8Array(bytes)) {
    return bad(`propose: the bytes must be a Uint8Array, as a Buffer is, not ${shown(bytes)}`);
  }
  // Of another realm's buffer only the host can tell, which costs a call.
  if (!(bytes.buffer instanceof ArrayBuffer) && types.isSharedArrayBuffer(bytes.buffer)) {
    return bad("propose: the bytes lie in shared memory, where another thread may change them: pass a copy");
  }
  if (isOfSession(bytes, 0, bytesIn(bytes)))
    return bad(
      "propose: the bytes begin as entries of sessions do, and nothing else may: put another byte in front",
    );
  return null;
}

/** A copy of the array, so that what is checked is what is queued; or why it cannot be proposed: as refusalOfBytes, of each. */
export function checkedBatch(given: unknown): readonly Uint8Array[] | RaftmarkError {
  if (!Array.isArray(given)) return badBatch(shown(given));
  try {
    // By index: an array may have an iterator, and getters, of its own.
    const batch: unknown[] = Array.from({ length: given.length }, (_, i) => given[i]);
    for (const bytes of batch) {
      const refusal = refusalOfBytes(bytes);
      if (refusal !== null) return refusal;
    }
    return batch.length === 0 ? badBatch("an empty one") : (batch as Uint8Array[]);
  } catch (cause) {
    const text = `proposeMany: the batch cannot be read: ${textOf(cause)}`;
    return new RaftmarkError("RAFT_BAD_OPTION", text, { cause });
  }
}

function badBatch(what: string): RaftmarkError {
  return bad(`proposeMany: the batch must be an array of one Uint8Array or more, not ${what}`);
}

/** What an option must be, as it is told; and whether a value is that. */
interface Known {
  readonly must: string;
  is(value: unknown): boolean;
}

const SIGNAL: Known = { must: "an AbortSignal", is: isAbortSignal };

const WHOLE: Known = {
  must: "an integer from 1 to 2^53-1",
  is: (value) => Number.isSafeInteger(value) && (value as number) >= 1,
};

const CALL_OPTIONS: Readonly<Record<string, Known>> = {
  signal: SIGNAL,
  timeoutMs: {
    must: "a number of milliseconds above 0 and below 2^31",
    is: (value) => isMilliseconds(value) && value > 0,
  },
};

/** Null: they are options as `known` has them. */
type RefusalOf = (options: unknown) => RaftmarkError | null;

function refusalBy(known: Readonly<Record<string, Known>>): RefusalOf {
  return (options) => refusalOfOptions(options, known);
}

/** Of the last argument of a call: CallOptions. */
export const refusalOfCall = refusalBy(CALL_OPTIONS);

/** Of ClientSession.propose: SessionCallOptions. */
export const refusalOfSessionCall = refusalBy({ ...CALL_OPTIONS, sequence: WHOLE });

/** Of close(): CloseOptions. */
export const refusalOfClose = refusalBy({
  timeoutMs: { must: "a number of milliseconds from 0 to below 2^31", is: isMilliseconds },
});

/** Of committed(): CommittedOptions. */
export const refusalOfCommitted = refusalBy({
  signal: SIGNAL,
  from: { ...WHOLE, must: "an index from 1 to 2^53-1" },
});

function refusalOfOptions(options: unknown, known: Readonly<Record<string, Known>>): RaftmarkError | null {
  if (options === undefined) return null;
  if (typeof options !== "object" || options === null)
    return bad(`the call's options must be an object, not ${shown(options)}`);
  try {
    return refusalOfEach(options, known);
  } catch (cause) {
    const text = `the call's options cannot be read: ${textOf(cause)}`;
    return new RaftmarkError("RAFT_BAD_OPTION", text, { cause });
  }
}

function refusalOfEach(options: object, known: Readonly<Record<string, Known>>): RaftmarkError | null {
  const names = Object.keys(known);
  for (const key in options) {
    if (!names.includes(key)) return bad(`option ${key}: there is no such option.${didYouMean(key, names)}`);
  }
  for (const name of names) {
    const value = (options as Record<string, unknown>)[name];
    const { must, is } = known[name]!;
    if (value !== undefined && !is(value)) return bad(`option ${name}: must be ${must}, not ${shown(value)}`);
  }
  return null;
}

/** As setTimeout takes them. */
function isMilliseconds(value: unknown): value is number {
  return typeof value === "number" && value >= 0 && value <= 2 ** 31 - 1;
}

/** Also one of another realm, or of a library. */
export function isAbortSignal(value: unknown): value is AbortSignal {
  if (typeof value !== "object" || value === null) return false;
  const { aborted, addEventListener, removeEventListener } = value as Partial<AbortSignal>;
  return (
    typeof aborted === "boolean" &&
    typeof addEventListener === "function" &&
    typeof removeEventListener === "function"
  );
}

/** Of an argument that is an id: `what` it is, and of which call. */
export function refusalOfId(id: unknown, what: string): RaftmarkError | null {
  return WHOLE.is(id) ? null : bad(`${what} is ${WHOLE.must}, not ${shown(id)}`);
}

function bad(text: string): RaftmarkError {
  return new RaftmarkError("RAFT_BAD_OPTION", text);
}
