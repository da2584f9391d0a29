// Where members are reached, by each other and by clients: what can be no such address, and which two cannot be the
// same. Of the members' own among each other the engine says so. Pure.
import { splitAddress } from "../link/address.js";

export interface Member {
  readonly id: number;
  /** Where the other members reach it. */
  readonly raft: string;
  /** Where clients do; null: not known. */
  readonly http: string | null;
}

/** Why clients, and other members for them, do not get to a member at `http`; null: they may. */
export function unreachableText(http: string, id: number): string | null {
  const [host, port] = placeAt(http);
  if (port === 0) return `${JSON.stringify(http)} has port 0, at which nobody can be reached`;
  if (!isWildcard(host)) return null;
  return `${JSON.stringify(http)} is where to listen, and would reach whoever asks itself; give the address of node ${id}`;
}

/**
 * Where two of the members that are given, or one of them and one of `standing`, are at one address, for clients at
 * least on one side: the member, of those that are given, and the sentence.
 */
export function clashOf(
  given: readonly Member[],
  standing: readonly Member[] = [],
): { readonly id: number; readonly text: string } | null {
  const holders = new Map<string, { readonly id: number; readonly isHttp: boolean }>();
  for (const { id, raft, http } of standing) {
    holders.set(keyOf(raft), { id, isHttp: false });
    if (http !== null) holders.set(keyOf(http), { id, isHttp: true });
  }
  for (const { id, raft, http } of given) {
    for (const [at, isHttp] of [[raft, false] as const, [http, true] as const]) {
      if (at === null || placeAt(at)[1] === 0) continue;
      const holder = holders.get(keyOf(at));
      if (holder !== undefined && (isHttp || holder.isHttp)) {
        const own = `${at}, ${isHttp ? "where clients reach" : "the address for"} node ${id}`;
        const other = `is ${holder.isHttp ? "where clients reach" : "that of"} node ${holder.id}`;
        return { id, text: `${own}, ${other}: each listens at one of its own` };
      }
      holders.set(keyOf(at), { id, isHttp });
    }
  }
  return null;
}

/** Whether one process cannot listen at both. */
export function doClash(a: string, b: string): boolean {
  const [hostA, portA] = placeAt(a);
  const [hostB, portB] = placeAt(b);
  return portA === portB && portA !== 0 && (hostA === hostB || isWildcard(hostA) || isWildcard(hostB));
}

function placeAt(text: string): [host: string, port: number] {
  const { host, port } = splitAddress(text)!;
  const name = host.toLowerCase();
  return [name === "localhost" ? "127.0.0.1" : name, port];
}

/** The same for two spellings of an address. */
function keyOf(text: string): string {
  const [host, port] = placeAt(text);
  const url = `http://[${host}]`;
  return `${URL.canParse(url) ? new URL(url).hostname : host} ${port}`;
}

function isWildcard(host: string): boolean {
  return host === "0.0.0.0" || /^[0:]+$/.test(host);
}
