// The accepting side of a link: a WebSocket server whose bulk direction is out. uWebSockets.js where one
// loads (native-uws.ts), else `ws`. (The repack's own fallback is not used: it has no backpressure limit, and throws on
// socket errors.) Main thread.

import type * as uWS from "uWebSockets.js";
import { type AddressInfo, connect, createServer } from "node:net";
import type { Address } from "./address.js";
import { CLOSE_REASONS } from "./close-codes.js";
import { descriptorLimit, openDescriptors } from "./descriptors.js";
import type { NativeUws, UwsModule } from "./native-uws.js";
import { type Stranger, type StrangerLimits, Strangers } from "./strangers.js";
import type { TlsSettings } from "./tls.js";
import { CloseAbnormal, CloseTooBig } from "./ws-stream.js";
import { NOT_FOUND, refusalOfRequest, type UpgradeRefusal } from "./ws-upgrade.js";

/** One accepted connection. */
export interface Accepted {
  /** The owner's; the acceptor does not touch it. */
  owner: unknown;
  /** Sends one message, whose bytes are borrowed until it returns. False: dropped, too much waits. Not after close. */
  send(bytes: Uint8Array): boolean;
  /** Closes with a code, and what it means; onClose may come before this returns. Harmless when closed. */
  end(code: number, reason?: string): void;
  /** It proved itself: from here on it stays as long as it lives. */
  trust(): void;
}

export interface AcceptorEvents {
  onOpen(connection: Accepted): void;
  /** `bytes` die when this returns. */
  onMessage(connection: Accepted, bytes: Uint8Array): void;
  onClose(connection: Accepted): void;
  /** It sent what no WebSocket sends, or more than it may; it is closed, or was, and `onClose` comes. */
  onBroken(connection: Accepted, why: string): void;
  /** It did not prove itself in time, and is to be refused. */
  onExpired(connection: Accepted): void;
  /** With TLS: opened by somebody without a certificate that counts, and to be refused. `onClose` comes. */
  onUntrusted(connection: Accepted, why: string): void;
  /** With TLS: somebody spoke none, or not as it must be; the connection is gone. */
  onNoTls(why: string): void;
}

export interface AcceptorOptions {
  events: AcceptorEvents;
  /** Of one message that comes in. */
  maxPayloadBytes: number;
  /** With more than this waiting, a message is dropped. */
  maxBackpressureBytes: number;
  /** 8 .. 960. */
  idleTimeoutS: number;
  strangers: StrangerLimits;
  /** Null: in the clear. Own acceptor only: uWebSockets.js takes files, reloads none, and lets in who shows nothing. */
  tls: TlsSettings | null;
}

export interface Acceptor {
  readonly implementation: string;
  /** Resolves to the port; to null if the address cannot be listened at. */
  listen(address: Address): Promise<number | null>;
  /** For connections that come from now on. Only where `tls` was given. */
  setTls?(tls: TlsSettings): void;
  /** Closes the listener and every connection at once. */
  close(): void;
}

export const BROKEN_TOO_BIG = "a message that is too long";

/** Path of the WebSocket upgrade; anything else gets 404. */
export const LINK_PATH = "/raftmark/link";

class UwsConnection implements Accepted, Stranger {
  owner: unknown = null;
  socket: uWS.WebSocket<unknown> | null;
  readonly address: string;
  private readonly hub: UwsHub;

  constructor(hub: UwsHub, socket: uWS.WebSocket<unknown>) {
    this.hub = hub;
    this.socket = socket;
    this.address = Buffer.from(socket.getRemoteAddress()).toString("hex");
  }

  // hot
  send(bytes: Uint8Array): boolean {
    if (this.socket === null) return false;
    return this.socket.send(bytes, true, false) !== UWS_DROPPED;
  }

  end(code: number, reason = CLOSE_REASONS[code] ?? ""): void {
    this.socket?.end(code, reason);
  }

  trust(): void {
    this.hub.strangers.remove(this);
  }

  expire(): void {
    this.hub.events!.onExpired(this);
  }

  cut(): void {
    this.socket?.close();
  }
}

const UWS_DROPPED = 2;
/**
 * What uWebSockets.js itself finds wrong it cuts, without a close frame. A message that is too long is told so up to here,
 * which is what a stranger may have us hold; a longer one is cut.
 */
const UWS_PAYLOAD_BYTES_MAX = 128 * 1024;

/**
 * What the handlers of an App know. uWS never frees an App, nor what its handlers hold: whoever closes takes out of
 * here what is large.
 */
interface UwsHub {
  /** Null: closed. */
  events: AcceptorEvents | null;
  /** Where upgraded connections live; null: not known yet, or not to be had. */
  context: uWS.us_socket_context_t | null;
  readonly connections: Map<uWS.WebSocket<unknown>, UwsConnection>;
  readonly strangers: Strangers;
}

/** How often the descriptors are counted. */
const DESCRIPTORS_CHECK_MS = 100;
/** With fewer than these left, or this share of all, those that have not upgraded go. */
const SPARE_DESCRIPTORS = 256;
const SPARE_SHARE = 1 / 4;
/** After a sweep that did not help: others than strangers hold the descriptors. */
const USELESS_SWEEP_MS = 10_000;
const KEEPER_TIMEOUT_MS = 2000;

