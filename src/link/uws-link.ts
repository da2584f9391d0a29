// The network link. Each node dials the peers it wants to hear; what it sends to a peer leaves over the connections
// that the peer opened, one for each lane (guests.ts). Here: who is dialled, frames out, frames in, and what the owner
// is told of them. Main thread.
import { randomInt } from "node:crypto";
import { isMainThread } from "node:worker_threads";
import { assert } from "../base/assert.js";
import { NO_DATA } from "../base/bytes.js";
import { crc32c } from "../base/crc32c.js";
import { RaftmarkError } from "../base/errors.js";
import type { Message } from "../raft/raftpb/index.js";
import { FRAME_OVERHEAD_BYTES, FrameReader, FrameWriter } from "../wire/frame.js";
import { type Accepted, type Acceptor, type AcceptorOptions, UwsAcceptor } from "./acceptor.js";
import { type Address, parseAddress, parseDialled } from "./address.js";
import { CLOSE_REASONS, CloseBadFrame, CloseBadMessage, CloseBadTag } from "./close-codes.js";
import { checkOtherSecret, checkSecret, clusterKey } from "./cluster-key.js";
import { Dialer, type DialerEvents, type FrameRefused } from "./dialer.js";
import { FRAME_TARGET_BYTES, FrameSender, MAX_FRAME_BYTES_DEFAULT } from "./frame-sender.js";
import type { FrameTags } from "./frame-tags.js";
import { type Guest, Guests } from "./guests.js";
import { HANDSHAKE_BYTES_MAX, type Identity } from "./handshake.js";
import { isForExpressToo, type Lane, LaneBulk, LaneExpress, LaneSnapshot, laneOf } from "./lanes.js";
import {
  type AcceptorKind,
  codeOfStranger,
  helloOf,
  type Link,
  type LinkHandler,
  type LinkStats,
} from "./link.js";
import { listenError } from "./listen-error.js";
import { loadNativeUws, refusalOfUws } from "./native-uws.js";
import { Notices } from "./notices.js";
import { Peer } from "./peer.js";
import { Refusals } from "./refusals.js";
import { type SnapshotLane, type SnapshotLaneEvents, withoutTag } from "./snapshot-lane.js";
import { resolveTls, type TlsOptions, type TlsSettings } from "./tls.js";
import { WsAcceptor } from "./ws-acceptor.js";

/** What a link over sockets is made of. Sizes in bytes, times in milliseconds where the name says so. */
export interface UwsLinkOptions {
  /** This node, 1 .. 2^53-1. */
  id: number;
  clusterId: number;
  /** host:port to accept peers at; port 0 takes a free one (see `port`). */
  listen: string;
  /** Where each peer listens. This node may be among them. */
  peers: Readonly<Record<number, string>>;
  /** The cluster's shared key; shorter than 16 bytes only where all addresses are this machine's own (loopback). */
  secret: string;
  /** Taken from who dials as well, while the cluster changes its key; at least 16 bytes. Default: none. */
  otherSecret?: string | undefined;
  /** TLS with a certificate on both sides; then the acceptor is our own. Default: in the clear. */
  tls?: TlsOptions | undefined;
  /** A frame for a peer is dropped while more than this waits for it. Default 32 MiB. */
  maxBackpressureBytes?: number;
  /** A frame of several messages, or of an append of several entries, stays below this. Default 256 KiB. */
  frameTargetBytes?: number;
  /** A frame stays below this, out and in. Default 64 MiB. */
  maxFrameBytes?: number;
  /** A connection is given up after so long without a byte; 8 .. 960. Default 8. */
  idleTimeoutS?: number;
  /**
   * One by which a peer is heard is given up sooner, and dialled anew: after some half more than so many milliseconds
   * without a byte, not even the answer to a ping. At least 100, at most the idle timeout, which is the default.
   */
  silenceMs?: number;
  /**
   * Frames carry a tag under a key of their connection, not only a CRC: nobody on the way can change what is sent. Off
   * only where both ends turn it off. Default true.
   */
  frameTags?: boolean;
  /** What accepts connections. Default: uWebSockets.js where one is installed and loads, `ws` else and in a worker thread. */
  acceptor?: AcceptorKind | undefined;
}

