// What a client may have under way on one connection. HTTP lets it ask without waiting for answers, and Node.js hands out all
// that it reads: tens of thousands of requests, answered in one turn, would keep the node from its work, and changes that are
// made at once are made in any order.
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { isRead } from "./http.js";

/** More of them wait, and nothing more is read of the connection. */
const UNDER_WAY_MAX = 64;

interface Waiting {
  readonly isRead: boolean;
  readonly begin: () => void;
}

const BAD_REQUEST = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n";
/** By the code of the error: what Node.js answers by itself. */
const FAILED: Readonly<Record<string, string>> = {
  ERR_HTTP_REQUEST_TIMEOUT: "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n",
  HPE_HEADER_OVERFLOW: "HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\n\r\n",
  HPE_CHUNK_EXTENSIONS_OVERFLOW: "HTTP/1.1 413 Payload Too Large\r\nConnection: close\r\n\r\n",
};

/** Of one connection. Invariant: more than one is under way only if all of them are reads. */
interface Line {
  readonly underWay: Set<ServerResponse>;
  isReading: boolean;
  readonly waiting: Waiting[];
  /** What is read of it makes no sense any more, or nothing came: it is closed behind what was asked before. */
  isEnding: boolean;
  /** The answer to what was asked last. */
  last: ServerResponse;
}

export class Pipelines {
  private readonly closing: AbortSignal;
  private readonly lines = new Map<Socket, Line>();

  /** From when `closing` aborts on, what is asked last on a connection is told to be the last. */
  constructor(closing: AbortSignal) {
    this.closing = closing;
    const tell = (): void => {
      for (const { last } of this.lines.values()) tellLast(last);
    };
    closing.addEventListener("abort", tell, { once: true });
  }

  /**
   * Calls `serve` now, or when what the connection asked before lets it; never for one that is gone. Of what was begun the
   * response closes.
   */
  add(request: IncomingMessage, response: ServerResponse, serve: () => void): void {
    const { socket } = request;
    const line = this.lines.get(socket) ?? this.begin(socket, response);
    line.last = response;
    if (this.closing.aborted) tellLast(response);
    const { waiting, underWay } = line;
    const begin = (): void => {
      underWay.add(response);
      response.once("close", () => {
        underWay.delete(response);
        this.go(socket, line);
      });
      serve();
    };
    waiting.push({ isRead: isRead(request), begin });
    this.go(socket, line);
    if (waiting.length > 0) socket.pause();
  }

  /**
   * Closes a connection on which something else than a request came, or half of one. Node.js would say so at once: to a
   * client that asked before, that would be the answer to what it asked first, and false.
   */
  fail(socket: Socket, error: NodeJS.ErrnoException): void {
    const line = this.lines.get(socket);
    // Of a waiting request whose body does not come.
    if (line !== undefined && !line.isEnding && !line.last.req.complete) line.waiting.pop();
    const isOwn = line !== undefined && line.underWay.size === 1 && line.underWay.has(line.last);
    const isAsked = line !== undefined && line.underWay.size > 0 && (!isOwn || line.last.req.complete);
    if (isAsked && socket.writable) {
      line.isEnding = true;
      return;
    }
    const begun = [...(line?.underWay ?? [])].some(({ headersSent }) => headersSent);
    if (socket.writable && !begun) socket.write(FAILED[error.code ?? ""] ?? BAD_REQUEST);
    socket.destroy();
  }

  private begin(socket: Socket, last: ServerResponse): Line {
    const line: Line = { underWay: new Set(), isReading: false, waiting: [], isEnding: false, last };
    this.lines.set(socket, line);
    // Node.js resumes at the end of each request.
    socket.on("resume", () => {
      if (line.waiting.length > 0) socket.pause();
    });
    socket.once("close", () => {
      this.lines.delete(socket);
      for (const response of line.underWay) if (response.socket === null) abandon(response);
    });
    return line;
  }

  private go(socket: Socket, line: Line): void {
    const { waiting, underWay } = line;
    if (line.isEnding && waiting.length === 0 && underWay.size === 0) socket.destroySoon();
    // Ended is one whose last answer is given; what waits would get none.
    if (waiting.length === 0 || !socket.writable) return;
    while (waiting.length > 0 && mayBegin(line, waiting[0])) {
      const next = waiting.shift()!;
      line.isReading = next.isRead;
      next.begin();
    }
    if (waiting.length === 0) socket.resume();
  }
}

/** RFC 9112, 9.3.2: at once only what changes nothing; the effects of all else are in the order in which it was asked for. */
function mayBegin({ underWay, isReading }: Line, next: Waiting): boolean {
  return underWay.size === 0 || (isReading && next.isRead && underWay.size < UNDER_WAY_MAX);
}

function tellLast(response: ServerResponse): void {
  if (!response.headersSent) response.setHeader("connection", "close");
}

/** Node.js closes the answer that the connection is at, and leaves those behind it as they are. */
function abandon(response: ServerResponse): void {
  response.destroy();
  response.emit("close");
}
