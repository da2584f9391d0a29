// What callers pass, checked at the door: a value of another type would be one thing in this node's memory and another
// in the log and on the peers. Pure.
import { types } from "node:util";
import { RaftmarkError } from "../base/errors.js";
import { didYouMean } from "../base/suggest.js";
import { shown } from "./option-errors.js";

/** Null: bytes that can be proposed, as far as their type goes. */
// hot
export function refusalOfBytes(bytes: unknown): RaftmarkError | null {
  if (!types.isUint8Array(bytes)) {
    return bad(`propose: the bytes must be a Uint8Array, as a Buffer is, not ${shown(bytes)}`);
  }
  if (types.isSharedArrayBuffer(bytes.buffer)) {
    return bad("propose: the bytes lie in shared memory, where another thread may change them: pass a copy");
  }
  return null;
}

/** Of the last argument of a call: CallOptions. */
export function refusalOfCall(options: unknown): RaftmarkError | null {
  if (options === undefined) return null;
  const refusal = refusalOfKeys(options, CALL_OPTIONS);
  if (refusal !== null) return refusal;
  const { signal, timeoutMs } = options as { signal?: unknown; timeoutMs?: unknown };
  if (signal !== undefined && !isAbortSignal(signal))
    return bad(`option signal: must be an AbortSignal, not ${shown(signal)}`);
  if (timeoutMs === undefined || (isMilliseconds(timeoutMs) && timeoutMs > 0)) return null;
  return bad(
    `option timeoutMs: must be a number of milliseconds above 0 and below 2^31, not ${shown(timeoutMs)}`,
  );
}

/** Of close(): CloseOptions. */
export function refusalOfClose(options: unknown): RaftmarkError | null {
  if (options === undefined) return null;
  const refusal = refusalOfKeys(options, CLOSE_OPTIONS);
  if (refusal !== null) return refusal;
  const { timeoutMs } = options as { timeoutMs?: unknown };
  if (timeoutMs === undefined || isMilliseconds(timeoutMs)) return null;
  return bad(
    `option timeoutMs: must be a number of milliseconds from 0 to below 2^31, not ${shown(timeoutMs)}`,
  );
}

/** Of committed(): CommittedOptions. */
export function refusalOfCommitted(options: unknown): RaftmarkError | null {
  if (options === undefined) return null;
  const refusal = refusalOfKeys(options, COMMITTED_OPTIONS);
  if (refusal !== null) return refusal;
  const { from, signal } = options as { from?: unknown; signal?: unknown };
  if (signal !== undefined && !isAbortSignal(signal))
    return bad(`option signal: must be an AbortSignal, not ${shown(signal)}`);
  if (from === undefined || (Number.isSafeInteger(from) && (from as number) >= 1)) return null;
  return bad(`option from: must be an index from 1 to 2^53-1, not ${shown(from)}`);
}

const COMMITTED_OPTIONS = ["from", "signal"];
const CALL_OPTIONS = ["signal", "timeoutMs"];
const CLOSE_OPTIONS = ["timeoutMs"];

function refusalOfKeys(options: unknown, known: readonly string[]): RaftmarkError | null {
  if (typeof options !== "object" || options === null)
    return bad(`the call's options must be an object, not ${shown(options)}`);
  for (const key in options) {
    if (!known.includes(key)) return bad(`option ${key}: there is no such option.${didYouMean(key, known)}`);
  }
  return null;
}

/** As setTimeout takes them. */
function isMilliseconds(value: unknown): value is number {
  return typeof value === "number" && value >= 0 && value < 2 ** 31 - 1;
}

/** Also one of another realm, or of a library. */
function isAbortSignal(value: unknown): value is AbortSignal {
  if (typeof value !== "object" || value === null) return false;
  const { aborted, addEventListener, removeEventListener } = value as Partial<AbortSignal>;
  return (
    typeof aborted === "boolean" &&
    typeof addEventListener === "function" &&
    typeof removeEventListener === "function"
  );
}

export function refusalOfId(id: unknown): RaftmarkError | null {
  if (Number.isSafeInteger(id) && (id as number) >= 1) return null;
  return bad(`transferLeadership: a node id is an integer from 1 to 2^53-1, not ${shown(id)}`);
}

function bad(text: string): RaftmarkError {
  return new RaftmarkError("RAFT_BAD_OPTION", text);
}
