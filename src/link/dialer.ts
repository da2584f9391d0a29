// The dialling side of a link: keeps one connection to one peer, over which that peer's frames of one lane come in.
// Main thread.
import { LINK_PATH } from "./acceptor.js";
import { type Address, formatAddress } from "./address.js";
import {
  CLOSE_REASONS,
  CloseBadCertificate,
  CloseBadFrame,
  CloseGoingAway,
  CloseLostLog,
  CloseRemoved,
  CloseTimeout,
  certificateReason,
  reasonOf,
} from "./close-codes.js";
import { FrameTags } from "./frame-tags.js";
import { DialerHandshake, type Identity } from "./handshake.js";
import type { Lane } from "./lanes.js";
import { SilenceWatch } from "./silence.js";
import { PROOF_TIMEOUT_MS } from "./strangers.js";
import type { TlsSettings } from "./tls.js";
import { WsDial } from "./ws-dial.js";

const BACKOFF_MS_MIN = 10;
const BACKOFF_MS_MAX = 500;
/** A connection that stood this long ends the backoff: one that is refused at once does not. */
const STABLE_MS = 1000;
const UPGRADE_TIMEOUT_MS = 5000;

/** A code of ours, and what to say of it. */
export interface FrameRefused {
  readonly code: number;
  readonly reason: string;
}

export interface DialerEvents {
  /** A frame came in, whose bytes are handed over. Returns null, or why it is refused: the connection is closed. */
  onFrame(peer: number, bytes: Uint8Array, tags: FrameTags | null): FrameRefused | null;
  /** What to show the peer. */
  hello(): Uint8Array;
  /** What the peer shows, authenticated. Returns null to welcome it, or why not: the connection is refused. */
  onHello(peer: number, hello: Uint8Array): string | null;
  /** A connection was refused: by us, or by the peer with one of our codes. */
  onRefused(peer: number, code: number, byPeer: boolean, reason: string): void;
  /** Nobody answered at `address`: what was said. At every attempt. */
  onUnreached(peer: number, address: string, why: string): void;
  /** A connection was opened and proved. */
  onConnected(peer: number): void;
}

export interface DialerOptions {
  self: Identity;
  peer: number;
  /** What of the peer's is to come in over the connection. */
  lane: Lane;
  address: Address;
  events: DialerEvents;
  maxFrameBytes: number;
  /** For the next attempt; null: in the clear. */
  tls: () => TlsSettings | null;
  /** Uniform in [0, 1): spreads the attempts. */
  random: () => number;
}

const StateStopped = 0;
const StateWaiting = 1;
const StateDialling = 2;
const StateChallenged = 3;
const StateProving = 4;
const StateConnected = 5;

/** One peer to hear. Dials until stopped. */
export class Dialer {
  private readonly options: DialerOptions;
  address: Address;
  private state = StateStopped;
  private socket: WsDial | null = null;
  /** Waiting: until the next attempt. Challenged, proving: until whoever answered must have proved to be the peer. */
  private timer: NodeJS.Timeout | null = null;
  private backoffMs = BACKOFF_MS_MIN;
  private connectedAt = 0;
  /** Of the connection that stands. */
  private tags: FrameTags | null = null;
  /** Of the connection that stands, or is being opened. */
  private silence = new SilenceWatch();

  constructor(options: DialerOptions) {
    this.options = options;
    this.address = options.address;
  }

  start(): void {
    if (this.state === StateStopped) this.dial();
  }

  stop(): void {
    this.state = StateStopped;
    this.stopTimer();
    const socket = this.socket;
    this.socket = null;
    socket?.terminate();
  }

  /** Cuts the connection that stands, with what is in it; another is dialled. */
  cut(): void {
    if (this.state === StateConnected) this.socket!.terminate();
  }

  /** Stops when what was sent has left. */
  end(): void {
    if (this.state < StateChallenged) {
      this.stop();
      return;
    }
    const socket = this.socket!;
    this.socket = null;
    this.state = StateStopped;
    this.stopTimer();
    socket.close(CloseGoingAway, CLOSE_REASONS[CloseGoingAway]!);
  }

  /** The peer is known to be up: do not wait longer. */
  nudge(): void {
    if (this.state !== StateWaiting) return;
    this.backoffMs = BACKOFF_MS_MIN;
    this.stopTimer();
    this.dial();
  }

  /** False: dropped, as there is no connection. Only the peer's snapshot lane takes anything. */
  send(bytes: Uint8Array): boolean {
    if (this.state !== StateConnected) return false;
    this.socket!.send(bytes);
    return true;
  }

  /** Where the peer is dialled from now on. Whoever answered where it was dialled before is not given up for that. */
  setAddress(address: Address): void {
    if (address.host === this.address.host && address.port === this.address.port) return;
    this.address = address;
    // The peer is told to move while it still runs there: until it does, nobody answers at the new address.
    if (this.state === StateStopped || this.state >= StateChallenged) return;
    this.stop();
    this.backoffMs = BACKOFF_MS_MIN;
    this.dial();
  }

  /** Called every quarter of the time for which it may be silent. */
  sweep(): void {
    // Also one that is being opened: a path may swallow what was begun on it, and carry what is begun now.
    if (this.state >= StateDialling) this.silence.sweep(this.socket!);
  }

