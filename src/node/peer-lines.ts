// What a node's lines say of the connections with its peers: whether there is one, why not, and, where it or the peer refused
// one, which option to look at. What does not pass by itself is told without a logger, too. Main thread.
import {
  CloseBadCertificate,
  CloseBadCluster,
  CloseBadFrame,
  CloseBadKey,
  CloseBadVersion,
  CloseDuplicateId,
  CloseReplaced,
  CloseUnknownPeer,
  CloseWrongNode,
  type LinkRefusal,
} from "../link/index.js";
import type { Teller } from "./teller.js";

const NOT_ADDED =
  "it is no member there: changeMembership({ add }), or POST /members, on the leader tells the members of a new one";

/** What a member was refused for, or refuses, that does not pass by itself: somebody has to know, logger or not. */
const LASTING: ReadonlySet<number> = new Set([
  CloseBadKey,
  CloseBadCluster,
  CloseBadVersion,
  CloseBadCertificate,
  CloseBadFrame,
  CloseWrongNode,
]);
/** Reasons of one member that are told so. */
const LOUD_MAX = 8;
/** Nobody is there, or is slow. Else something else answers there, if it does so for longer than a node takes to end. */
const SILENT = /\bE[A-Z_]{3,}\b|timed out/;
const STRANGE_MS = 3000;
/** Every dialler tries again sooner. */
const UNREACHED_MS = 10_000;
/** Members whose words are carried by errors and the status. */
const SAID_MAX = 3;

/** What was in the way of a connection with a peer. */
interface Words {
  refusal: string;
  /** Frames that had come from it before. */
  received: number;
  unreached: string;
  unreachedAt: number;
  /** Since when nothing but what is no node answers at its address; Infinity: it does not. */
  strangeSince: number;
  /** What was told without a logger, until it is connected. */
  readonly loud: Set<string>;
}

export interface PeerLinesParts {
  readonly teller: Teller;
  /** Of who is none any more nothing is in the way. */
  readonly isMember: (peer: number) => boolean;
  /** The peer hears this node. */
  readonly isConnected: (peer: number) => boolean;
  /** Frames that came from it. */
  readonly received: (peer: number) => number;
  /** Milliseconds, never falling. */
  readonly now?: () => number;
}

/** Tells of the connections with peers, and remembers what is in the way of one. */
export class PeerLines {
  private readonly parts: PeerLinesParts;
  private readonly now: () => number;
  private readonly words = new Map<number, Words>();

  constructor(parts: PeerLinesParts) {
    this.parts = parts;
    this.now = parts.now ?? (() => performance.now());
  }

  changed(peer: number, connected: boolean): void {
    const words = this.words.get(peer);
    if (words !== undefined && connected) {
      words.loud.clear();
      words.strangeSince = Infinity;
    } else if (words !== undefined && this.parts.received(peer) > words.received) words.refusal = "";
    const text = connected ? `node ${peer} is connected` : `node ${peer} is not connected any more`;
    this.parts.teller.info({ peer, connected }, text, `peer ${peer} ${connected}`, `peer ${peer}`);
  }

  unreached(peer: number, address: string, why: string): void {
    const words = this.wordsOf(peer);
    words.unreachedAt = this.now();
    words.strangeSince = SILENT.test(why) ? Infinity : Math.min(words.strangeSince, this.now());
    const isStrange = this.now() - words.strangeSince >= STRANGE_MS;
    // Of TLS the words before say what to do.
    const hint =
      isStrange && !why.includes("TLS") ? " (what answers there may be another program: option peers)" : "";
    const text = `node ${peer} cannot be reached at ${address}, and is not heard: ${why}${hint}`;
    words.unreached = text;
    const kind = `unreached ${peer}`;
    const isLoud = isStrange && this.isNew(words, kind);
    if (isLoud) this.parts.teller.warnLoudly({ peer, address }, text, `${kind} strange`);
    else this.parts.teller.warn({ peer, address }, text, kind);
  }

