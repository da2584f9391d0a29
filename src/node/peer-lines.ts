// What a node's lines say of the connections with its peers: whether there is one, why not, and, where it or the peer refused
// one, which option to look at. Main thread.
import {
  CloseBadCertificate,
  CloseBadCluster,
  CloseBadKey,
  CloseUnknownPeer,
  type LinkRefusal,
} from "../link/index.js";
import type { Teller } from "./teller.js";

const NOT_ADDED =
  "it is no member there: changeMembership({ add }) on the leader tells the members of a new one";

export function tellPeer(teller: Teller, peer: number, connected: boolean): void {
  const text = connected ? `node ${peer} is connected` : `node ${peer} is not connected any more`;
  teller.info({ peer, connected }, text, `peer ${peer} ${connected}`, `peer ${peer}`);
}

export function tellUnreached(teller: Teller, peer: number, address: string, why: string): void {
  const text = `node ${peer} cannot be reached at ${address}, and is not heard: ${why}`;
  teller.warn({ peer, address }, text, `unreached ${peer}`);
}

export function tellRefused(teller: Teller, refusal: LinkRefusal, isMember: boolean): void {
  const { peer, code, by } = refusal;
  const { text, kind } = refusalLine(refusal, isMember);
  teller.warn({ peer, code, by }, text, kind);
}

/** The line, and its kind for the teller. */
export function refusalLine(refusal: LinkRefusal, isMember: boolean): { text: string; kind: string } {
  const { peer, code, reason, by } = refusal;
  const who = isMember ? `node ${peer}` : `a stranger (node ${peer})`;
  const refuses = by === "peer" ? "refuses this node" : "is refused";
  // A stranger may call itself anything. Of a member another reason is news, though the code is the same.
  const which = isMember ? `${peer} ${reason.replace(/[0-9A-F]{4,}/g, "")}` : "";
  return { text: `${who} ${refuses}: ${reason}${hintOf(refusal)}`, kind: `refused ${by} ${code} ${which}` };
}

/** What to look at, for what is a matter of options. */
function hintOf({ code, by, reason }: LinkRefusal): string {
  if (code === CloseUnknownPeer && by === "peer") return ` (${NOT_ADDED})`;
  if (code === CloseBadKey) return " (the two have different secrets: option secret)";
  if (code === CloseBadCluster) return " (the two are of different clusters: option clusterId)";
  if (code === CloseBadCertificate && reason.includes("WRONG_VERSION_NUMBER"))
    return " (it speaks without TLS: option tls)";
  return "";
}
