// The mutual challenge at the start of a connection: both sides prove that they know the cluster's key, for these
// two nodes, this cluster and this connection, and show what their owners want the other to know (hello). Pure but
// for the nonces. Little-endian:
//
//   acceptor -> dialler  challenge: head, nonce A                        head (32): u32 magic "RFMH", u8 version,
//   dialler -> acceptor  proof:     head, nonce D, u64 incarnation,        u8 kind, u8 lane, u8 flags, u64 cluster,
//                                   u16 length, hello, MAC                 u64 from, u64 to (0, all, in the challenge)
//   acceptor -> dialler  accept:    head, u16 length, hello, MAC         MAC: HMAC-SHA-256 under the key, over the
//   dialler -> acceptor  welcome:   head, MAC                              sender's role and every byte of the
//   either, once the other proved itself, in place of its next:            handshake so far, in both directions
//                        refusal:   head, u16 code, u16 length, reason (UTF-8), MAC
//
// The lane (lanes.ts) is what the dialler wants to hear over this connection; but for the proof it is 0. Flag 1, in
// challenge and proof: this side wants frames tagged (frame-tags.ts). They are if either does; the MACs cover that.
//
// Who dials learns no more than the version before it proved the key: not the cluster, nor the node, nor whether it
// guessed those. What it then shows of the key costs whoever searches it a slow derivation a guess (cluster-key.ts).
import { createHash, createHmac, hkdfSync, randomBytes, timingSafeEqual } from "node:crypto";
import { NO_DATA } from "../base/bytes.js";
import { getU32, getU64, putU32, putU64 } from "../wire/frame.js";
import {
  CLOSE_REASONS,
  CloseBadCluster,
  CloseBadFrame,
  CloseBadKey,
  CloseBadVersion,
  CloseWrongNode,
} from "./close-codes.js";
import { TAG_KEY_BYTES } from "./frame-tags.js";
import { type Lane, LaneBulk, LaneSnapshot } from "./lanes.js";
import { HELLO_BYTES_MAX } from "./link.js";

export const HANDSHAKE_VERSION = 4;
const MAGIC = 0x484d4652;
const KIND_CHALLENGE = 1;
const KIND_PROOF = 2;
const KIND_ACCEPT = 3;
const KIND_WELCOME = 4;
const KIND_REFUSAL = 5;
const HEAD_BYTES = 32;
const NONCE_BYTES = 32;
const MAC_BYTES = 32;
const FLAG_TAGS = 1;
const CHALLENGE_BYTES = HEAD_BYTES + NONCE_BYTES;
const PROOF_HELLO_AT = HEAD_BYTES + NONCE_BYTES + 8;
const WELCOME_BYTES = HEAD_BYTES + MAC_BYTES;
const REASON_BYTES_MAX = 1024;
/** No message of the handshake is longer. */
export const HANDSHAKE_BYTES_MAX = PROOF_HELLO_AT + 2 + HELLO_BYTES_MAX + MAC_BYTES;

/** Who this node is, to the handshake. */
export interface Identity {
  readonly id: number;
  readonly clusterId: number;
  /** What members prove (cluster-key.ts). */
  readonly key: Uint8Array;
  /** Taken from who dials as well, while the cluster changes its key. */
  readonly otherKey?: Uint8Array | undefined;
  /** Whether it wants frames tagged. */
  readonly frameTags: boolean;
  /** Drawn anew for each life of the link, below 2^53: tells two nodes with the same id from one that came back. */
  readonly incarnation: number;
}

/** Outcome of a step of the handshake. */
export interface Step {
  /** 0, or the close code to refuse with; or the code the other side refused with, if `byPeer`. */
  readonly code: number;
  /** The other side refused, and proved that it was the other side. */
  readonly byPeer: boolean;
  /** Why it is refused, in the words of who refuses; "": it is not. */
  readonly reason: string;
  /** The other side, as it called itself; 0 if it did not get that far. */
  readonly peer: number;
  /** What the connection is for, as the proof says. */
  readonly lane: Lane;
  /** The other side's life. */
  readonly incarnation: number;
  /** What the other side shows; ours to keep. */
  readonly hello: Uint8Array;
  /** What to send next; nothing if refused. */
  readonly answer: Uint8Array;
}