  /** An entry from when maxFrameBytes was larger. */
  tooLong(peer: number): void {
    const text =
      `node ${peer} needs an entry that is too long for a frame, and stays behind: start all members with a larger ` +
      "maxFrameBytes, as it was when that was proposed";
    const kind = `too long ${peer}`;
    const isLoud = this.isNew(this.wordsOf(peer), kind);
    this.parts.teller[isLoud ? "warnLoudly" : "warn"]({ peer }, text, kind);
  }

  /** A stranger may call itself anything, and come again and again: it is told to a logger alone. */
  refused(refusal: LinkRefusal, isMember: boolean): void {
    const { peer, code, by } = refusal;
    const { text, kind, about } = refusalLine(refusal, isMember);
    let isLoud = false;
    if (isMember) {
      const words = this.wordsOf(peer);
      words.refusal = text;
      words.unreached = "";
      words.strangeSince = Infinity;
      words.received = this.parts.received(peer);
      isLoud = LASTING.has(code) && this.isNew(words, about);
    }
    this.parts.teller[isLoud ? "warnLoudly" : "warn"]({ peer, code, by }, text, kind);
  }

  private wordsOf(peer: number): Words {
    const known = this.words.get(peer);
    if (known !== undefined) return known;
    const words = {
      refusal: "",
      received: 0,
      unreached: "",
      unreachedAt: 0,
      strangeSince: Infinity,
      loud: new Set<string>(),
    };
    this.words.set(peer, words);
    return words;
  }

  private isNew({ loud }: Words, kind: string): boolean {
    if (loud.has(kind) || loud.size >= LOUD_MAX) return false;
    loud.add(kind);
    return true;
  }

  /** What is in the way of other members, a sentence each; empty: nothing is known. */
  obstacles(): string[] {
    return [...this.words]
      .filter(([peer]) => this.parts.isMember(peer))
      .map(([peer, words]) => this.lastOf(peer, words))
      .filter((text) => text !== "")
      .slice(0, SAID_MAX);
  }

  private lastOf(peer: number, { refusal, received, unreached, unreachedAt }: Words): string {
    const { isConnected, received: receivedOf } = this.parts;
    if (unreached !== "" && this.now() - unreachedAt < UNREACHED_MS) return unreached;
    // Both directions work again.
    return isConnected(peer) && receivedOf(peer) > received ? "" : refusal;
  }
}

/** The line, its kind for the teller, and what it is about, whoever of the two refused. */
export function refusalLine(refusal: LinkRefusal, isMember: boolean) {
  const { peer, code, reason, by } = refusal;
  const who = isMember ? `node ${peer}` : `a stranger (node ${peer})`;
  const refuses = by === "peer" ? "refuses this node" : "is refused";
  // A stranger may call itself anything. Of a member another reason is news, though the code is the same.
  const which = isMember ? `${peer} ${reason.replace(/[0-9A-F]{4,}/g, "")}` : "";
  const about = `${code} ${which}`;
  return { text: `${who} ${refuses}: ${reason}${hintOf(refusal)}`, kind: `refused ${by} ${about}`, about };
}

/** What to look at, for what is a matter of options. */
function hintOf({ code, by, reason }: LinkRefusal): string {
  if (code === CloseUnknownPeer && by === "peer") return ` (${NOT_ADDED})`;
  if (code === CloseBadKey) return " (the two have different secrets: option secret)";
  if (code === CloseBadCluster) return " (the two are of different clusters: option clusterId)";
  if (code === CloseBadVersion) return " (docs/operate.md, Another version)";
  if (code === CloseDuplicateId) return " (stop one of the two, or give it an id of its own: option id)";
  // This node did not open that connection: it dials a member anew only when it has none.
  if (code === CloseReplaced && by === "peer")
    return " (another process connects there as this node: give it an id of its own, option id, or stop it)";
  if (code === CloseWrongNode) return " (the address is another node's: option peers of the one that dials)";
  if (code === CloseBadCertificate && reason.includes("WRONG_VERSION_NUMBER"))
    return " (it speaks without TLS: option tls)";
  return "";
}