/** The network link, with what its owner may want beyond Link. */
export interface UwsLink extends Link {
  /**
   * What connections that come from now on show and believe; those that stand stay. Only where it was opened with TLS.
   * Throws RAFT_BAD_OPTION, and leaves it as it was.
   */
  setTls(tls: TlsOptions): void;
  /** The port listened at; 0 before `start`. */
  readonly port: number;
}

const DEFAULT_MAX_BACKPRESSURE_BYTES = 32 * 1024 * 1024;
const DEFAULT_IDLE_TIMEOUT_S = 8;
/** Connections that have not proved themselves: the oldest is cut for one more than these. */
const STRANGERS = { max: 256, maxPerAddress: 64 };

/** Creates the link; it neither listens nor dials before `start`. Throws RAFT_BAD_OPTION. */
export function createUwsLink(options: UwsLinkOptions): UwsLink {
  return new SocketLink(options);
}

class SocketLink implements UwsLink {
  /** Its key is known once `start` derived it. */
  private readonly self: Identity & { key: Uint8Array; otherKey: Uint8Array | undefined };
  private readonly secret: string;
  private readonly otherSecret: string | undefined;
  private tls: TlsSettings | null;
  private readonly listenAt: Address;
  private readonly maxFrameBytes: number;
  private readonly silenceMs: number;
  private readonly acceptor: Acceptor;
  private readonly sender: FrameSender;
  private readonly reader: FrameReader;
  private readonly notices = new Notices();
  private readonly peers = new Map<number, Peer>();
  private readonly guests: Guests;
  /** Peers with messages in the `send` under way. */
  private readonly touched: Peer[] = [];
  /** Takes the frames of the batch under way. */
  private carrier: Accepted | null = null;
  /** Messages of the frame being handed over. */
  private readonly inbox: Message[] = [];
  private readonly refusals = new Refusals();
  private handler: LinkHandler | null = null;
  private sweeper: NodeJS.Timeout | null = null;
  private closed = false;
  port = 0;

  constructor(options: UwsLinkOptions) {
    const { id, clusterId, secret } = options;
    requireInteger("id", id, 1, Number.MAX_SAFE_INTEGER);
    requireInteger("clusterId", clusterId, 0, Number.MAX_SAFE_INTEGER);
    this.listenAt = parseAddress(options.listen, "listen");
    const others = Object.entries(options.peers).map(([peer, at]) => parseAddress(at, `peers[${peer}]`));
    checkSecret(secret, [this.listenAt, ...others]);
    this.secret = secret;
    this.otherSecret = options.otherSecret;
    if (this.otherSecret !== undefined) checkOtherSecret(this.otherSecret);
    this.tls = options.tls === undefined ? null : resolveTls(options.tls);
    const frameTags = options.frameTags ?? true;
    this.self = {
      id,
      clusterId,
      key: NO_DATA,
      otherKey: undefined,
      frameTags,
      incarnation: randomInt(2 ** 48 - 1),
    };
    const limits = limitsOf(options);
    const { maxFrameBytes, frameTargetBytes: targetBytes, silenceMs, ...accepting } = limits;
    this.maxFrameBytes = maxFrameBytes;
    this.silenceMs = silenceMs;
    const writer = new FrameWriter({ clusterId, from: id, crc32c, targetBytes, maxBytes: maxFrameBytes });
    this.guests = new Guests(this.self, this.peers, this.notices, this.refusals);
    this.sender = new FrameSender(
      writer,
      (_to, frame) => this.carrier!.send(frame),
      (to) => this.notices.tooLong(to),
    );
    this.reader = new FrameReader({ clusterId, self: id, crc32c });
    for (const [peer, address] of Object.entries(options.peers)) this.addPeer(Number(peer), address);
    this.acceptor = newAcceptor(options.acceptor, {
      ...accepting,
      strangers: STRANGERS,
      events: this.guests,
      // Nothing but the handshake comes in this way.
      maxPayloadBytes: HANDSHAKE_BYTES_MAX * 2,
      tls: this.tls,
    });
  }

