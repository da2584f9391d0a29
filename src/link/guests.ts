// The connections that a link accepted, from the challenge to their end: who they prove to be, whether they are let in, and
// which of them a peer hears this node by. Whoever is refused is told why once it has shown that it has the key. Main thread.
import type { Accepted, AcceptorEvents } from "./acceptor.js";
import {
  CLOSE_REASONS,
  CloseBadCertificate,
  CloseBadCluster,
  CloseBadFrame,
  CloseBadMessage,
  CloseDuplicateId,
  CloseGoingAway,
  CloseLostLog,
  CloseReplaced,
  CloseTimeout,
  CloseWrongNode,
  certificateReason,
} from "./close-codes.js";
import type { FrameRefused } from "./dialer.js";
import { FrameTags } from "./frame-tags.js";
import { AcceptorHandshake, type Identity } from "./handshake.js";
import { type Lane, LaneBulk, LaneExpress, LaneSnapshot } from "./lanes.js";
import { codeOfStranger, helloOf, type LinkHandler } from "./link.js";
import type { Notices } from "./notices.js";
import type { Peer } from "./peer.js";
import type { Refusals } from "./refusals.js";
import { type SnapshotLane, withTag } from "./snapshot-lane.js";

/** An accepted connection until it is closed. */
export class Guest {
  readonly handshake: AcceptorHandshake;
  /** What is to come from it: its proof; then whether it takes ours; then nothing, unless it fetches a snapshot. */
  stage: "challenged" | "proved" | "welcome" = "challenged";
  /** Whom it proved to be; 0: nobody yet. */
  peer = 0;
  lane: Lane = LaneBulk;
  life = 0;
  /** Of the frames it hears; null: they have a CRC. */
  tags: FrameTags | null = null;
  /** For the owner, if it fetches a snapshot. */
  snapshotLane: SnapshotLane | null = null;

  constructor(self: Identity) {
    this.handshake = new AcceptorHandshake(self);
  }
}

export class Guests implements AcceptorEvents {
  /** Null: the link is not started, and accepts nothing. */
  handler: LinkHandler | null = null;
  private readonly self: Identity;
  private readonly peers: ReadonlyMap<number, Peer>;
  private readonly notices: Notices;
  private readonly refusals: Refusals;
  private readonly connections = new Set<Accepted>();
  private closed = false;

  constructor(self: Identity, peers: ReadonlyMap<number, Peer>, notices: Notices, refusals: Refusals) {
    this.self = self;
    this.peers = peers;
    this.notices = notices;
    this.refusals = refusals;
  }

  /** All go, and so does who still comes. */
  close(): void {
    this.closed = true;
    for (const connection of [...this.connections]) connection.end(CloseGoingAway);
  }

  onOpen(connection: Accepted): void {
    const { handshake } = this.add(connection);
    if (this.closed) connection.end(CloseGoingAway);
    else connection.send(handshake.challenge());
  }

  onUntrusted(connection: Accepted, why: string): void {
    this.add(connection);
    if (!this.closed) this.tellCertificate(why);
    // OpenSSL's code alone, no more than an alert of TLS says: what is behind it may name authorities of ours.
    connection.end(CloseBadCertificate, certificateReason(why.split(":", 1)[0]!));
  }

  onNoTls(why: string): void {
    this.tellCertificate(`no TLS: ${why}`);
  }

  onBroken(connection: Accepted, why: string): void {
    const { peer } = connection.owner as Guest;
    const reason = `${CLOSE_REASONS[CloseBadFrame]} (${why})`;
    if (!this.closed) this.refusals.tell({ peer, code: CloseBadFrame, reason, by: "self" });
  }

  onExpired(connection: Accepted): void {
    this.refuse(connection, 0, CloseTimeout);
  }

  onMessage(connection: Accepted, bytes: Uint8Array): void {
    if (this.closed) return;
    const guest = connection.owner as Guest;
    if (guest.stage === "challenged") this.handleProof(connection, guest, bytes);
    else if (guest.stage === "proved") this.handleWelcome(connection, guest, bytes);
    else if (guest.lane === LaneSnapshot) this.handleFetcher(connection, guest, bytes);
    else this.refuse(connection, guest.peer, CloseBadFrame);
  }

  onClose(connection: Accepted): void {
    this.connections.delete(connection);
    const { peer: id, lane, snapshotLane } = connection.owner as Guest;
    if (snapshotLane !== null && !this.closed) this.handler!.onSnapshotLaneClosed?.(id, snapshotLane);
    const peer = this.peers.get(id);
    // Else it was replaced, never proved, or a peer that was removed.
    if (peer?.outbound[lane] !== connection) return;
    peer.outbound[lane] = null;
    this.tellLost(id, lane);
  }

  private add(connection: Accepted): Guest {
    const guest = new Guest(this.self);
    connection.owner = guest;
    this.connections.add(connection);
    return guest;
  }

