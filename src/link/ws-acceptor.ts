// The accepting side on Node's own sockets, for where no uWebSockets.js loads, and for TLS. Main thread.
import { createServer, type IncomingMessage, type Server } from "node:http";
import { createServer as createTlsServer, type Server as TlsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import {
  type Accepted,
  type Acceptor,
  type AcceptorEvents,
  type AcceptorOptions,
  BROKEN_TOO_BIG,
  LINK_PATH,
} from "./acceptor.js";
import type { Address } from "./address.js";
import { CLOSE_REASONS } from "./close-codes.js";
import { SilenceWatch } from "./silence.js";
import { type Stranger, Strangers } from "./strangers.js";
import type { TlsSettings } from "./tls.js";
import { faultOf } from "./tls-faults.js";
import { CloseTooBig, WsStream } from "./ws-stream.js";
import {
  NO_METHOD,
  NOT_FOUND,
  refusalAnswer,
  refusalOfRequest,
  TOO_LATE,
  type UpgradeRefusal,
  upgradeAnswer,
} from "./ws-upgrade.js";

const BROKEN = "bytes that are no WebSocket frame";

/** A TCP connection until it proves itself, upgraded or not. */
class WsStranger implements Stranger {
  readonly address: string;
  private readonly stream: Socket;
  /** What it is answered on; null: its TLS is not there yet. */
  answerable: Socket | null = null;
  /** Once upgraded. */
  onExpired: (() => void) | null = null;

  constructor(stream: Socket) {
    this.stream = stream;
    this.address = stream.remoteAddress ?? "";
  }

  expire(): void {
    if (this.onExpired !== null) this.onExpired();
    else if (this.answerable === null) this.cut();
    // Who does not take it in time is cut.
    else this.answerable.end(refusalAnswer(TOO_LATE), "latin1");
  }

  cut(): void {
    this.stream.destroy();
  }
}

class WsConnection implements Accepted {
  owner: unknown = null;
  readonly silence = new SilenceWatch();
  readonly stream: WsStream;
  private readonly maxBackpressureBytes: number;
  private readonly onTrust: () => void;

  constructor(socket: Socket, options: AcceptorOptions, onTrust: () => void, onClose: () => void) {
    const { events } = options;
    this.onTrust = onTrust;
    this.maxBackpressureBytes = options.maxBackpressureBytes;
    this.stream = new WsStream(socket, false, options.maxPayloadBytes, {
      onMessage: (bytes) => events.onMessage(this, bytes),
      onBroken: (code) => events.onBroken(this, code === CloseTooBig ? BROKEN_TOO_BIG : BROKEN),
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

  end(code: number, reason = CLOSE_REASONS[code]): void {
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
  private readonly http: Server | TlsServer;
  private tls: TlsSettings | null;
  private readonly connections = new Set<WsConnection>();
  private readonly strangers: Strangers;
  /** By the other end of their connection: a TLS socket does not tell which socket it is upon. */
  private readonly strangersByEnd = new Map<string, WsStranger>();
  private readonly sweepMs: number;
  private sweeper: NodeJS.Timeout | null = null;

  /** `why` it is this one, for reports. */
  constructor(options: AcceptorOptions, why: string) {
    const { tls } = options;
    this.implementation = `ws on node:${tls === null ? "net" : "tls"} (${why})`;
    this.options = options;
    this.tls = tls;
    this.events = options.events;
    // Who comes with a wrong certificate is let in as far as to be told so: `upgrade`.
    this.http =
      tls === null
        ? createServer()
        : createTlsServer({ ...tls, requestCert: true, rejectUnauthorized: false });
    this.http.on("request", (_request, response) => {
      response.writeHead(404, { connection: "close" }).end();
    });
    this.strangers = new Strangers(options.strangers);
    this.http.on("connection", (stream) => {
      const stranger = new WsStranger(stream);
      if (tls === null) stranger.answerable = stream;
      const end = endOf(stream);
      this.strangersByEnd.set(end, stranger);
      stream.once("close", () => {
        this.strangers.remove(stranger);
        if (this.strangersByEnd.get(end) === stranger) this.strangersByEnd.delete(end);
      });
      this.strangers.add(stranger);
    });
    this.http.on("secureConnection", (socket: TLSSocket) => {
      const stranger = this.strangersByEnd.get(endOf(socket));
      if (stranger !== undefined) stranger.answerable = socket;
    });
    this.http.on("connect", (_request, socket: Socket) => refuse(socket, NO_METHOD));
    this.http.on("upgrade", (request: IncomingMessage, socket: Socket, head: Buffer) =>
      this.upgrade(request, socket, head),
    );
    // Not those that end before they said anything wrong.
    this.http.on("tlsClientError", (error: NodeJS.ErrnoException) => {
      if (error.code?.startsWith("ERR_SSL_")) this.events.onNoTls(error.code);
    });
    this.sweepMs = options.idleTimeoutS * 250;
  }

  private upgrade(request: IncomingMessage, socket: Socket, head: Buffer): void {
    const { url, method, headers } = request;
    const refusal = url === LINK_PATH ? refusalOfRequest(method, headers) : NOT_FOUND;
    if (refusal !== null) {
      refuse(socket, refusal);
      return;
    }
    const stranger = this.strangersByEnd.get(endOf(socket));
    if (stranger === undefined) {
      // It went meanwhile.
      socket.destroy();
      return;
    }
    socket.setTimeout(0);
    socket.setNoDelay(true);
    socket.write(upgradeAnswer(headers["sec-websocket-key"]!), "latin1");
    const { events } = this;
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
    const fault = this.tls === null ? null : faultOf(socket as TLSSocket, "client", null, this.tls);
    if (fault !== null) {
      events.onUntrusted(connection, fault);
      return;
    }
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

  setTls(tls: TlsSettings): void {
    this.tls = tls;
    (this.http as TlsServer).setSecureContext(tls);
  }

  close(): void {
    if (this.sweeper !== null) clearInterval(this.sweeper);
    for (const { stream } of [...this.connections]) stream.terminate();
    this.http.close();
    this.http.closeAllConnections();
    this.strangers.close();
  }

  /** Every quarter of the idle timeout. */
  private sweep(): void {
    for (const { silence, stream } of this.connections) silence.sweep(stream);
  }
}

/** In HTTP: it is not upgraded. */
function refuse(socket: Socket, refusal: UpgradeRefusal): void {
  socket.on("error", () => {});
  socket.end(refusalAnswer(refusal), "latin1", () => socket.destroy());
}

function endOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}