  get implementation(): string {
    return this.acceptor.implementation;
  }

  async start(handler: LinkHandler): Promise<void> {
    assert(this.handler === null, "a link is started once");
    this.handler = handler;
    this.notices.handler = handler;
    this.guests.handler = handler;
    this.refusals.handler = handler;
    this.self.key = await clusterKey(this.secret);
    if (this.otherSecret !== undefined) this.self.otherKey = await clusterKey(this.otherSecret);
    // Who closed it meanwhile finds no listener.
    const port = this.closed ? 0 : await this.acceptor.listen(this.listenAt);
    if (port === null) {
      await this.close();
      throw await listenError(this.listenAt);
    }
    if (this.closed) {
      // Closed while it was starting: the listener came too late to be closed with the rest.
      this.acceptor.close();
      throw new RaftmarkError("RAFT_CLOSED", "the link was closed while it was starting");
    }
    this.port = port;
    this.sweeper = setInterval(() => this.sweep(), this.silenceMs / 4);
    for (const peer of this.peers.values()) peer.dialers[LaneBulk].start();
  }

  // hot
  send(group: number, messages: readonly Message[]): void {
    if (this.closed) return;
    for (let i = 0; i < messages.length; i++) {
      const message = messages[i]!;
      const peer = this.peers.get(message.to);
      if (peer === undefined) {
        this.sender.dropped(message.to);
        this.notices.unreachable(message.to);
        continue;
      }
      const { batches } = peer;
      if (batches[LaneBulk].length === 0 && batches[LaneExpress].length === 0) this.touched.push(peer);
      batches[laneOf(message.type)].push(message);
      if (isForExpressToo(message)) batches[LaneExpress].push(message);
    }
    for (let i = 0; i < this.touched.length; i++) {
      this.sendBatch(group, this.touched[i]!, LaneExpress);
      this.sendBatch(group, this.touched[i]!, LaneBulk);
    }
    this.touched.length = 0;
    this.sender.rewind();
  }

  setPeer(id: number, address: string | null): void {
    if (this.closed) return;
    const peer = this.peers.get(id);
    if (address === null) {
      if (peer === undefined) return;
      this.peers.delete(id);
      this.sender.forget(id);
      for (const dialer of peer.allDialers) dialer.stop();
      const code = codeOfStranger(this.handler, id);
      for (const connection of peer.outbound) connection?.end(code);
      if (peer.outbound[LaneBulk] !== null) this.notices.peer(id, false);
    } else if (peer === undefined) {
      const added = this.addPeer(id, address);
      if (this.port !== 0) added?.dialers[LaneBulk].start();
    } else {
      for (const dialer of peer.allDialers) dialer.setAddress(parseDialled(address, `peers[${id}]`));
    }
  }

  redial(id: number): void {
    this.peers.get(id)?.dialers[LaneBulk].cut();
  }

  openSnapshotLane(id: number, events: SnapshotLaneEvents): SnapshotLane {
    const peer = this.peers.get(id);
    // It was removed meanwhile: nothing comes.
    if (peer === undefined || this.closed) return { send: () => false, close: () => {} };
    const dialer = this.newDialer(id, LaneSnapshot, peer.dialers[LaneBulk].address, {
      onFrame: (_, bytes, tags) => this.handlePiece(events, bytes, tags),
      onConnected: () => events.onOpen(),
    });
    peer.fetching.add(dialer);
    // Not from inside this call.
    setImmediate(() => {
      if (peer.fetching.has(dialer) && !this.closed) dialer.start();
    });
    return {
      send: (bytes) => dialer.send(bytes),
      close: () => {
        peer.fetching.delete(dialer);
        dialer.end();
      },
    };
  }