  private tellCertificate(why: string): void {
    const reason = certificateReason(why);
    this.refusals.tell({ peer: 0, code: CloseBadCertificate, reason, by: "self" });
  }

  private refuse(connection: Accepted, peer: number, code: number, reason = CLOSE_REASONS[code]!): void {
    this.refusals.tell({ peer, code, reason, by: "self" });
    connection.end(code);
  }

  private handleProof(connection: Accepted, guest: Guest, bytes: Uint8Array): void {
    const { handshake } = guest;
    const { code, reason, peer, lane, incarnation, hello } = handshake.verify(bytes);
    if (code !== 0) {
      if (code === CloseBadCluster || code === CloseWrongNode)
        connection.send(handshake.refuse(peer, code, reason));
      this.refuse(connection, peer, code, reason);
      return;
    }
    // From here on the dialler may know why: it has the key.
    const refused = this.whyUnwelcome(peer, incarnation, hello);
    if (refused !== null) {
      connection.send(handshake.refuse(peer, refused.code, refused.reason));
      this.refuse(connection, peer, refused.code, refused.reason);
      return;
    }
    guest.stage = "proved";
    guest.peer = peer;
    guest.lane = lane;
    guest.life = incarnation;
    connection.send(handshake.accept(helloOf(this.handler!)));
    const tagKey = handshake.tagKey();
    guest.tags = tagKey === null ? null : new FrameTags(tagKey);
  }

  /** Null: who proved to be `id` is let in. The owner may name a stranger by then. */
  private whyUnwelcome(id: number, life: number, hello: Uint8Array): FrameRefused | null {
    const { handler, peers } = this;
    if (!peers.has(id)) handler!.onStranger?.(id, hello);
    const peer = peers.get(id);
    const isDuplicate = peer?.duplicateLife === life && peer.outbound.some((one) => one !== null);
    if (peer === undefined || isDuplicate) {
      const code = isDuplicate ? CloseDuplicateId : codeOfStranger(handler!, id);
      return { code, reason: CLOSE_REASONS[code]! };
    }
    const reason = handler!.onHello?.(id, hello) ?? null;
    return reason === null ? null : { code: CloseLostLog, reason };
  }

  private handleWelcome(connection: Accepted, guest: Guest, bytes: Uint8Array): void {
    const { code, byPeer, reason } = guest.handshake.finish(bytes);
    const peer = this.peers.get(guest.peer);
    if (byPeer) {
      this.refusals.tell({ peer: guest.peer, code, reason, by: "peer" });
      connection.end(code);
      return;
    }
    if (code !== 0 || peer === undefined) {
      this.refuse(connection, guest.peer, code === 0 ? codeOfStranger(this.handler!, guest.peer) : code);
      return;
    }
    guest.stage = "welcome";
    connection.trust();
    if (guest.life !== peer.life) this.handleNewLife(peer, guest.life);
    const { lane } = guest;
    const replaced = peer.outbound[lane];
    peer.outbound[lane] = connection;
    if (replaced !== null) {
      this.tellLost(peer.id, lane);
      replaced.end(CloseReplaced);
    }
    if (lane === LaneBulk) this.notices.peer(peer.id, true);
    else if (lane === LaneExpress) this.notices.path(peer.id);
    for (const dialer of peer.dialers) dialer.nudge();
  }

  /**
   * Another life of the peer than the last connected. It came back, if the last one's connection is gone or only stands
   * because nobody told us. But if a life that was replaced so comes back itself, both are alive: two nodes with one id,
   * of which the second has to go.
   */
  private handleNewLife(peer: Peer, life: number): void {
    const others = peer.outbound.filter((one) => one !== null && (one.owner as Guest).life !== life);
    if (life === peer.replacedLife && others.length > 0) {
      peer.duplicateLife = peer.life;
      for (const other of others) this.refuse(other!, peer.id, CloseDuplicateId);
    }
    peer.replacedLife = others.length > 0 ? peer.life : 0;
    peer.life = life;
  }

  /** What a peer that fetches a snapshot says. That is not tagged: it decides nothing but what is sent, and that is. */
  private handleFetcher(connection: Accepted, guest: Guest, bytes: Uint8Array): void {
    guest.snapshotLane ??= {
      send: (answer) => {
        if (!this.connections.has(connection)) return false;
        const sent = connection.send(withTag(answer, guest.tags));
        if (sent) guest.tags?.sent();
        return sent;
      },
      close: () => connection.end(CloseGoingAway),
    };
    if (this.handler!.onSnapshotMessage?.(guest.peer, bytes, guest.snapshotLane) === true) return;
    this.refuse(connection, guest.peer, CloseBadMessage);
  }

  /** A connection is gone, and with it perhaps frames that had been sent. Without that for express, bulk carries all. */
  private tellLost(peer: number, lane: Lane): void {
    if (lane !== LaneBulk) return;
    this.notices.peer(peer, false);
    this.notices.unreachable(peer);
  }
}
