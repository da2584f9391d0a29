// What a state machine's apply returned for an entry of a session, as bytes that a snapshot carries and a retry is answered
// from: bytes, or what JSON gives back as it was. Pure.
import { types } from "node:util";
import { bytesIn } from "../base/bytes.js";
import { RaftmarkError } from "../base/errors.js";

/** Longer results are not kept. */
export const RESULT_BYTES_MAX = 64 << 10;
/** Deeper ones are not either. */
const DEPTH_MAX = 32;

const UNDEFINED = 0;
const JSON_TEXT = 1;
const BYTES = 2;

/** Null: it is nothing that could be given again as it was, or too long. */
export function encodeResult(result: unknown): Uint8Array | null {
  if (result === undefined) return Uint8Array.of(UNDEFINED);
  if (types.isUint8Array(result)) return bytesIn(result) > RESULT_BYTES_MAX ? null : tagged(BYTES, result);
  if (!isJson(result, 0, { left: RESULT_BYTES_MAX })) return null;
  const text = Buffer.from(JSON.stringify(result));
  return text.length > RESULT_BYTES_MAX ? null : tagged(JSON_TEXT, text);
}

function tagged(tag: number, bytes: Uint8Array): Uint8Array {
  const encoded = new Uint8Array(1 + bytesIn(bytes));
  encoded[0] = tag;
  encoded.set(bytes, 1);
  return encoded;
}

/** Bytes and objects are the caller's. Throws WAL_CORRUPT for what encodeResult never gave. */
export function decodeResult(encoded: Uint8Array): unknown {
  const rest = encoded.subarray(1);
  if (encoded[0] === UNDEFINED && rest.length === 0) return undefined;
  if (encoded[0] === BYTES) return rest.slice();
  if (encoded[0] === JSON_TEXT) {
    try {
      return JSON.parse(Buffer.from(rest).toString());
    } catch {}
  }
  throw new RaftmarkError("WAL_CORRUPT", "a result that was kept for a session is damaged");
}

/** Whether JSON gives it back as it is, of `values.left` values: each takes a byte of the text, or more. */
function isJson(value: unknown, depth: number, values: { left: number }): boolean {
  if (--values.left < 0) return false;
  if (value === null || typeof value === "boolean" || typeof value === "string") return true;
  if (typeof value === "number") return Number.isFinite(value) && !Object.is(value, -0);
  if (typeof value !== "object" || depth === DEPTH_MAX || types.isProxy(value)) return false;
  if (Array.isArray(value)) {
    if (Object.keys(value).length !== value.length) return false;
    return value.every((one) => isJson(one, depth + 1, values));
  }
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype) return false;
  for (const key of Reflect.ownKeys(value)) {
    if (typeof key !== "string" || key === "__proto__" || key === "toJSON") return false;
    const property = Object.getOwnPropertyDescriptor(value, key)!;
    if (!property.enumerable || !("value" in property) || !isJson(property.value, depth + 1, values))
      return false;
  }
  return true;
}
