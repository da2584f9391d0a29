// GET, PUT and DELETE of a key. A read is linearizable unless it asks for what this node has (?stale=1); a change may have a
// condition: the revision that the key must have (?cas=, as in Consul; If-Match), 0 or If-None-Match: * for none.
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Command } from "./commands.js";
import { encodeCommand, KEY_BYTES_MAX, markOf } from "./commands.js";
import {
  badRequest,
  checkQuery,
  decoded,
  flagOf,
  numberOf,
  send,
  sendJson,
  sendNotModified,
  type Target,
  wholeOf,
} from "./http.js";
import { HttpError } from "./http-error.js";
import type { Outcome } from "./kv.js";
import type { Parts } from "./parts.js";

/** Answers what is below /kv/. */
export async function serveKey(
  parts: Parts,
  request: IncomingMessage,
  response: ServerResponse,
  target: Target,
): Promise<void> {
  const key = keyOf(target.path);
  if (request.method === "PUT") return put(parts, request, response, target, key);
  if (request.method === "DELETE") return remove(parts, request, response, target, key);
  return get(parts, request, response, target, key);
}

function keyOf(path: string): string {
  return checkedKey(decoded(path.slice("/kv/".length)));
}

/** Throws 400 for what is no key. */
export function checkedKey(key: string): string {
  const bytes = Buffer.byteLength(key);
  if (bytes === 0) throw badRequest("name a key: this one is empty");
  if (bytes > KEY_BYTES_MAX) throw badRequest(`the key has ${bytes} bytes; ${KEY_BYTES_MAX} are allowed`);
  return key;
}

async function get(
  parts: Parts,
  { headers: asked }: IncomingMessage,
  response: ServerResponse,
  { query }: Target,
  key: string,
): Promise<void> {
  checkQuery(query, ["stale"]);
  if (asked["if-match"] !== undefined)
    throw badRequest("If-Match is a condition of changes: a read takes If-None-Match");
  const { node, store, config } = parts;
  if (!flagOf(query, "stale")) {
    const gone = new AbortController();
    // Behind a whole answer too; an abort makes an error with its stack.
    response.once("close", () => {
      if (!response.writableFinished) gone.abort();
    });
    await node.readBarrier({ timeoutMs: config.requestTimeoutMs, signal: gone.signal });
  }
  const stored = store.get(key);
  const index = { "raftmark-index": String(store.lastIndex) };
  if (stored === undefined) {
    throw new HttpError(404, "KV_NOT_FOUND", `there is no key ${JSON.stringify(key)}`, {}, index);
  }
  const etag = `"${stored.revision}"`;
  const headers = { ...index, etag };
  if (isNamed(etag, asked["if-none-match"])) sendNotModified(response, headers);
  else send(response, 200, "application/octet-stream", stored.value, headers);
}

/** RFC 9110, 13.1.2. */
function isNamed(etag: string, list = ""): boolean {
  const tags = list.split(",").map((tag) => tag.trim().replace(/^W\//, ""));
  return tags.includes(etag) || tags.includes("*");
}

async function put(
  parts: Parts,
  request: IncomingMessage,
  response: ServerResponse,
  { query }: Target,
  key: string,
): Promise<void> {
  checkQuery(query, ["cas"]);
  const ifRevision = conditionOf(request, query);
  const place = placeOf(request);
  // What is wrong without it is refused before it is asked for.
  const value = await parts.bodies.read(response, parts.config.maxValueBytes);
  const outcome = await execute(parts, place, { op: "put", key, ifRevision, value });
  if (!outcome.changed) throw conditionFailed(key, outcome);
  const headers = { etag: `"${outcome.revision}"` };
  sendJson(response, 200, { key, revision: outcome.revision }, headers);
}

async function remove(
  parts: Parts,
  request: IncomingMessage,
  response: ServerResponse,
  { query }: Target,
  key: string,
): Promise<void> {
  checkQuery(query, ["cas"]);
  const ifRevision = conditionOf(request, query);
  const outcome = await execute(parts, placeOf(request), { op: "delete", key, ifRevision });
  // What is not there is as good as deleted, unless the condition was another.
  if (!outcome.changed && ifRevision !== null && ifRevision !== outcome.revision)
    throw conditionFailed(key, outcome);
  sendJson(response, 200, { key, deleted: outcome.changed });
}

async function execute({ node, config }: Parts, place: Place | null, command: Command): Promise<Outcome> {
  const timeoutMs = config.requestTimeoutMs;
  const bytes = encodeCommand(command);
  if (place === null) return (await node.propose(bytes, { timeoutMs })).result as Outcome;
  const [session, sequence] = place;
  const { result } = await node.session(session).propose(bytes, { timeoutMs, sequence });
  const outcome = result as Outcome;
  if (outcome.mark !== undefined && outcome.mark !== markOf(bytes)) {
    const text = `Idempotency-Key ${session}-${sequence} was used for another change: this one was not made; take the next number`;
    throw new HttpError(422, "KV_IDEMPOTENCY_KEY_USED", text);
  }
  return outcome;
}

/** Of a change that is applied once, however often it is asked for: its session and its number in it. */
type Place = readonly [session: number, sequence: number];

/** Null: it may be asked for once. Throws 400 for what is no place. */
function placeOf({ headers }: IncomingMessage): Place | null {
  const text = headers["idempotency-key"];
  if (text === undefined) return null;
  const numbers = String(text)
    .replace(/^"(.*)"$/, "$1")
    .split("-")
    .map(numberOf);
  if (numbers.length === 2 && numbers.every((number) => number > 0)) return [numbers[0], numbers[1]];
  throw badRequest(
    "Idempotency-Key is SESSION-NUMBER, as in 17-1: POST /sessions opens one, numbers begin at 1",
  );
}

/** The revision that the key must have; null: whatever it has. Throws 400 for two conditions, and for what is none. */
function conditionOf({ headers }: IncomingMessage, query: URLSearchParams): number | null {
  const match = headers["if-match"];
  const noneMatch = headers["if-none-match"];
  const cas = wholeOf(query, "cas", 0);
  const given = [cas, match, noneMatch].filter((one) => one !== null && one !== undefined);
  if (given.length > 1) throw badRequest("give one condition: cas, If-Match or If-None-Match");
  if (noneMatch !== undefined) {
    if (noneMatch.trim() !== "*")
      throw badRequest("If-None-Match of a change is *: only if the key is absent");
    return 0;
  }
  if (match === undefined) return cas;
  const [, text = ""] = /^\s*"(\d+)"\s*$/.exec(match) ?? [];
  const revision = numberOf(text);
  if (revision > 0) return revision;
  throw badRequest('If-Match is one revision in quotes, as the ETag of an answer has it: "7"');
}

function conditionFailed(key: string, { revision }: Outcome): HttpError {
  const has = revision === 0 ? "is absent" : `has revision ${revision}`;
  const text = `nothing was changed: key ${JSON.stringify(key)} ${has}`;
  return new HttpError(412, "KV_CONDITION", text, { revision });
}