  private dial(): void {
    this.state = StateDialling;
    this.timer = null;
    this.silence = new SilenceWatch();
    const handshake = new DialerHandshake(this.options.self, this.options.peer, this.options.lane);
    const socket = new WsDial({
      address: this.address,
      path: LINK_PATH,
      payloadBytesMax: this.options.maxFrameBytes,
      timeoutMs: UPGRADE_TIMEOUT_MS,
      tls: this.options.tls(),
      events: {
        onOpen: () => {
          if (this.socket === socket) this.handleOpen(socket);
        },
        onMessage: (bytes) => {
          if (this.socket === socket) this.handleMessage(socket, handshake, bytes);
        },
        // "close" follows this and every failure, and is where we act.
        onBroken: () => {
          if (this.socket === socket) this.tellBroken();
        },
        onFailed: (error, untrusted) => {
          if (this.socket !== socket) return;
          if (untrusted) this.tellUntrusted(error);
          else this.tellUnreached(error);
        },
        onClose: (code, reason) => {
          if (this.socket === socket) this.handleClose(code, reason);
        },
      },
    });
    this.socket = socket;
  }

  private handleOpen(socket: WsDial): void {
    this.state = StateChallenged;
    // Who answers pings and says nothing would hold this side for ever.
    this.timer = setTimeout(() => this.refuse(socket, CloseTimeout), PROOF_TIMEOUT_MS);
  }

  private tellBroken(): void {
    const { peer, events } = this.options;
    events.onRefused(peer, CloseBadFrame, false, CLOSE_REASONS[CloseBadFrame]!);
  }

  private tellUntrusted(error: NodeJS.ErrnoException): void {
    const { peer, events } = this.options;
    const why = error.code === undefined ? error.message : `${error.code}: ${error.message}`;
    events.onRefused(peer, CloseBadCertificate, false, certificateReason(why));
  }

  private tellUnreached(error: NodeJS.ErrnoException): void {
    const { peer, events } = this.options;
    // The error of a name with several addresses has no message.
    events.onUnreached(peer, formatAddress(this.address), error.message || String(error.code));
  }

  private handleMessage(socket: WsDial, handshake: DialerHandshake, bytes: Uint8Array): void {
    // hot
    if (this.state === StateConnected) {
      const refused = this.options.events.onFrame(this.options.peer, bytes, this.tags);
      if (refused !== null) this.refuse(socket, refused.code, refused.reason);
    } else if (this.state === StateChallenged) {
      const step = handshake.answer(bytes, this.options.events.hello());
      if (step.code !== 0) {
        this.refuse(socket, step.code, step.reason);
        return;
      }
      this.state = StateProving;
      socket.send(step.answer);
    } else {
      this.handleAccept(socket, handshake, bytes);
    }
  }

  /** The acceptor's proof or refusal. */
  private handleAccept(socket: WsDial, handshake: DialerHandshake, bytes: Uint8Array): void {
    const { peer, events } = this.options;
    const { code, byPeer, reason, hello } = handshake.verify(bytes);
    if (code !== 0) {
      this.refuse(socket, code, reason, byPeer);
      return;
    }
    const unwelcome = events.onHello(peer, hello);
    // The callback may have stopped us.
    if (this.socket !== socket) return;
    if (unwelcome !== null) {
      socket.send(handshake.refuse(peer, CloseLostLog, unwelcome));
      this.refuse(socket, CloseLostLog, unwelcome);
      return;
    }
    const tagKey = handshake.tagKey();
    this.tags = tagKey === null ? null : new FrameTags(tagKey);
    socket.send(handshake.welcome());
    this.stopTimer();
    this.state = StateConnected;
    this.connectedAt = performance.now();
    events.onConnected(peer);
  }

  /** Closes with our reason, or agrees to the peer's, and does not wait for the peer to agree. */
  private refuse(socket: WsDial, code: number, reason = CLOSE_REASONS[code]!, byPeer = false): void {
    socket.close(code, CLOSE_REASONS[code]!);
    this.options.events.onRefused(this.options.peer, code, byPeer, reason);
    if (this.socket === socket) this.redial();
  }

  private handleClose(code: number, given: string): void {
    // Anybody on the path can close with a code. What owners act on is believed only where it was signed.
    if (code >= 4000 && code !== CloseLostLog && code !== CloseRemoved)
      this.options.events.onRefused(this.options.peer, code, true, reasonOf(code, given));
    // The callback may have stopped us.
    if (this.state !== StateStopped) this.redial();
  }

  private stopTimer(): void {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
  }

  private redial(): void {
    this.stopTimer();
    if (this.state === StateConnected && performance.now() - this.connectedAt >= STABLE_MS) {
      this.backoffMs = BACKOFF_MS_MIN;
    }
    this.socket = null;
    this.state = StateWaiting;
    const delayMs = this.backoffMs * (0.5 + 0.5 * this.options.random());
    this.backoffMs = Math.min(this.backoffMs * 2, BACKOFF_MS_MAX);
    this.timer = setTimeout(() => this.dial(), delayMs);
  }
}