  private handlePiece(
    events: SnapshotLaneEvents,
    tagged: Uint8Array,
    tags: FrameTags | null,
  ): FrameRefused | null {
    const bytes = withoutTag(tagged, tags);
    if (bytes === null) return { code: CloseBadTag, reason: CLOSE_REASONS[CloseBadTag]! };
    if (events.onMessage(bytes)) return null;
    return { code: CloseBadMessage, reason: CLOSE_REASONS[CloseBadMessage]! };
  }

  setTls(given: TlsOptions): void {
    if (this.tls === null)
      throw new RaftmarkError("RAFT_BAD_OPTION", "tls: a link that was opened without TLS stays without");
    this.tls = resolveTls(given);
    this.acceptor.setTls!(this.tls);
  }

  stats(): LinkStats {
    return this.sender.stats();
  }

  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    this.notices.close();
    this.refusals.close();
    if (this.sweeper !== null) clearInterval(this.sweeper);
    for (const peer of this.peers.values()) for (const dialer of peer.allDialers) dialer.stop();
    this.guests.close();
    // A turn of the event loop, so that the close frames leave before the sockets are cut.
    await new Promise((resolve) => setImmediate(resolve));
    this.acceptor.close();
  }

  private sendBatch(group: number, peer: Peer, lane: 0 | 1): void {
    // hot
    const batch = peer.batches[lane];
    if (batch.length === 0) return;
    // Express may ride on bulk, never the other way round.
    const carrier = peer.outbound[lane] ?? peer.outbound[LaneBulk];
    this.carrier = carrier;
    if (carrier === null) {
      this.sender.dropped(peer.id);
      this.notices.unreachable(peer.id);
    } else if (!this.sender.send(group, peer.id, batch, (carrier.owner as Guest).tags) && lane === LaneBulk) {
      // Of what is express nothing is to be sent again: the next tick brings the next.
      this.notices.unreachable(peer.id);
    }
    batch.length = 0;
  }

  /** Null for ourselves. */
  private addPeer(id: number, address: string): Peer | null {
    requireInteger("peers: an id", id, 1, Number.MAX_SAFE_INTEGER);
    if (id === this.self.id) return null;
    const at = parseDialled(address, `peers[${id}]`);
    const peer = new Peer(id, [this.newDialer(id, LaneBulk, at), this.newDialer(id, LaneExpress, at)]);
    this.peers.set(id, peer);
    this.sender.peer(id);
    return peer;
  }

  private newDialer(peer: number, lane: Lane, address: Address, events: Partial<DialerEvents> = {}): Dialer {
    return new Dialer({
      self: this.self,
      peer,
      lane,
      address,
      maxFrameBytes: this.maxFrameBytes,
      tls: () => this.tls,
      random: Math.random,
      events: {
        onFrame: (from, bytes, tags) => this.handleFrame(from, bytes, tags),
        hello: () => helloOf(this.handler!),
        onHello: (from, hello) => this.handler!.onHello?.(from, hello) ?? null,
        onRefused: (other, code, byPeer, reason) =>
          this.refusals.tell({ peer: other, code, reason, by: byPeer ? "peer" : "self" }),
        // Later, like all notices.
        onUnreached: (other, at, why) => setImmediate(() => this.tellUnreached(other, at, why)),
        onConnected: (to) => this.handleConnected(to, lane),
        ...events,
      },
    });
  }

  private tellUnreached(peer: number, address: string, why: string): void {
    if (!this.closed) this.handler!.onUnreached?.(peer, address, why);
  }

  private handleConnected(to: number, lane: Lane): void {
    this.refusals.forget(to);
    this.notices.path(to);
    const express = this.peers.get(to)?.dialers[LaneExpress];
    if (lane === LaneExpress || this.closed) return;
    express?.start();
    express?.nudge();
  }

  /** A frame of a proved peer; its bytes are ours. hot */
  private handleFrame(from: number, bytes: Uint8Array, tags: FrameTags | null): FrameRefused | null {
    if (this.closed) return null;
    const inbox = this.inbox;
    inbox.length = 0;
    const refusal = this.reader.read(bytes, from, inbox, tags);
    if (refusal !== null) {
      this.sender.refused();
      if (refusal === "tag") return { code: CloseBadTag, reason: CLOSE_REASONS[CloseBadTag]! };
      return { code: CloseBadFrame, reason: `${CLOSE_REASONS[CloseBadFrame]} (${refusal})` };
    }
    this.sender.received(from, bytes.length, inbox.length);
    const refused = this.handler!.onMessages(this.reader.group, from, inbox);
    return typeof refused === "string" ? { code: CloseBadMessage, reason: refused } : null;
  }

  /** Looks after silent connections, every quarter of the time that they may be. */
  private sweep(): void {
    for (const peer of this.peers.values()) for (const dialer of peer.allDialers) dialer.sweep();
  }
}

