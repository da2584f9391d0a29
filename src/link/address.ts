// host:port as users write it. Pure.
import { RaftmarkError } from "../base/errors.js";

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** "host:port" or "[v6]:port" in its two parts; null: the text is no address. */
export function splitAddress(text: string): Address | null {
  const match = /^(?:\[(\w*:[\w:.%]+)\]|([\w.\-\u0080-\uffff]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  return match === null || port > 65535 ? null : { host: match[1] ?? match[2]!, port };
}

/** An address to listen at; port 0 is any free one. Throws RAFT_BAD_OPTION naming `option`. */
export function parseAddress(text: string, option: string): Address {
  const address = splitAddress(text);
  if (address !== null) return address;
  const rule = "is not an address; write host:port, as in 127.0.0.1:7001 or [::1]:7001";
  throw new RaftmarkError("RAFT_BAD_OPTION", `${option}: ${JSON.stringify(text)} ${rule}`);
}

/** An address to dial: nobody listens at port 0. Throws RAFT_BAD_OPTION naming `option`. */
export function parseDialled(text: string, option: string): Address {
  const address = parseAddress(text, option);
  if (address.port !== 0) return address;
  const rule = "has port 0, at which nobody can be reached";
  throw new RaftmarkError("RAFT_BAD_OPTION", `${option}: ${JSON.stringify(text)} ${rule}`);
}

export function formatAddress(address: Address): string {
  return address.host.includes(":") ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}

/** Whether it leads nowhere but to this machine. */
export function isLoopback({ host }: Address): boolean {
  return /^(localhost|127(\.\d{1,3}){3}|::1|(0{1,4}:){7}0{0,3}1|::ffff:127(\.\d{1,3}){3})$/i.test(host);
}
