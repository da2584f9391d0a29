// GET /watch: the changes that are committed, from an index on, as lines of JSON for as long as the client reads. A client that
// reads slowly holds a page of the log and a line, the lines of all within one limit; one that falls behind what can be told is
// told so, and begins anew.
import type { ServerResponse } from "node:http";
import { type CommittedEntry, RaftmarkError } from "../index.js";
import { type Command, decodeCommand } from "./commands.js";
import { badRequest, OF_ALL_ANSWERS, type Target, wholeOf } from "./http.js";
import { HttpError, toHttpError } from "./http-error.js";
import { checkedKey } from "./kv-routes.js";
import { LineRoom, type Reader } from "./line-room.js";
import type { Parts } from "./parts.js";

/** One line of the answer. */
export type WatchLine =
  | { readonly index: number; readonly type: "put"; readonly key: string; readonly value: string }
  | { readonly index: number; readonly type: "delete"; readonly key: string };

/** Empty lines between changes that are long in coming: whoever sits in between sees that somebody is there. */
const IDLE_MS = 15_000;
/** The same for a client that sends no more: it may wait for changes, or be gone, which the second line tells. */
const HALF_OPEN_MS = 1000;
const WATCHES_MAX = 1000;
export const WATCH_QUERY = ["from", "key", "prefix"];
/** What is given to a client's connection at once. A line that is longer needs room, and one sees whether it is read. */
const PIECE_BYTES = 64 * 1024;

export class Watches {
  private count = 0;
  private readonly room: LineRoom;

  constructor(room = new LineRoom()) {
    this.room = room;
  }

  async serve(parts: Parts, response: ServerResponse, { query }: Target): Promise<void> {
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
    const watch = new Watch(parts, this.room, response, signal, wanted, from);
    response.once("close", () => ended.abort());
    this.count++;
    try {
      response.writeHead(200, {
        "content-type": "application/x-ndjson; charset=utf-8",
        ...OF_ALL_ANSWERS,
        // nginx would keep changes until it has a buffer full of them.
        "x-accel-buffering": "no",
        // It begins behind that.
        "raftmark-index": String(from - 1),
      });
      response.flushHeaders();
      // All of the answer: what follows on the connection would wait for its end.
      if (response.req.method === "HEAD") return;
      await watch.tell();
      // The client is there, and the node ended: it shuts down, or was removed.
      if (!ended.signal.aborted)
        throw new RaftmarkError("RAFT_CLOSED", "this node shuts down: watch another");
    } catch (error) {
      const { body } = toHttpError(refined(parts, error, 0));
      if (!response.destroyed) response.write(`${JSON.stringify({ error: body })}\n`);
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
    throw refined(parts, error, from);
  }
}

interface Change {
  readonly index: number;
  readonly command: Command;
  /** Of its value, as the line has it. */
  readonly bytes: number;
}

/** One client's. */
class Watch implements Reader {
  held = 0;
  hasRead = true;
  private readonly parts: Parts;
  private readonly room: LineRoom;
  private readonly response: ServerResponse;
  private readonly signal: AbortSignal;
  private readonly wanted: (key: string) => boolean;
  private entries: Entries;

  constructor(
    parts: Parts,
    room: LineRoom,
    response: ServerResponse,
    signal: AbortSignal,
    wanted: (key: string) => boolean,
    from: number,
  ) {
    this.parts = parts;
    this.room = room;
    this.response = response;
    this.signal = signal;
    this.wanted = wanted;
    this.entries = open(parts, from, signal);
  }

  get isWaitedFor(): boolean {
    return this.response.writableLength > 0;
  }

  /** In the middle of a line, behind which there is no place for an error. */
  cut(): void {
    this.response.req.socket.destroy();
  }

  /** Resolves when the client is gone, or the node ends. */
  async tell(): Promise<void> {
    const { response } = this;
    const { socket } = response.req;
    let idleMs = 0;
    const idle = setInterval(() => {
      idleMs += HALF_OPEN_MS;
      if ((idleMs % IDLE_MS > 0 && !socket.readableEnded) || response.writableLength > 0) return;
      response.write("\n");
    }, HALF_OPEN_MS);
    idle.unref();
    try {
      // A call each: what it has of an entry would be kept while the next is waited for.
      while (await this.tellNext());
    } finally {
      clearInterval(idle);
      this.room.release(this);
      await this.entries.return!();
    }
  }

  private async tellNext(): Promise<boolean> {
    let change = await this.nextChange();
    if (change === null) return false;
    const { index, bytes } = change;
    if (bytes > PIECE_BYTES && this.held === 0 && !this.room.take(this, bytes)) {
      // It is read again when there is room.
      change = null;
      await this.entries.return!();
      await this.room.wait(this, bytes, this.signal);
      if (this.signal.aborted) return false;
      if (this.held === 0) throw noRoom(index);
      this.entries = open(this.parts, index, this.signal);
      return true;
    }
    const line = lineOf(change);
    change = null;
    await this.send(line);
    this.room.release(this);
    return !this.response.destroyed;
  }

  /** Null: there is none any more. */
  private async nextChange(): Promise<Change | null> {
    const { store } = this.parts;
    for (;;) {
      const { done, value } = await this.entries.next();
      if (done) return null;
      const { index, data } = value;
      const changed = store.changedAt(index);
      if (changed === null) throw new RaftmarkError("RAFT_COMPACTED", "");
      const command = decodeCommand(data);
      if (!changed || command.op === "member" || !this.wanted(command.key)) continue;
      const bytes = command.op === "delete" ? 0 : Math.ceil(command.value.length / 3) * 4;
      return { index, command, bytes };
    }
  }

  private async send(line: Uint8Array): Promise<void> {
    const { response } = this;
    for (let at = 0; at < line.length && !response.destroyed; at += PIECE_BYTES) {
      if (response.write(line.subarray(at, at + PIECE_BYTES))) continue;
      await drained(response);
      this.hasRead = true;
    }
  }
}

function lineOf({ index, command }: Change): Uint8Array {
  const { key } = command;
  const line: WatchLine =
    command.op === "delete"
      ? { index, type: "delete", key }
      : { index, type: "put", key, value: Buffer.from(command.value).toString("base64") };
  return Buffer.from(`${JSON.stringify(line)}\n`);
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
  // What no key can be would be waited for in vain.
  if (key !== null || prefix) checkedKey(key ?? prefix!);
  if (key !== null) return (each) => each === key;
  return (each) => each.startsWith(prefix ?? "");
}

function noRoom(index: number): HttpError {
  const text = `others that watch this node do not read, and fill the room for long lines: watch from ${index}, or another node`;
  return new HttpError(503, "KV_OVERLOADED", text, { from: index });
}

/** `from`: as compacted() has it. */
function refined(parts: Parts, error: unknown, from: number): unknown {
  return error instanceof RaftmarkError && error.code === "RAFT_COMPACTED" ? compacted(parts, from) : error;
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
