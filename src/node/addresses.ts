// Who is a member of the initial cluster, and where each listens: ids and addresses of the options held against each
// other. Pure.
import { isIP } from "node:net";
import { RaftmarkError } from "../base/errors.js";
import { type Address, formatAddress, parseAddress, parseDialled } from "../link/address.js";
import { badOption, shown } from "./option-errors.js";

/** What of the options is looked at. */
export interface Addresses {
  readonly id: number;
  readonly listen: string;
  readonly peers: Readonly<Record<string, string>>;
  /** Sockets carry the messages; a link of the caller's does not listen at `listen`. */
  readonly dials: boolean;
}

/** The ids in `peers`, ascending. Throws RAFT_BAD_OPTION for what cannot be meant. */
export function checkAddresses(given: Addresses): number[] {
  const { id, listen, peers, dials } = given;
  const listenAt = parseAddress(listen, "option listen");
  const ids = Object.keys(peers).map(idOf);
  const holders = new Map<string, number>();
  for (const peer of ids) {
    const at = parseAddress(peers[peer], `option peers.${peer}`);
    if (at.port === 0) {
      // Alone it is dialled by nobody, and may listen at any free port.
      if (peer === id && ids.length === 1) continue;
      throw badOption(`peers.${peer}`, `${shown(peers[peer])} has port 0, at which nobody can be reached`);
    }
    if (dials && peer !== id && isWildcard(at.host)) {
      const text = `${shown(peers[peer])} is where to listen, and would reach this node itself; give the address of node ${peer}`;
      throw badOption(`peers.${peer}`, text);
    }
    const key = keyOf(at);
    const holder = holders.get(key);
    if (holder !== undefined) {
      const text = `nodes ${holder} and ${peer} have the same address, ${peers[peer]}; each listens at one of its own`;
      throw badOption("peers", text);
    }
    holders.set(key, peer);
  }
  if (!ids.includes(id)) throw badOption("peers", `node ${id} itself is not in it; add its address`);
  if (dials && !agree(listenAt, parseAddress(peers[id], `option peers.${id}`))) {
    const text =
      `${listen} is not the address that peers gives to node ${id} itself (${peers[id]}). Give both the same; if the ` +
      "others reach it at another address (a proxy, a mapped port), write that one into their options only";
    throw badOption("listen", text);
  }
  return ids.sort((a, b) => a - b);
}

/** Where others are to reach a member. Throws RAFT_BAD_OPTION, naming `what`. */
export function dialledAddress(text: string, what: string): Address {
  const at = parseDialled(text, what);
  if (!isWildcard(at.host)) return at;
  const wrong = "is where to listen; give the address at which the others reach it";
  throw new RaftmarkError("RAFT_BAD_OPTION", `${what}: ${shown(text)} ${wrong}`);
}

/** Only as numbers are written: "01" beside "1" would be one id or two. */
function idOf(key: string): number {
  const id = Number(key);
  if (String(id) === key && Number.isSafeInteger(id) && id >= 1) return id;
  throw badOption("peers", `${shown(key)} is no node id; ids are written 1, 2, 3 and so on, up to 2^53-1`);
}

/** Listening at all addresses includes every one, and what a name means is not known before it is looked up. */
function agree(listen: Address, own: Address): boolean {
  if (listen.port !== own.port) return false;
  if (keyOf(listen) === keyOf(own) || isWildcard(listen.host)) return true;
  return isIP(listen.host) === 0 || isIP(own.host) === 0;
}

function isWildcard(host: string): boolean {
  return host === "0.0.0.0" || (isIP(host) === 6 && /^[0:]+$/.test(host));
}

/** The same for two spellings of an address. */
function keyOf({ host, port }: Address): string {
  const isPlainV6 = isIP(host) === 6 && !host.includes("%");
  const name = isPlainV6 ? new URL(`http://[${host}]`).hostname : host.toLowerCase();
  return isPlainV6 ? `${name}:${port}` : formatAddress({ host: name, port });
}
