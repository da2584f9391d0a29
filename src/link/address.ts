// host:port as users write it. Pure.
import { RaftmarkError } from "../base/errors.js";

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** Parses "host:port" or "[v6]:port". Throws RAFT_BAD_OPTION naming `option`. Port 0 only where `anyPort` says so. */
export function parseAddress(text: string, option: string, anyPort = false): Address {
  const match = /^(?:\[(\w*:[\w:.%]+)\]|([\w.\-\u0080-\uffff]+)):(\d{1,5})$/.exec(text);
  const port = match === null ? -1 : Number(match[3]);
  if (match === null || port > 65535 || (port === 0 && !anyPort)) {
    throw new RaftmarkError(
      "RAFT_BAD_OPTION",
      `${option}: ${JSON.stringify(text)} is not an address; write host:port, as in 127.0.0.1:7001 or [::1]:7001`,
    );
  }
  return { host: match[1] ?? match[2]!, port };
}

export function formatAddress(address: Address): string {
  return address.host.includes(":") ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}

/** Whether it leads nowhere but to this machine. */
export function isLoopback({ host }: Address): boolean {
  return /^(localhost|127(\.\d{1,3}){3}|::1|(0{1,4}:){7}0{0,3}1|::ffff:127(\.\d{1,3}){3})$/i.test(host);
}
