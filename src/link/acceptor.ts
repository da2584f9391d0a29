// The accepting side of a link: a WebSocket server whose bulk direction is out. Natively uWebSockets.js; where its
// binary does not load, `ws`. (The package's own fallback is not used: it has no backpressure limit, and throws on
// socket errors.) Main thread.

import type * as uWS from "uWebSockets.js";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { type AddressInfo, createServer } from "node:net";
import { dirname, join } from "node:path";
import type { Address } from "./address.js";

/** One accepted connection. */
export interface Accepted {
  /** The owner's; the acceptor does not touch it. */
  owner: unknown;
  /** Sends one message, whose bytes are borrowed until it returns. False: dropped, too much waits. Not after close. */
  send(bytes: Uint8Array): boolean;
  /** Closes with a code; onClose may come before this returns. Harmless when closed. */
  end(code: number, reason: string): void;
}

export interface AcceptorEvents {
  onOpen(connection: Accepted): void;
  /** `bytes` die when this returns. */
  onMessage(connection: Accepted, bytes: Uint8Array): void;
  onClose(connection: Accepted): void;
}

export interface AcceptorOptions {
  events: AcceptorEvents;
  /** Of one message that comes in. */
  maxPayloadBytes: number;
  /** With more than this waiting, a message is dropped. */
  maxBackpressureBytes: number;
  /** 8 .. 960. */
  idleTimeoutS: number;
}

export interface Acceptor {
  readonly implementation: string;
  /** Resolves to the port; to null if the address cannot be listened at. */
  listen(address: Address): Promise<number | null>;
  /** Closes the listener and every connection at once. */
  close(): void;
}

/** Path of the WebSocket upgrade; anything else gets 404. */
export const LINK_PATH = "/raftmark/link";

const require = createRequire(import.meta.url);

type UwsModule = typeof uWS;

/** The native module, or null. Without a binary for this Node it is not even loaded: it would print warnings. */
export function loadNativeUws(): UwsModule | null {
  try {
    const root = dirname(require.resolve("uWebSockets.js/package.json"));
    const binary = `uws_${process.platform}_${process.arch}_${process.versions.modules}.node`;
    // The authors' own package has its binaries at the top, the repack below `binaries`.
    if (!existsSync(join(root, "binaries", binary)) && !existsSync(join(root, binary))) return null;
    if (/^(true|1)$/i.test(process.env["UWS_USE_FALLBACK"] ?? "")) return null;
    const module = require("uWebSockets.js") as UwsModule;
    // The binary may still not load (an old libc); then we were handed the package's fallback, which lacks this.
    return typeof module.getParts === "function" ? module : null;
  } catch {
    return null;
  }
}

/** "8.23.0" of an installed package. */
export function packageVersion(name: string): string {
  return (require(`${name}/package.json`) as { version: string }).version;
}

class UwsConnection implements Accepted {
  owner: unknown = null;
  socket: uWS.WebSocket<unknown> | null;

  constructor(socket: uWS.WebSocket<unknown>) {
    this.socket = socket;
  }

  // hot
  send(bytes: Uint8Array): boolean {
    if (this.socket === null) return false;
    return this.socket.send(bytes, true, false) !== UWS_DROPPED;
  }

  end(code: number, reason: string): void {
    this.socket?.end(code, reason);
  }
}

const UWS_DROPPED = 2;

/** The native acceptor. */
export class UwsAcceptor implements Acceptor {
  readonly implementation: string;
  private readonly uws: UwsModule;
  private readonly app: uWS.TemplatedApp & { close?: () => void };
  private readonly connections = new Map<uWS.WebSocket<unknown>, UwsConnection>();
  private listener: uWS.us_listen_socket | null = null;

  constructor(uws: UwsModule, options: AcceptorOptions) {
    this.uws = uws;
    this.implementation = `uWebSockets.js ${packageVersion("uWebSockets.js").replace(/-.*/, "")} (native)`;
    this.app = uws.App();
    const { events } = options;
    this.app.ws(LINK_PATH, {
      maxPayloadLength: options.maxPayloadBytes,
      maxBackpressure: options.maxBackpressureBytes,
      idleTimeout: options.idleTimeoutS,
      sendPingsAutomatically: true,
      compression: uws.DISABLED,
      open: (socket) => {
        const connection = new UwsConnection(socket);
        this.connections.set(socket, connection);
        events.onOpen(connection);
      },
      message: (socket, message) => {
        events.onMessage(this.connections.get(socket)!, new Uint8Array(message));
      },
      close: (socket) => {
        const connection = this.connections.get(socket)!;
        this.connections.delete(socket);
        connection.socket = null;
        events.onClose(connection);
      },
    });
    this.app.any("/*", (response) => {
      response.writeStatus("404 Not Found").end("", true);
    });
  }

  async listen(address: Address): Promise<number | null> {
    // For port 0 uSockets leaves SO_REUSEADDR off, and nobody could listen there again for a minute.
    const port = address.port === 0 ? await freePort(address.host) : address.port;
    if (port === null) return null;
    return new Promise((resolve) => {
      // Exclusive, or uWS sets SO_REUSEPORT and two nodes would share the port without a word. Its types lack the
      // form with host and options.
      const listen = this.app.listen.bind(this.app) as unknown as (
        host: string,
        port: number,
        options: number,
        listening: (listener: uWS.us_listen_socket | false) => void,
      ) => void;
      listen(address.host, port, 1, (listener) => {
        if (listener !== false) this.listener = listener;
        resolve(listener === false ? null : port);
      });
    });
  }

  close(): void {
    if (this.listener !== null) this.uws.us_listen_socket_close(this.listener);
    this.listener = null;
    for (const socket of [...this.connections.keys()]) socket.close();
    // Also connections that never became WebSockets; older versions lack this, and time them out.
    this.app.close?.();
  }
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
