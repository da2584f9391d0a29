// The opening handshake of WebSocket (RFC 6455, 4), either side of it. Pure, apart from a key at random.
import { createHash, randomBytes } from "node:crypto";

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const VERSION = "13";
const KEY = /^[+/0-9A-Za-z]{22}==$/;
const BEGINNING = Buffer.from("HTTP/1.1 ");
/** How an alert of TLS begins: of any version. */
const TLS_ALERT = Buffer.from([0x15, 0x03]);
/** Of what is no HTTP, as text or as bytes. */
const SHOWN_CHARS_MAX = 40;
const SHOWN_BYTES_MAX = 8;

function acceptOf(key: string): string {
  return createHash("sha1")
    .update(key + GUID)
    .digest("base64");
}

export function newKey(): string {
  return randomBytes(16).toString("base64");
}

export function upgradeRequest(host: string, path: string, key: string): string {
  return (
    `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
    `Sec-WebSocket-Version: ${VERSION}\r\nSec-WebSocket-Key: ${key}\r\n\r\n`
  );
}

/** Null: `bytes`, all that came so far, may be how an answer begins. Else what was found instead. */
export function refusalOfBeginning(bytes: Buffer): string | null {
  const count = Math.min(bytes.length, BEGINNING.length);
  if (bytes.compare(BEGINNING, 0, count, 0, count) === 0) return null;
  if (bytes.subarray(0, TLS_ALERT.length).equals(TLS_ALERT)) return "what answers wants TLS: give option tls";
  const line = bytes.toString("latin1", 0, SHOWN_CHARS_MAX).split(/\r?\n/, 1)[0];
  const found = /^[\x20-\x7e]+$/.test(line)
    ? JSON.stringify(line)
    : `the bytes ${bytes.toString("hex", 0, SHOWN_BYTES_MAX)}`;
  return `what answers does not speak HTTP/1.1: it began with ${found}`;
}

/** Null: `head`, which ends before the empty line, accepts the request with `key`. Else why it does not. */
export function refusalOfUpgrade(head: string, key: string): string | null {
  const [status, ...lines] = head.split("\r\n");
  const match = /^HTTP\/1\.1 (\d{3})(?: |$)/.exec(status);
  if (match === null) return "what answers does not speak HTTP/1.1";
  if (match[1] !== "101") return `Unexpected server response: ${match[1]}`;
  const headers = new Map<string, string>();
  for (const line of lines) {
    const colon = line.indexOf(":");
    if (colon <= 0) return "a header that is none";
    headers.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
  }
  if (headers.get("upgrade")?.toLowerCase() !== "websocket") return "Invalid Upgrade header";
  if (headers.get("sec-websocket-accept") !== acceptOf(key)) return "Invalid Sec-WebSocket-Accept header";
  // We asked for neither.
  if (headers.has("sec-websocket-extensions") || headers.has("sec-websocket-protocol"))
    return "an extension or protocol that was not asked for";
  return null;
}

export interface UpgradeHeaders {
  readonly upgrade?: string | undefined;
  readonly "sec-websocket-key"?: string | undefined;
  readonly "sec-websocket-version"?: string | undefined;
}

/** Why something is not upgraded. */
export interface UpgradeRefusal {
  readonly status: string;
  /** Lines of the answer's head. */
  readonly headers: Readonly<Record<string, string>>;
}

export const NOT_FOUND: UpgradeRefusal = { status: "404 Not Found", headers: {} };
export const NO_METHOD: UpgradeRefusal = { status: "405 Method Not Allowed", headers: {} };
export const TOO_LATE: UpgradeRefusal = { status: "408 Request Timeout", headers: {} };

/** Null: a request with this method and these headers is to be upgraded. */
export function refusalOfRequest(method: string | undefined, headers: UpgradeHeaders): UpgradeRefusal | null {
  const key = headers["sec-websocket-key"];
  if (
    method !== "GET" ||
    headers.upgrade?.toLowerCase() !== "websocket" ||
    key === undefined ||
    !KEY.test(key)
  )
    return { status: "400 Bad Request", headers: {} };
  if (headers["sec-websocket-version"] === VERSION) return null;
  return { status: "426 Upgrade Required", headers: { "Sec-WebSocket-Version": VERSION } };
}

/** What accepts a request to upgrade with that key. */
export function upgradeAnswer(key: string): string {
  return (
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
    `Sec-WebSocket-Accept: ${acceptOf(key)}\r\n\r\n`
  );
}

/** A refusal as it is sent; the connection is closed behind it. */
export function refusalAnswer({ status, headers }: UpgradeRefusal): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n${lines.join("")}\r\n`;
}
