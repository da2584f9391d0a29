// The accepting side on `ws`, for where uWebSockets.js has no binary. Main thread.
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { type WebSocket, WebSocketServer } from "ws";
import { type Accepted, type Acceptor, type AcceptorOptions, LINK_PATH, packageVersion } from "./acceptor.js";
import type { Address } from "./address.js";

class WsConnection implements Accepted {
  owner: unknown = null;
  /** Heard from since the last sweep. */
  heard = true;
  private readonly socket: WebSocket;
  private readonly maxBackpressureBytes: number;

  constructor(socket: WebSocket, maxBackpressureBytes: number) {
    this.socket = socket;
    this.maxBackpressureBytes = maxBackpressureBytes;
  }

  send(bytes: Uint8Array): boolean {
    if (this.socket.readyState !== this.socket.OPEN) return false;
    if (this.socket.bufferedAmount > this.maxBackpressureBytes) return false;
    // A copy: ws keeps what the kernel does not take at once, and the caller's bytes are only borrowed.
    this.socket.send(bytes.slice(), { binary: true, compress: false });
    return true;
  }

  end(code: number, reason: string): void {
    this.socket.close(code, reason);
  }
}

/** The acceptor without uWebSockets.js. */
export class WsAcceptor implements Acceptor {
  readonly implementation = `ws ${packageVersion("ws")} (uWebSockets.js has no binary here)`;
  private readonly http: Server;
  private readonly server: WebSocketServer;
  private readonly connections = new Map<WebSocket, WsConnection>();
  private readonly sweepMs: number;
  private sweeper: NodeJS.Timeout | null = null;

  constructor(options: AcceptorOptions) {
    const { events } = options;
    this.http = createServer((_request, response) => {
      response.writeHead(404, { connection: "close" }).end();
    });
    this.server = new WebSocketServer({
      server: this.http,
      path: LINK_PATH,
      perMessageDeflate: false,
      maxPayload: options.maxPayloadBytes,
      skipUTF8Validation: true,
    });
    // Errors of the server reach `listen`; those of a socket end in its "close".
    this.server.on("error", () => {});
    this.server.on("connection", (socket) => {
      const connection = new WsConnection(socket, options.maxBackpressureBytes);
      this.connections.set(socket, connection);
      socket.on("error", () => {});
      socket.on("message", (data: Buffer) => {
        connection.heard = true;
        events.onMessage(connection, data);
      });
      const heard = (): void => {
        connection.heard = true;
      };
      // A peer's pings come whatever we have queued for it; its pongs answer pings that stand behind all that.
      socket.on("ping", heard);
      socket.on("pong", heard);
      socket.on("close", () => {
        this.connections.delete(socket);
        events.onClose(connection);
      });
      events.onOpen(connection);
    });
    this.sweepMs = options.idleTimeoutS * 500;
  }

  listen(address: Address): Promise<number | null> {
    return new Promise((resolve) => {
      this.http.once("error", () => resolve(null));
      this.http.listen({ host: address.host, port: address.port, exclusive: true }, () => {
        this.sweeper = setInterval(() => this.sweep(), this.sweepMs);
        resolve((this.http.address() as AddressInfo).port);
      });
    });
  }

  close(): void {
    if (this.sweeper !== null) clearInterval(this.sweeper);
    for (const socket of [...this.connections.keys()]) socket.terminate();
    this.server.close();
    this.http.close();
    this.http.closeAllConnections();
  }

  /** Twice an idle timeout: who did not answer the last ping is gone. */
  private sweep(): void {
    for (const [socket, connection] of this.connections) {
      if (!connection.heard) {
        socket.terminate();
        continue;
      }
      connection.heard = false;
      if (socket.readyState === socket.OPEN) socket.ping();
    }
  }
}
