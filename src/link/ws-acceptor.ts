// The accepting side on `ws`, for where no uWebSockets.js loads. Main thread.
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { type ServerOptions, type WebSocket, WebSocketServer } from "ws";
import { type Accepted, type Acceptor, type AcceptorOptions, LINK_PATH, packageVersion } from "./acceptor.js";
import type { Address } from "./address.js";
import { type Stranger, Strangers } from "./strangers.js";

/** How long a connection we closed may linger. */
const CLOSE_TIMEOUT_MS = 1000;

/** A TCP connection until it proves itself, upgraded or not. */
class WsStranger implements Stranger {
  readonly address: string;
  private readonly stream: Socket;
  /** Once upgraded. */
  onExpired: (() => void) | null = null;

  constructor(stream: Socket) {
    this.stream = stream;
    this.address = stream.remoteAddress ?? "";
  }

  expire(): void {
    if (this.onExpired === null) this.cut();
    else this.onExpired();
  }

  cut(): void {
    this.stream.destroy();
  }
}

class WsConnection implements Accepted {
  owner: unknown = null;
  /** Heard from since the last sweep. */
  heard = true;
  private readonly socket: WebSocket;
  private readonly maxBackpressureBytes: number;
  private readonly onTrust: () => void;

  constructor(socket: WebSocket, maxBackpressureBytes: number, onTrust: () => void) {
    this.onTrust = onTrust;
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

  trust(): void {
    this.onTrust();
  }
}

/** The acceptor without uWebSockets.js. */
export class WsAcceptor implements Acceptor {
  readonly implementation: string;
  private readonly http: Server;
  private readonly server: WebSocketServer;
  private readonly connections = new Map<WebSocket, WsConnection>();
  private readonly strangers: Strangers;
  private readonly strangersByStream = new WeakMap<Socket, WsStranger>();
  private readonly sweepMs: number;
  private sweeper: NodeJS.Timeout | null = null;

  /** `why` it is this one, for reports. */
  constructor(options: AcceptorOptions, why: string) {
    this.implementation = `ws ${packageVersion("ws")} (${why})`;
    const { events } = options;
    this.http = createServer((_request, response) => {
      response.writeHead(404, { connection: "close" }).end();
    });
    this.strangers = new Strangers(options.strangers);
    this.http.on("connection", (stream) => {
      const stranger = new WsStranger(stream);
      this.strangersByStream.set(stream, stranger);
      stream.once("close", () => this.strangers.remove(stranger));
      this.strangers.add(stranger);
    });
    // Its types lack closeTimeout.
    const serverOptions: ServerOptions & { closeTimeout: number } = {
      server: this.http,
      path: LINK_PATH,
      perMessageDeflate: false,
      maxPayload: options.maxPayloadBytes,
      skipUTF8Validation: true,
      closeTimeout: CLOSE_TIMEOUT_MS,
    };
    this.server = new WebSocketServer(serverOptions);
    // Errors of the server reach `listen`; those of a socket end in its "close".
    this.server.on("error", () => {});
    this.server.on("connection", (socket: WebSocket, request: IncomingMessage) => {
      const stranger = this.strangersByStream.get(request.socket)!;
      const connection = new WsConnection(socket, options.maxBackpressureBytes, () =>
        this.strangers.remove(stranger),
      );
      stranger.onExpired = () => events.onExpired(connection);
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
    this.strangers.close();
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