/**
 * So long a front accepts. A connection without an upgrade is noticed within two looks at what stays open, and closed two
 * turns later at most: 8 s.
 */
const TURN_MS = 3000;
const LOOK_MS = 1000;

/**
 * The native acceptor. uWS shows nobody a connection before its upgrade; it ends those that do not upgrade after 8 to
 * 12 s, but takes any number of them meanwhile. All that can be done is to close the App that accepted them. Hence three
 * Apps: two fronts accept and upgrade in turns, and what is upgraded lives in the keeper's context. A front whose turn
 * comes is closed with what it accepted in its last one, and listens again; when descriptors get short, both are, and
 * no upgraded connection notices. A turn leaves some 300 bytes behind, and is taken only after descriptors were opened,
 * and kept, that no upgraded connection has. Who connects just then and is not accepted yet is reset, and dials anew.
 */
export class UwsAcceptor implements Acceptor {
  readonly implementation: string;
  private readonly uws: UwsModule;
  private readonly fronts: readonly [ClosableApp, ClosableApp];
  /** Which front accepts, through which listener; null: it could not listen again yet. */
  private turn = 0;
  private listener: uWS.us_listen_socket | null = null;
  private readonly keeper: ClosableApp;
  private readonly hub: UwsHub;
  private listening: Address | null = null;
  private checker: NodeJS.Timeout | null = null;
  private turner: NodeJS.Timeout | null = null;
  private readonly spareDescriptors: number;
  private readonly descriptorLimit = descriptorLimit();
  /** Until those that came last are gone. */
  private turnsDue = 0;
  /** The fewest descriptors beside those of upgraded connections that were open at once since the last look, and before. */
  private others = Number.POSITIVE_INFINITY;
  private othersBefore = 0;
  private lookedAt = 0;
  private sweptAt = Number.NEGATIVE_INFINITY;

  constructor({ module: uws, implementation }: NativeUws, options: AcceptorOptions) {
    this.uws = uws;
    this.implementation = implementation;
    this.spareDescriptors = Math.min(SPARE_DESCRIPTORS, Math.floor(this.descriptorLimit * SPARE_SHARE));
    this.hub = {
      events: options.events,
      context: null,
      connections: new Map(),
      strangers: new Strangers(options.strangers),
    };
    this.fronts = [newApp(uws, this.hub, options, false), newApp(uws, this.hub, options, false)];
    this.keeper = newApp(uws, this.hub, options, true);
  }

  async listen(address: Address): Promise<number | null> {
    // For port 0 uSockets leaves SO_REUSEADDR off, and nobody could listen there again for a minute.
    const port = address.port === 0 ? await freePort(address.host) : address.port;
    if (port === null) return null;
    // Old versions cannot close an App, and get none to keep.
    if (this.keeper.close !== undefined && this.descriptorLimit > 0) await this.meetKeeper();
    this.listening = { host: address.host, port };
    this.listenAgain();
    if (this.listener === null) return null;
    if (this.hub.context !== null) {
      this.othersBefore = openDescriptors() - this.hub.connections.size;
      this.lookedAt = performance.now();
      this.turner = setInterval(() => this.takeTurns(), TURN_MS);
      this.checker = setInterval(() => this.checkDescriptors(), DESCRIPTORS_CHECK_MS);
    }
    return port;
  }

  close(): void {
    const { hub } = this;
    if (this.checker !== null) clearInterval(this.checker);
    if (this.turner !== null) clearInterval(this.turner);
    for (const socket of [...hub.connections.keys()]) socket.close();
    // Also connections that never became WebSockets; older versions lack this, and time them out.
    for (const front of this.fronts) front.close?.();
    this.keeper.close?.();
    hub.strangers.close();
    hub.events = null;
  }

  /** Learns the keeper's context, which uWS tells only to who upgrades a connection: one of our own. */
  private async meetKeeper(): Promise<void> {
    const host = "127.0.0.1";
    const port = await freePort(host);
    const listener = port === null ? null : listenExclusively(this.keeper, { host, port });
    if (port === null || listener === null) return;
    await new Promise<void>((resolve) => {
      const socket = connect({ host, port, timeout: KEEPER_TIMEOUT_MS });
      socket.on("connect", () => socket.write(UPGRADE_REQUEST));
      socket.on("timeout", () => socket.destroy());
      socket.on("error", () => {});
      socket.on("close", () => resolve());
    });
    this.uws.us_listen_socket_close(listener);
  }

  private checkDescriptors(): void {
    if (this.listener === null) {
      this.listenAgain();
      return;
    }
    const open = openDescriptors();
    const isShort = (count: number): boolean => this.descriptorLimit - count < this.spareDescriptors;
    const now = performance.now();
    this.look(open - this.hub.connections.size, now);
    if (!isShort(open) || now - this.sweptAt < USELESS_SWEEP_MS) return;
    for (const front of this.fronts) front.close!();
    this.listenAgain();
    if (isShort(openDescriptors())) this.sweptAt = now;
  }