function step(parts: Partial<Step>): Step {
  const none: Step = {
    code: 0,
    byPeer: false,
    reason: CLOSE_REASONS[parts.code ?? 0] ?? "",
    peer: 0,
    lane: LaneBulk,
    incarnation: 0,
    hello: NO_DATA,
    answer: NO_DATA,
  };
  return { ...none, ...parts };
}

/** `bytes`, which `peer` sent, are refused with `code` for their form. */
function misshapen(code: number, bytes: Uint8Array, peer: number): Step {
  if (code !== CloseBadVersion) return step({ code, peer });
  const versions = `version ${bytes[4]} of the protocol between nodes there, ${HANDSHAKE_VERSION} here`;
  return step({ code, peer, reason: `${CLOSE_REASONS[code]} (${versions})` });
}

type Role = "dialer" | "acceptor";

/** What both sides share: every message so far, which each MAC covers. */
abstract class Handshake {
  protected readonly self: Identity;
  private readonly role: Role;
  /** Of this connection: the one that the dialler proves. */
  private key: Uint8Array;
  private readonly transcript: Uint8Array[] = [];
  private tagged: boolean;

  constructor(self: Identity, role: Role) {
    this.self = self;
    this.role = role;
    this.key = self.key;
    this.tagged = self.frameTags;
  }

  /**
   * The key of this connection's frames, or null: they are not tagged. Asked by the acceptor right after
   * `accept`, by the dialler right after `verify` and before `welcome`: both then know the same bytes.
   */
  tagKey(): Uint8Array | null {
    if (!this.tagged) return null;
    const hash = createHash("sha256");
    for (const part of this.transcript) hash.update(part);
    const salt = hash.digest();
    return new Uint8Array(hkdfSync("sha256", this.key, salt, "raftmark link frames", TAG_KEY_BYTES));
  }

  /** Refuses the other side, which has proved itself, in words that only it gets. */
  refuse(to: number, code: number, reason: string): Uint8Array {
    let text = Buffer.from(reason);
    if (text.length > REASON_BYTES_MAX) text = text.subarray(0, REASON_BYTES_MAX);
    const bytes = this.begin(KIND_REFUSAL, to, HEAD_BYTES + 4 + text.length + MAC_BYTES);
    putU16(bytes, HEAD_BYTES, code);
    putU16(bytes, HEAD_BYTES + 2, text.length);
    bytes.set(text, HEAD_BYTES + 4);
    return this.seal(bytes);
  }

  /** What it says if it is a refusal that the other side signed; else null. */
  protected readRefusal(bytes: Uint8Array, peer: number): Step | null {
    if (bytes.length < HEAD_BYTES + 4 + MAC_BYTES || bytes[5] !== KIND_REFUSAL) return null;
    const length = getU16(bytes, HEAD_BYTES + 2);
    // Perhaps it is of another cluster: that may be what it says.
    if (checkForm(bytes, KIND_REFUSAL, HEAD_BYTES + 4 + length + MAC_BYTES) !== 0) return null;
    const code = getU16(bytes, HEAD_BYTES);
    if (code < 4000 || code > 4999 || !this.isSealed(bytes)) return null;
    const text = bytes.subarray(HEAD_BYTES + 4, HEAD_BYTES + 4 + length);
    return step({ code, byPeer: true, reason: Buffer.from(text).toString(), peer });
  }

  protected begin(kind: number, to: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    putU32(bytes, 0, MAGIC);
    bytes[4] = HANDSHAKE_VERSION;
    bytes[5] = kind;
    if (hasFlags(kind) && this.self.frameTags) bytes[7] = FLAG_TAGS;
    if (kind !== KIND_CHALLENGE) {
      putU64(bytes, 8, this.self.clusterId);
      putU64(bytes, 16, this.self.id);
      putU64(bytes, 24, to);
    }
    return bytes;
  }

