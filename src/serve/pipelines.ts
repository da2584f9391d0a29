// How much a client may have under way on one connection. HTTP lets it ask without waiting for answers, and Node.js hands
// out all that it reads: tens of thousands of requests, answered in one turn, would keep the node from its work.
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";

/** More of them wait, and nothing more is read of the connection. */
const UNDER_WAY_MAX = 64;

/** Of one connection. */
interface Line {
  underWay: number;
  readonly waiting: (() => void)[];
}

export class Pipelines {
  private readonly lines = new WeakMap<Socket, Line>();

  /** Calls `serve` now, or when enough of what the connection asked before is answered; never for one that is gone. */
  add({ socket }: IncomingMessage, response: ServerResponse, serve: () => void): void {
    let line = this.lines.get(socket);
    if (line === undefined) {
      line = { underWay: 0, waiting: [] };
      this.lines.set(socket, line);
    }
    const { waiting } = line;
    waiting.push(() => {
      line.underWay++;
      response.once("close", () => {
        line.underWay--;
        this.go(socket, line);
      });
      serve();
    });
    this.go(socket, line);
    if (waiting.length > 0) socket.pause();
  }

  private go(socket: Socket, line: Line): void {
    const { waiting } = line;
    if (waiting.length === 0 || socket.destroyed) return;
    while (waiting.length > 0 && line.underWay < UNDER_WAY_MAX) waiting.shift()!();
    if (waiting.length === 0) socket.resume();
  }
}
