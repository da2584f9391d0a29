// Dials a WebSocket. Everything that comes in is read into one buffer, which all connections of the thread share: it is
// taken out of there before the next read. Main thread.
import { connect, type NetConnectOpts, type Socket } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { type Address, formatAddress } from "./address.js";
import { names } from "./names.js";
import type { TlsSettings } from "./tls.js";
import { faultOf } from "./tls-faults.js";
import { WsStream, type WsStreamEvents } from "./ws-stream.js";
import { newKey, refusalOfBeginning, refusalOfUpgrade, upgradeRequest } from "./ws-upgrade.js";

/** Of the answer to the request to upgrade. */
const HEAD_BYTES_MAX = 16 * 1024;
const READ_BYTES = 256 * 1024;

export interface WsDialEvents extends WsStreamEvents {
  /** It is upgraded. */
  onOpen(): void;
  /** It will not be; "close" follows. `untrusted`: who answered showed no certificate that counts, or spoke no TLS. */
  onFailed(error: NodeJS.ErrnoException, untrusted: boolean): void;
}

export interface WsDialOptions {
  address: Address;
  path: string;
  /** Of one message that comes in. */
  payloadBytesMax: number;
  /** Until it must be upgraded. */
  timeoutMs: number;
  /** Null: in the clear. */
  tls: TlsSettings | null;
  events: WsDialEvents;
}

const NOTHING = Buffer.alloc(0);
let readBuffer: Uint8Array | null = null;

export class WsDial {
  private readonly options: WsDialOptions;
  private readonly socket: Socket;
  private readonly key = newKey();
  /** Of the answer, until it is complete. */
  private head: Buffer = NOTHING;
  private timer: NodeJS.Timeout | null;
  private stream: WsStream | null = null;
  private failed = false;
  /** Somebody answered, and it is not known yet whether they have a certificate. */
  private unproved = false;

  constructor(options: WsDialOptions) {
    this.options = options;
    const { address, path, timeoutMs, tls, events } = options;
    readBuffer ??= new Uint8Array(READ_BYTES);
    const connectOptions: NetConnectOpts = {
      host: address.host,
      port: address.port,
      lookup: names.lookup,
      noDelay: true,
      onread: {
        buffer: readBuffer,
        callback: (count, bytes) => {
          if (this.stream === null) this.readAnswer(bytes, count);
          else this.stream.feed(bytes, 0, count);
          return true;
        },
      },
    };
    // Refused below, where all that is wrong can still be seen.
    const tlsOptions = { ...connectOptions, ...tls, rejectUnauthorized: false };
    this.socket = tls === null ? connect(connectOptions) : connectTls(tlsOptions);
    const { socket } = this;
    this.timer = setTimeout(() => this.tooLate(), timeoutMs);
    if (tls !== null)
      socket.on("connect", () => {
        this.unproved = true;
      });
    socket.on(tls === null ? "connect" : "secureConnect", () => {
      const fault = tls === null ? null : faultOf(socket as TLSSocket, "server", address.host, tls);
      if (fault !== null) {
        this.fail(new Error(fault), true);
        return;
      }
      this.unproved = false;
      socket.write(upgradeRequest(formatAddress(address), path, this.key));
    });
    socket.on("error", (error) => this.fail(error));
    socket.on("close", () => {
      if (this.stream !== null) return;
      const hint = this.options.tls === null ? " (if it wants TLS, give option tls)" : "";
      this.fail(new Error(`closed before it was upgraded${hint}`));
      events.onClose(1006, "");
    });
  }

  get bytesRead(): number {
    return this.socket.bytesRead;
  }

  send(bytes: Uint8Array): void {
    this.stream!.send(bytes);
  }

  /** Nothing, before it is upgraded. */
  ping(): void {
    this.stream?.ping();
  }

  close(code: number, reason = ""): void {
    this.stream!.close(code, reason);
  }

  terminate(): void {
    if (this.stream === null) this.tooLate();
    else this.stream.terminate();
  }

  private tooLate(): void {
    const silent = "no TLS in time (if it speaks without, give option tls to all members or to none)";
    this.fail(new Error(this.unproved ? silent : "Opening handshake has timed out"));
  }

  private readAnswer(bytes: Uint8Array, count: number): void {
    if (this.failed) return;
    const had = this.head.length;
    this.head = Buffer.concat([this.head, bytes.subarray(0, count)]);
    // Else who speaks something else, and waits for an answer, would hold this side until the timeout.
    const stranger = refusalOfBeginning(this.head);
    if (stranger !== null) {
      this.fail(new Error(stranger));
      return;
    }
    const end = this.head.indexOf("\r\n\r\n", Math.max(0, had - 3), "latin1");
    if (end < 0 && this.head.length < HEAD_BYTES_MAX) return;
    const refusal =
      end < 0 || end > HEAD_BYTES_MAX
        ? "an answer without an end"
        : refusalOfUpgrade(this.head.toString("latin1", 0, end), this.key);
    if (refusal !== null) {
      this.fail(new Error(refusal));
      return;
    }
    this.stopTimer();
    const rest = this.head.subarray(end + 4);
    this.head = NOTHING;
    const { payloadBytesMax, events } = this.options;
    this.stream = new WsStream(this.socket, true, payloadBytesMax, events);
    events.onOpen();
    this.stream.feed(rest, 0, rest.length);
  }

  private fail(error: NodeJS.ErrnoException, untrusted = this.unproved && !isCut(error)): void {
    this.stopTimer();
    if (this.failed || this.stream !== null) return;
    this.failed = true;
    this.options.events.onFailed(error, untrusted);
    this.socket.destroy();
  }

  private stopTimer(): void {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
  }
}

/** It says nothing of who is at the other end. */
function isCut({ code = "ECONN" }: NodeJS.ErrnoException): boolean {
  return /^(ECONN|EPIPE|ETIMEDOUT)/.test(code);
}