  /** A message of either side is part of the handshake from here on. `bytes` are borrowed. */
  protected note(bytes: Uint8Array): void {
    if (bytes[7] === FLAG_TAGS) this.tagged = true;
    this.transcript.push(new Uint8Array(bytes));
  }

  /** Ends a message of ours with its MAC, and notes it. */
  protected seal(bytes: Uint8Array): Uint8Array {
    bytes.set(this.mac(this.role, bytes), bytes.length - MAC_BYTES);
    this.note(bytes);
    return bytes;
  }

  /** Whether a message of the other side ends with its MAC. */
  protected isSealed(bytes: Uint8Array): boolean {
    const expected = this.mac(this.role === "dialer" ? "acceptor" : "dialer", bytes);
    return timingSafeEqual(expected, bytes.subarray(bytes.length - MAC_BYTES));
  }

  /** The same under the other key, if there is one, which is the connection's from then on. */
  protected isSealedByOther(bytes: Uint8Array): boolean {
    const { key, otherKey } = this.self;
    if (otherKey === undefined) return false;
    this.key = otherKey;
    if (this.isSealed(bytes)) return true;
    this.key = key;
    return false;
  }

  private mac(role: Role, bytes: Uint8Array): Uint8Array {
    const hmac = createHmac("sha256", this.key).update(`raftmark link ${role}\0`);
    for (const part of this.transcript) hmac.update(part);
    return hmac.update(bytes.subarray(0, bytes.length - MAC_BYTES)).digest();
  }
}

/** The acceptor's side of one connection: `challenge`, `verify`, `accept` (or `refuse`), `finish`. */
export class AcceptorHandshake extends Handshake {
  private peer = 0;

  constructor(self: Identity) {
    super(self, "acceptor");
  }

  challenge(): Uint8Array {
    const bytes = this.begin(KIND_CHALLENGE, 0, CHALLENGE_BYTES);
    bytes.set(randomBytes(NONCE_BYTES), HEAD_BYTES);
    this.note(bytes);
    return bytes;
  }

  /**
   * Checks the dialler's proof. `bytes` are borrowed. CloseBadCluster and CloseWrongNode are for who has the key, and can
   * be told so (`refuse`).
   */
  verify(bytes: Uint8Array): Step {
    const code = checkHello(bytes, KIND_PROOF, PROOF_HELLO_AT);
    if (code !== 0) return misshapen(code, bytes, 0);
    const peer = getU64(bytes, 16);
    if (!this.isSealed(bytes) && !this.isSealedByOther(bytes)) return step({ code: CloseBadKey, peer });
    this.note(bytes);
    if (getU64(bytes, 8) !== this.self.clusterId) return step({ code: CloseBadCluster, peer });
    if (getU64(bytes, 24) !== this.self.id) return step({ code: CloseWrongNode, peer });
    this.peer = peer;
    return step({
      peer,
      lane: bytes[6] as Lane,
      incarnation: getU64(bytes, PROOF_HELLO_AT - 8),
      hello: readHello(bytes, PROOF_HELLO_AT),
    });
  }

  /** Our own proof, in answer to a good one. */
  accept(hello: Uint8Array): Uint8Array {
    const bytes = this.begin(KIND_ACCEPT, this.peer, HEAD_BYTES + 2 + hello.length + MAC_BYTES);
    putHello(bytes, HEAD_BYTES, hello);
    return this.seal(bytes);
  }

  /** Checks the dialler's last word: a welcome or a refusal. `bytes` are borrowed. */
  finish(bytes: Uint8Array): Step {
    const { peer } = this;
    const refusal = this.readRefusal(bytes, peer);
    if (refusal !== null) return refusal;
    const code = checkForm(bytes, KIND_WELCOME, WELCOME_BYTES);
    if (code !== 0) return misshapen(code, bytes, peer);
    if (getU64(bytes, 8) !== this.self.clusterId) return step({ code: CloseBadCluster, peer });
    return step({ code: this.isSealed(bytes) ? 0 : CloseBadKey, peer });
  }
}