/** With their defaults. Throws RAFT_BAD_OPTION. */
function limitsOf(options: UwsLinkOptions) {
  const {
    maxFrameBytes = MAX_FRAME_BYTES_DEFAULT,
    idleTimeoutS = DEFAULT_IDLE_TIMEOUT_S,
    silenceMs = idleTimeoutS * 1000,
    maxBackpressureBytes = DEFAULT_MAX_BACKPRESSURE_BYTES,
    frameTargetBytes = Math.min(FRAME_TARGET_BYTES, maxFrameBytes),
  } = options;
  requireInteger("maxFrameBytes", maxFrameBytes, 1024, 2 ** 30);
  requireInteger("idleTimeoutS", idleTimeoutS, 8, 960);
  requireInteger("silenceMs", silenceMs, 100, idleTimeoutS * 1000);
  requireInteger("maxBackpressureBytes", maxBackpressureBytes, 1024, 2 ** 31 - 1);
  if (frameTargetBytes > maxFrameBytes) {
    const text = `frameTargetBytes: ${frameTargetBytes} must be at most maxFrameBytes (${maxFrameBytes})`;
    throw new RaftmarkError("RAFT_BAD_OPTION", text);
  }
  requireInteger("frameTargetBytes", frameTargetBytes, FRAME_OVERHEAD_BYTES, maxFrameBytes);
  return { maxFrameBytes, idleTimeoutS, silenceMs, maxBackpressureBytes, frameTargetBytes };
}

function requireInteger(option: string, value: number, min: number, max: number): void {
  if (Number.isSafeInteger(value) && value >= min && value <= max) return;
  throw new RaftmarkError("RAFT_BAD_OPTION", `${option}: ${value} is not an integer from ${min} to ${max}`);
}

/** Throws RAFT_BAD_OPTION if uWebSockets.js is asked for and cannot accept. */
function newAcceptor(kind: AcceptorKind | undefined, options: AcceptorOptions): Acceptor {
  if (kind === "ws") return new WsAcceptor(options, "as asked");
  const refusal = kind === "uws" ? refusalOfUws(options.tls !== null) : null;
  if (refusal !== null) throw new RaftmarkError("RAFT_BAD_OPTION", `acceptor: ${refusal}`);
  if (options.tls !== null) return new WsAcceptor(options, "for TLS");
  // Its listening socket outlives a thread that ends by an error, process.exit() or terminate(), and Node.js then aborts the process.
  if (!isMainThread && kind === undefined) return new WsAcceptor(options, "in a worker thread");
  const uws = loadNativeUws();
  return uws === null
    ? new WsAcceptor(options, "no uWebSockets.js loads here")
    : new UwsAcceptor(uws, options);
}
