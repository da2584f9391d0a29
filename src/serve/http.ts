// What every route wants of HTTP: the target taken apart, queries checked, answers sent.
import type { IncomingMessage, ServerResponse } from "node:http";
import { didYouMean } from "../base/suggest.js";
import { HttpError } from "./http-error.js";

/** A request's target as it was sent; node's URL would resolve dots in it, which may stand in a key. */
export interface Target {
  /** From the first slash on, not decoded. */
  readonly path: string;
  readonly query: URLSearchParams;
}

/** In absolute form (RFC 9112, 3.2.2) a target has a scheme and a host in front. */
const ORIGIN = /^https?:\/\/[^/?]*\/?/i;

/** Throws 400 for a query that is no UTF-8 in percent-encoding, and for a fragment; the path is its route's matter. */
export function targetOf(request: IncomingMessage): Target {
  const url = request.url!.replace(ORIGIN, "/");
  // RFC 9112, 3.2: none is ever sent. Whoever sends a # means one, or what is in front of it.
  if (url.includes("#")) throw badRequest("a # in a key, or in a parameter, is sent as %23");
  const at = url.indexOf("?");
  if (at < 0) return { path: url, query: new URLSearchParams() };
  const text = url.slice(at + 1);
  // URLSearchParams takes what stands for no UTF-8 for U+FFFD.
  for (const part of text.split(/[&=]/)) decoded(part);
  return { path: url.slice(0, at), query: new URLSearchParams(text) };
}

/** Whether it changes nothing: GET or HEAD. */
export function isRead({ method }: IncomingMessage): boolean {
  return method === "GET" || method === "HEAD";
}

/** Throws 400 for a parameter that is not one of `known`, or is there twice. */
export function checkQuery(query: URLSearchParams, known: readonly string[]): void {
  for (const name of new Set(query.keys())) {
    if (!known.includes(name)) {
      const list = known.length === 0 ? "this route takes none" : `there is ${known.join(", ")}`;
      throw badRequest(`there is no parameter "${name}": ${list}.${didYouMean(name, known)}`);
    }
    if (query.getAll(name).length > 1) throw badRequest(`parameter ${name} is there more than once`);
  }
}

/**
 * Throws for a version of HTTP that nobody speaks here, or a header that changes what is meant and that nobody here
 * understands: without it, another request would be carried out.
 */
export function refuseUnknown(request: IncomingMessage): void {
  const { headers, httpVersion } = request;
  // Node.js lets 0.9 and 2.0 through, too.
  if (!httpVersion.startsWith("1."))
    throw new HttpError(505, "KV_BAD_REQUEST", `HTTP/${httpVersion}: there is HTTP/1.1`);
  // RFC 9112, 3.2: who goes by the other one, as a proxy in front may, takes it for another request.
  if (timesIn(request.rawHeaders, "host") > 1) throw badRequest("Host is there more than once");
  const { expect, "transfer-encoding": coding, "content-range": range } = headers;
  if (expect !== undefined && expect.toLowerCase() !== "100-continue")
    throw new HttpError(417, "KV_BAD_REQUEST", `Expect: ${expect.slice(0, 100)}: there is 100-continue`);
  if (coding !== undefined && coding.toLowerCase() !== "chunked")
    throw new HttpError(
      501,
      "KV_BAD_REQUEST",
      `Transfer-Encoding: ${coding.slice(0, 100)}: there is chunked`,
    );
  if (range !== undefined) throw badRequest("Content-Range: a value is put whole");
}

/** `raw`: names and values in turn. */
function timesIn(raw: readonly string[], name: string): number {
  let times = 0;
  for (let at = 0; at < raw.length; at += 2)
    if (raw[at].length === name.length && raw[at].toLowerCase() === name) times++;
  return times;
}

/** Whether a parameter is set: ?name, ?name=1, ?name=true. */
export function flagOf(query: URLSearchParams, name: string): boolean {
  const text = query.get(name);
  if (text === null || text === "0" || text === "false") return false;
  if (text === "" || text === "1" || text === "true") return true;
  throw badRequest(`${name}=${text}: it is 1 or 0`);
}

/** A whole number from `min` on; null: it is not there. */
export function wholeOf(query: URLSearchParams, name: string, min: number): number | null {
  const text = query.get(name);
  if (text === null) return null;
  const value = numberOf(text);
  if (value >= min) return value;
  throw badRequest(`${name}=${text}: it is a whole number from ${min} to ${Number.MAX_SAFE_INTEGER}`);
}

/** In its one spelling: what has zeros in front may be meant otherwise. NaN: it is no whole number from 0 on. */
export function numberOf(text: string): number {
  const value = /^(0|[1-9]\d{0,15})$/.test(text) ? Number(text) : NaN;
  return Number.isSafeInteger(value) ? value : NaN;
}

/** Decodes percent signs. Throws 400 where they stand for no UTF-8. */
export function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw badRequest(`"${text.slice(0, 100)}" is no UTF-8 in percent-encoding`);
  }
}

export function badRequest(message: string): HttpError {
  return new HttpError(400, "KV_BAD_REQUEST", message);
}

/**
 * Whether its client waits to be told to send the body (RFC 9110, 10.1.1; not before HTTP/1.1), or has begun as it waited too
 * long: nobody has told it, nor read anything.
 */
export function holdsBody(request: IncomingMessage): boolean {
  const { headers, httpVersion, complete, readableFlowing } = request;
  return headers.expect !== undefined && httpVersion === "1.1" && !complete && readableFlowing === null;
}

/** Headers. */
export const OF_ALL_ANSWERS = { "cache-control": "no-store", "x-content-type-options": "nosniff" };

export function sendJson(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  send(response, status, "application/json; charset=utf-8", `${JSON.stringify(body)}\n`, headers);
}

export function send(
  response: ServerResponse,
  status: number,
  type: string,
  body: Uint8Array | string,
  headers: Readonly<Record<string, string>> = {},
): void {
  if (response.headersSent || response.destroyed) return;
  const about = { "content-type": type, "content-length": Buffer.byteLength(body) };
  // What a client may send next there, after an answer without its body, would be taken for that.
  const last = holdsBody(response.req) ? { connection: "close" } : {};
  response.writeHead(status, { ...about, ...OF_ALL_ANSWERS, ...headers, ...last });
  response.end(body);
}

/** To a read of what its client has already. */
export function sendNotModified(response: ServerResponse, headers: Readonly<Record<string, string>>): void {
  if (response.headersSent || response.destroyed) return;
  response.writeHead(304, { ...OF_ALL_ANSWERS, ...headers });
  response.end();
}
