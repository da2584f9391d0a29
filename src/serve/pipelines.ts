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

/** Of one connection. Invariant: more than one is under way only if all of them are reads. */
interface Line {
  underWay: number;
  isReading: boolean;
  readonly waiting: Waiting[];
}

export class Pipelines {
  private readonly lines = new WeakMap<Socket, Line>();

  /** Calls `serve` now, or when what the connection asked before lets it; never for one that is gone. */
  add(request: IncomingMessage, response: ServerResponse, serve: () => void): void {
    const { socket } = request;
    let line = this.lines.get(socket);
    if (line === undefined) {
      line = { underWay: 0, isReading: false, waiting: [] };
      this.lines.set(socket, line);
    }
    const { waiting } = line;
    const begin = (): void => {
      line.underWay++;
      response.once("close", () => {
        line.underWay--;
        this.go(socket, line);
      });
      serve();
    };
    waiting.push({ isRead: isRead(request), begin });
    this.go(socket, line);
    if (waiting.length > 0) socket.pause();
  }

  private go(socket: Socket, line: Line): void {
    const { waiting } = line;
    if (waiting.length === 0 || socket.destroyed) return;
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
  return underWay === 0 || (isReading && next.isRead && underWay < UNDER_WAY_MAX);
}
