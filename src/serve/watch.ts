// GET /watch: the changes that are committed, from an index on, as lines of JSON for as long as the client reads. A client that
// reads slowly holds a page of the log and no more; one that falls behind what can be told is told so, and begins anew.
import type { ServerResponse } from "node:http";
import { type CommittedEntry, RaftmarkError } from "../index.js";
import { decodeCommand } from "./commands.js";
import { badRequest, checkQuery, type Target, wholeOf } from "./http.js";
import { HttpError, toHttpError } from "./http-error.js";
import type { Parts } from "./parts.js";

/** One line of the answer. */
export type WatchLine =
  | { readonly index: number; readonly type: "put"; readonly key: string; readonly value: string }
  | { readonly index: number; readonly type: "delete"; readonly key: string };

/** Empty lines between changes that are long in coming: whoever sits in between sees that somebody is there. */
const IDLE_MS = 15_000;
const WATCHES_MAX = 1000;

export class Watches {
  private count = 0;

  async serve(parts: Parts, response: ServerResponse, { query }: Target): Promise<void> {
    checkQuery(query, ["from", "key", "prefix"]);
    const wanted = filterOf(query);
    const from = beginOf(parts, wholeOf(query, "from", 1));
    if (this.count >= WATCHES_MAX)
      throw new HttpError(
        503,
        "KV_OVERLOADED",
        `${WATCHES_MAX} clients watch this node already; ask another`,
      );
    const ended = new AbortController();
    const signal = AbortSignal.any([ended.signal, parts.closing]);
    // Throws, before anything is answered, if what is asked for is not there any more.
    const entries = open(parts, from, signal);
    response.once("close", () => ended.abort());
    this.count++;
    try {
      response.writeHead(200, {
        "content-type": "application/x-ndjson; charset=utf-8",
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
        // It begins behind that.
        "raftmark-index": String(from - 1),
      });
      response.flushHeaders();
      // All of the answer: what follows on the connection would wait for its end.
      if (response.req.method === "HEAD") return;
      await tell(parts, response, entries, wanted);
      // The client is there, and the node ended: it shuts down, or was removed.
      if (!ended.signal.aborted)
        throw new RaftmarkError("RAFT_CLOSED", "this node shuts down: watch another");
    } catch (error) {
      const { body } = toHttpError(refined(parts, error));
      response.write(`${JSON.stringify({ error: body })}\n`);
    } finally {
      this.count--;
      response.end();
    }
  }
}

/** What was applied behind the last command is none: a watch that begins there may do so where the log has been cut since. */
function beginOf({ node, store }: Parts, from: number | null): number {
  const asked = from ?? store.lastIndex + 1;
  return asked > store.lastIndex ? Math.max(asked, node.status().applied + 1) : asked;
}

type Entries = AsyncIterableIterator<CommittedEntry, undefined>;

function open(parts: Parts, from: number, signal: AbortSignal): Entries {
  if (from < parts.store.watchableFrom) throw compacted(parts, from);
  try {
    return parts.node.committed({ from, signal });
  } catch (error) {
    throw refined(parts, error);
  }
}

async function tell(
  { store }: Parts,
  response: ServerResponse,
  entries: Entries,
  wanted: (key: string) => boolean,
): Promise<void> {
  const idle = setInterval(() => {
    if (response.writableLength === 0) response.write("\n");
  }, IDLE_MS);
  idle.unref();
  try {
    for await (const { index, data } of entries) {
      const changed = store.changedAt(index);
      if (changed === null) throw new RaftmarkError("RAFT_COMPACTED", "");
      const command = decodeCommand(data);
      if (!changed || command.op === "member" || !wanted(command.key)) continue;
      const { key } = command;
      const line: WatchLine =
        command.op === "delete"
          ? { index, type: "delete", key }
          : { index, type: "put", key, value: Buffer.from(command.value).toString("base64") };
      if (!response.write(`${JSON.stringify(line)}\n`)) await drained(response);
    }
  } finally {
    clearInterval(idle);
  }
}

/** Resolves when the client has read, or is gone. */
function drained(response: ServerResponse): Promise<void> {
  if (response.destroyed) return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => {
      response.off("drain", done).off("close", done);
      resolve();
    };
    response.once("drain", done).once("close", done);
  });
}

function filterOf(query: URLSearchParams): (key: string) => boolean {
  const key = query.get("key");
  const prefix = query.get("prefix");
  if (key !== null && prefix !== null) throw badRequest("a watch takes key or prefix, not both");
  if (key !== null) return (each) => each === key;
  if (prefix !== null) return (each) => each.startsWith(prefix);
  return () => true;
}

function refined(parts: Parts, error: unknown): unknown {
  return error instanceof RaftmarkError && error.code === "RAFT_COMPACTED" ? compacted(parts, 0) : error;
}

/** `from`: the index that was asked for; 0: the client fell behind. */
function compacted({ node, store }: Parts, from: number): HttpError {
  const first = Math.max(node.status().log.firstIndex, store.watchableFrom);
  const what = from === 0 ? "what comes next" : `entry ${from}`;
  const text =
    `${what} is behind a snapshot: read the keys that you follow, and then watch from the raftmark-index of that ` +
    `answer + 1; this node's log begins with entry ${first}`;
  return new HttpError(410, "RAFT_COMPACTED", text, { from: first });
}