/** The dialler's side of one connection to `peer`: `answer`, `verify`, `welcome` (or `refuse`). */
export class DialerHandshake extends Handshake {
  private readonly peer: number;
  private readonly lane: Lane;

  constructor(self: Identity, peer: number, lane: Lane = LaneBulk) {
    super(self, "dialer");
    this.peer = peer;
    this.lane = lane;
  }

  /** Checks the challenge; answers with our proof. */
  answer(bytes: Uint8Array, hello: Uint8Array): Step {
    const { peer } = this;
    const code = checkForm(bytes, KIND_CHALLENGE, CHALLENGE_BYTES);
    if (code !== 0) return misshapen(code, bytes, peer);
    this.note(bytes);
    const proof = this.begin(KIND_PROOF, peer, PROOF_HELLO_AT + 2 + hello.length + MAC_BYTES);
    proof[6] = this.lane;
    proof.set(randomBytes(NONCE_BYTES), HEAD_BYTES);
    putU64(proof, PROOF_HELLO_AT - 8, this.self.incarnation);
    putHello(proof, PROOF_HELLO_AT, hello);
    return step({ peer, answer: this.seal(proof) });
  }

  /** Checks the acceptor's own proof, or its refusal. */
  verify(bytes: Uint8Array): Step {
    const { peer } = this;
    const refusal = this.readRefusal(bytes, peer);
    if (refusal !== null) return refusal;
    const code = checkHello(bytes, KIND_ACCEPT, HEAD_BYTES);
    if (code !== 0) return misshapen(code, bytes, peer);
    if (getU64(bytes, 8) !== this.self.clusterId) return step({ code: CloseBadCluster, peer });
    if (getU64(bytes, 16) !== peer || getU64(bytes, 24) !== this.self.id)
      return step({ code: CloseWrongNode, peer });
    if (!this.isSealed(bytes)) return step({ code: CloseBadKey, peer });
    this.note(bytes);
    return step({ peer, hello: readHello(bytes, HEAD_BYTES) });
  }

  /** What tells the acceptor that we want to hear it. */
  welcome(): Uint8Array {
    return this.seal(this.begin(KIND_WELCOME, this.peer, WELCOME_BYTES));
  }
}

function hasFlags(kind: number): boolean {
  return kind === KIND_CHALLENGE || kind === KIND_PROOF;
}

/** 0, or the close code of the first thing wrong. Version before length: later versions may be longer. */
function checkForm(bytes: Uint8Array, kind: number, length: number): number {
  if (bytes.length < HEAD_BYTES || getU32(bytes, 0) !== MAGIC) return CloseBadFrame;
  if (bytes[4] !== HANDSHAKE_VERSION) return CloseBadVersion;
  if (bytes[5] !== kind || bytes.length !== length) return CloseBadFrame;
  if (bytes[7]! > (hasFlags(kind) ? FLAG_TAGS : 0)) return CloseBadFrame;
  if (bytes[6]! > (kind === KIND_PROOF ? LaneSnapshot : LaneBulk)) return CloseBadFrame;
  return 0;
}

/** The same for a message that ends with a hello at `at`, and a MAC. */
function checkHello(bytes: Uint8Array, kind: number, at: number): number {
  const length = bytes.length < at + 2 ? 0 : getU16(bytes, at);
  const code = checkForm(bytes, kind, at + 2 + length + MAC_BYTES);
  return code === 0 && length > HELLO_BYTES_MAX ? CloseBadFrame : code;
}

function putHello(bytes: Uint8Array, at: number, hello: Uint8Array): void {
  putU16(bytes, at, hello.length);
  bytes.set(hello, at + 2);
}

function readHello(bytes: Uint8Array, at: number): Uint8Array {
  return new Uint8Array(bytes.subarray(at + 2, bytes.length - MAC_BYTES));
}

function putU16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value & 255;
  bytes[at + 1] = value >>> 8;
}

function getU16(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8);
}
