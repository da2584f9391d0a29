// The accepting side on Node's own sockets, for where no uWebSockets.js loads. Main thread.
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import {
  type Accepted,
  type Acceptor,
  type AcceptorEvents,
  type AcceptorOptions,
  LINK_PATH,
} from "./acceptor.js";
import type { Address } from "./address.js";
import { type Stranger, Strangers } from "./strangers.js";
import { WsStream } from "./ws-stream.js";
import { answerUpgrade, refusal } from "./ws-upgrade.js";

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
  readonly stream: WsStream;
  private readonly maxBackpressureBytes: number;
  private readonly onTrust: () => void;

  constructor(socket: Socket, options: AcceptorOptions, onTrust: () => void, onClose: () => void) {
    const { events } = options;
    this.onTrust = onTrust;
    this.maxBackpressureBytes = options.maxBackpressureBytes;
    this.stream = new WsStream(socket, false, options.maxPayloadBytes, {
      onMessage: (bytes) => {
        this.heard = true;
        events.onMessage(this, bytes);
      },
      // A peer's pings come whatever we have queued for it; its pongs answer pings that stand behind all that.
      onSign: () => {
        this.heard = true;
      },
      onBroken: () => {},
      onClose,
    });
  }

  send(bytes: Uint8Array): boolean {
    // hot
    const { stream } = this;
    if (!stream.isOpen || stream.waitingBytes > this.maxBackpressureBytes) return false;
    stream.send(bytes);
    return true;
  }

  end(code: number, reason: string): void {
    this.stream.close(code, reason);
  }

  trust(): void {
    this.onTrust();
  }
}

/** The acceptor without uWebSockets.js. */
export class WsAcceptor implements Acceptor {
  readonly implementation: string;
  private readonly options: AcceptorOptions;
  private readonly events: AcceptorEvents;
  private readonly http: Server;
  private readonly connections = new Set<WsConnection>();
  private readonly strangers: Strangers;
  private readonly strangersByStream = new WeakMap<Socket, WsStranger>();
  private readonly sweepMs: number;
  private sweeper: NodeJS.Timeout | null = null;

  /** `why` it is this one, for reports. */
  constructor(options: AcceptorOptions, why: string) {
    this.implementation = `ws on node:net (${why})`;
    this.options = options;
    this.events = options.events;
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
    this.http.on("upgrade", (request: IncomingMessage, socket: Socket, head: Buffer) =>
      this.upgrade(request, socket, head),
    );
    this.sweepMs = options.idleTimeoutS * 500;
  }

  private upgrade(request: IncomingMessage, socket: Socket, head: Buffer): void {
    const { answer, accepted } =
      request.url === LINK_PATH
        ? answerUpgrade(request.method, request.headers)
        : { answer: refusal("404 Not Found"), accepted: false };
    if (!accepted) {
      socket.on("error", () => {});
      socket.end(answer, "latin1", () => socket.destroy());
      return;
    }
    socket.setTimeout(0);
    socket.setNoDelay(true);
    socket.write(answer, "latin1");
    const { events } = this;
    const stranger = this.strangersByStream.get(socket)!;
    const connection: WsConnection = new WsConnection(
      socket,
      this.options,
      () => this.strangers.remove(stranger),
      () => {
        this.connections.delete(connection);
        events.onClose(connection);
      },
    );
    stranger.onExpired = () => events.onExpired(connection);
    this.connections.add(connection);
    events.onOpen(connection);
    connection.stream.feed(head, 0, head.length);
    socket.on("data", (bytes) => connection.stream.feed(bytes, 0, bytes.length));
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
    for (const { stream } of [...this.connections]) stream.terminate();
    this.http.close();
    this.http.closeAllConnections();
    this.strangers.close();
  }

  /** Twice an idle timeout: who did not answer the last ping is gone. */
  private sweep(): void {
    for (const connection of this.connections) {
      const { stream } = connection;
      if (!connection.heard) {
        stream.terminate();
        continue;
      }
      connection.heard = false;
      stream.ping();
    }
  }
}