  // What is open for a moment, as a file of the log, does not count.
  private look(others: number, now: number): void {
    this.others = Math.min(this.others, others);
    if (now - this.lookedAt < LOOK_MS) return;
    if (this.others > this.othersBefore) this.turnsDue = 2;
    this.othersBefore = this.others;
    this.others = Number.POSITIVE_INFINITY;
    this.lookedAt = now;
  }

  private takeTurns(): void {
    if (this.listener === null || this.turnsDue === 0) return;
    this.turnsDue--;
    const next = 1 - this.turn;
    this.fronts[next]!.close!();
    this.uws.us_listen_socket_close(this.listener);
    this.turn = next;
    this.listenAgain();
  }

  private listenAgain(): void {
    this.listener = listenExclusively(this.fronts[this.turn]!, this.listening!);
  }
}

type ClosableApp = uWS.TemplatedApp & { close?: () => void };

const UPGRADE_REQUEST = [
  `GET ${LINK_PATH} HTTP/1.1`,
  "Host: keeper",
  "Connection: Upgrade",
  "Upgrade: websocket",
  "Sec-WebSocket-Version: 13",
  "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
  "",
  "",
].join("\r\n");

/** An App whose connections are told to `hub`. Outside the class, so that its handlers hold nothing else. */
function newApp(uws: UwsModule, hub: UwsHub, options: AcceptorOptions, keeper: boolean): ClosableApp {
  const app: ClosableApp = uws.App();
  const { maxPayloadBytes } = options;
  app.ws(LINK_PATH, {
    maxPayloadLength: Math.max(maxPayloadBytes, UWS_PAYLOAD_BYTES_MAX),
    maxBackpressure: options.maxBackpressureBytes,
    idleTimeout: options.idleTimeoutS,
    sendPingsAutomatically: true,
    compression: uws.DISABLED,
    upgrade: (response, request, context) => {
      if (keeper) {
        hub.context = context;
        response.close();
        return;
      }
      const refusal = refusalOfUpgradeAt(request);
      if (refusal !== null) {
        refuse(response, refusal);
        return;
      }
      const key = request.getHeader("sec-websocket-key");
      const protocol = request.getHeader("sec-websocket-protocol");
      response.upgrade({}, key, protocol, "", hub.context ?? context);
    },
    open: (socket) => {
      const connection = new UwsConnection(hub, socket);
      hub.connections.set(socket, connection);
      if (hub.events === null) {
        socket.close();
        return;
      }
      hub.strangers.add(connection);
      hub.events.onOpen(connection);
    },
    message: (socket, message) => {
      const connection = hub.connections.get(socket)!;
      if (message.byteLength <= maxPayloadBytes) {
        hub.events?.onMessage(connection, new Uint8Array(message));
        return;
      }
      hub.events?.onBroken(connection, BROKEN_TOO_BIG);
      connection.end(CloseTooBig);
    },
    close: (socket, code, reason) => {
      const connection = hub.connections.get(socket)!;
      hub.connections.delete(socket);
      hub.strangers.remove(connection);
      connection.socket = null;
      // Cut by uWS, in its own words. For much that is no WebSocket it has none, as for a connection that is lost.
      if (code === CloseAbnormal && reason.byteLength > 0)
        hub.events?.onBroken(connection, Buffer.from(reason).toString());
      hub.events?.onClose(connection);
    },
  });
  app.any("/*", (response) => refuse(response, NOT_FOUND));
  return app;
}

/** uWS takes any GET with a key of that length for one to upgrade, whatever its query. */
function refusalOfUpgradeAt(request: uWS.HttpRequest): UpgradeRefusal | null {
  // It gives undefined for none, whatever its types say.
  if (request.getQuery()) return NOT_FOUND;
  return refusalOfRequest("GET", {
    upgrade: request.getHeader("upgrade"),
    "sec-websocket-key": request.getHeader("sec-websocket-key"),
    "sec-websocket-version": request.getHeader("sec-websocket-version"),
  });
}

function refuse(response: uWS.HttpResponse, { status, headers }: UpgradeRefusal): void {
  response.writeStatus(status);
  for (const [name, value] of Object.entries(headers)) response.writeHeader(name, value);
  response.end("", true);
}

/** Null if it cannot. Exclusive, or uWS sets SO_REUSEPORT and two nodes would share the port without a word. */
function listenExclusively(app: ClosableApp, address: Address): uWS.us_listen_socket | null {
  // Its types lack the form with host and options.
  const listen = app.listen.bind(app) as unknown as (
    host: string,
    port: number,
    options: number,
    listening: (listener: uWS.us_listen_socket | false) => void,
  ) => void;
  let listener: uWS.us_listen_socket | false = false;
  // Called before `listen` returns.
  listen(address.host, address.port, 1, (opened) => {
    listener = opened;
  });
  return listener === false ? null : listener;
}

/** A port that nobody listens at; null if the host cannot be listened at. */
function freePort(host: string): Promise<number | null> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once("error", () => resolve(null));
    probe.listen({ host, port: 0 }, () => {
      const { port } = probe.address() as AddressInfo;
      probe.close(() => resolve(port));
    });
  });
}
