// The mutual challenge at the start of a connection: both sides prove that they know the cluster's key, for these
// two nodes, this cluster and this connection. Pure but for the nonces. Little-endian, fixed lengths:
//
//   acceptor -> dialler  challenge: head, from, 0,  nonce A                head: u32 magic "RFMH", u8 version,
//   dialler -> acceptor  proof:     head, from, to, nonce D, MAC dialler         u8 kind, u16 0, u64 cluster id
//   acceptor -> dialler  accept:    head, from, to, MAC acceptor           from, to: u64 node ids
//
// MAC: HMAC-SHA-256, key = secret, over label of the role, version, cluster, dialler, acceptor, nonce A, nonce D.
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { NO_DATA } from "../base/bytes.js";
import { getU32, getU64, putU32, putU64 } from "../wire/frame.js";
import {
  CloseBadCluster,
  CloseBadFrame,
  CloseBadKey,
  CloseBadVersion,
  CloseWrongNode,
} from "./close-codes.js";

export const HANDSHAKE_VERSION = 1;
const MAGIC = 0x484d4652;
const KIND_CHALLENGE = 1;
const KIND_PROOF = 2;
const KIND_ACCEPT = 3;
const HEAD_BYTES = 32;
const NONCE_BYTES = 32;
const MAC_BYTES = 32;
const CHALLENGE_BYTES = HEAD_BYTES + NONCE_BYTES;
const PROOF_BYTES = HEAD_BYTES + NONCE_BYTES + MAC_BYTES;
const ACCEPT_BYTES = HEAD_BYTES + MAC_BYTES;
/** No message of the handshake is longer. */
export const HANDSHAKE_BYTES_MAX = PROOF_BYTES;

/** Who this node is, to the handshake. */
export interface Identity {
  readonly id: number;
  readonly clusterId: number;
  readonly secret: string;
}

/** Outcome of a step of the handshake. */
export interface Step {
  /** 0, or the close code to refuse with. */
  readonly code: number;
  /** The other side, as it called itself; 0 if it did not get that far. */
  readonly peer: number;
  /** What to send next; nothing if refused. */
  readonly answer: Uint8Array;
}

function refused(code: number, peer: number): Step {
  return { code, peer, answer: NO_DATA };
}

/** The acceptor's side of one connection. */
export class AcceptorHandshake {
  private readonly self: Identity;
  private readonly nonce = randomBytes(NONCE_BYTES);

  constructor(self: Identity) {
    this.self = self;
  }

  challenge(): Uint8Array {
    const bytes = new Uint8Array(CHALLENGE_BYTES);
    putHead(bytes, KIND_CHALLENGE, this.self, 0);
    bytes.set(this.nonce, HEAD_BYTES);
    return bytes;
  }

  /** Checks the dialler's proof; answers with our own. `bytes` are borrowed. */
  verify(bytes: Uint8Array): Step {
    const code = checkHead(bytes, KIND_PROOF, PROOF_BYTES, this.self);
    if (code !== 0) return refused(code, 0);
    const peer = getU64(bytes, 16);
    if (getU64(bytes, 24) !== this.self.id) return refused(CloseWrongNode, peer);
    const dialerNonce = bytes.slice(HEAD_BYTES, HEAD_BYTES + NONCE_BYTES);
    const expected = mac(this.self, "dialer", peer, this.self.id, this.nonce, dialerNonce);
    if (!timingSafeEqual(expected, bytes.subarray(HEAD_BYTES + NONCE_BYTES)))
      return refused(CloseBadKey, peer);
    const answer = new Uint8Array(ACCEPT_BYTES);
    putHead(answer, KIND_ACCEPT, this.self, peer);
    answer.set(mac(this.self, "acceptor", peer, this.self.id, this.nonce, dialerNonce), HEAD_BYTES);
    return { code: 0, peer, answer };
  }
}

/** The dialler's side of one connection to `peer`. */
export class DialerHandshake {
  private readonly self: Identity;
  private readonly peer: number;
  private readonly nonce = randomBytes(NONCE_BYTES);
  private acceptorNonce: Uint8Array = new Uint8Array(NONCE_BYTES);

  constructor(self: Identity, peer: number) {
    this.self = self;
    this.peer = peer;
  }

  /** Checks the challenge; answers with our proof. */
  answer(bytes: Uint8Array): Step {
    const peer = this.peer;
    const code = checkHead(bytes, KIND_CHALLENGE, CHALLENGE_BYTES, this.self);
    if (code !== 0) return refused(code, peer);
    if (getU64(bytes, 16) !== peer) return refused(CloseWrongNode, peer);
    this.acceptorNonce = bytes.slice(HEAD_BYTES, CHALLENGE_BYTES);
    const proof = new Uint8Array(PROOF_BYTES);
    putHead(proof, KIND_PROOF, this.self, peer);
    proof.set(this.nonce, HEAD_BYTES);
    proof.set(
      mac(this.self, "dialer", this.self.id, peer, this.acceptorNonce, this.nonce),
      HEAD_BYTES + NONCE_BYTES,
    );
    return { code: 0, peer, answer: proof };
  }

  /** Checks the acceptor's own proof. Returns 0 or a close code. */
  verify(bytes: Uint8Array): number {
    const code = checkHead(bytes, KIND_ACCEPT, ACCEPT_BYTES, this.self);
    if (code !== 0) return code;
    if (getU64(bytes, 16) !== this.peer || getU64(bytes, 24) !== this.self.id) return CloseWrongNode;
    const expected = mac(this.self, "acceptor", this.self.id, this.peer, this.acceptorNonce, this.nonce);
    return timingSafeEqual(expected, bytes.subarray(HEAD_BYTES)) ? 0 : CloseBadKey;
  }
}

function putHead(bytes: Uint8Array, kind: number, self: Identity, to: number): void {
  putU32(bytes, 0, MAGIC);
  bytes[4] = HANDSHAKE_VERSION;
  bytes[5] = kind;
  putU64(bytes, 8, self.clusterId);
  putU64(bytes, 16, self.id);
  putU64(bytes, 24, to);
}

/** 0, or the close code of the first thing wrong. Version before length: later versions may be longer. */
function checkHead(bytes: Uint8Array, kind: number, length: number, self: Identity): number {
  if (bytes.length < HEAD_BYTES || getU32(bytes, 0) !== MAGIC) return CloseBadFrame;
  if (bytes[4] !== HANDSHAKE_VERSION) return CloseBadVersion;
  if (bytes[5] !== kind || bytes[6] !== 0 || bytes[7] !== 0 || bytes.length !== length) return CloseBadFrame;
  if (getU64(bytes, 8) !== self.clusterId) return CloseBadCluster;
  return 0;
}

function mac(
  self: Identity,
  role: "dialer" | "acceptor",
  dialer: number,
  acceptor: number,
  acceptorNonce: Uint8Array,
  dialerNonce: Uint8Array,
): Uint8Array {
  const ids = new Uint8Array(32);
  ids[0] = HANDSHAKE_VERSION;
  putU64(ids, 8, self.clusterId);
  putU64(ids, 16, dialer);
  putU64(ids, 24, acceptor);
  const hmac = createHmac("sha256", self.secret);
  return hmac
    .update(`raftmark link ${role}\0`)
    .update(ids)
    .update(acceptorNonce)
    .update(dialerNonce)
    .digest();
}
