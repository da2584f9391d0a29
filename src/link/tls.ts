// TLS between members, with certificates on both sides: what a link is given of it, and what is wrong with that. The
// shared secret is proved besides; a certificate says that a machine may try.
import { createSecureContext } from "node:tls";
import { RaftmarkError } from "../base/errors.js";

/** PEM, as a string or its bytes (a Buffer is such). */
export type Pem = string | Uint8Array;

/** What a member shows, and whom it believes. The same for dialling and accepting. */
export interface TlsOptions {
  /** The authorities that sign members' certificates: your own, not the public ones. Any number in one PEM. */
  readonly ca: Pem;
  /** This member's certificate, for server and client, with the names and addresses under which others dial it. */
  readonly cert: Pem;
  /** Its private key. */
  readonly key: Pem;
}

/** Options, or what gives them: asked when the node opens and by each reloadTls(). */
export type TlsSource = TlsOptions | (() => TlsOptions | Promise<TlsOptions>);

/** What both sides of node:tls take. Checked: OpenSSL can use it. */
export interface TlsSettings {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
  readonly minVersion: "TLSv1.3";
}

/** Throws RAFT_BAD_OPTION naming what cannot be used. */
export function resolveTls(given: TlsOptions): TlsSettings {
  const pem = (name: keyof TlsOptions): string => {
    const value: unknown = (given as TlsOptions | null | undefined)?.[name];
    if (typeof value === "string") return value;
    if (value instanceof Uint8Array) return Buffer.from(value).toString();
    const text = `tls.${name}: must be PEM, as a string or bytes`;
    throw new RaftmarkError("RAFT_BAD_OPTION", value === undefined ? `${text}, and is missing` : text);
  };
  const settings = { ca: pem("ca"), cert: pem("cert"), key: pem("key"), minVersion: "TLSv1.3" } as const;
  const locked = lockedText(settings.key);
  if (locked !== null) throw new RaftmarkError("RAFT_BAD_OPTION", `tls.key: ${locked}`);
  // One by one, so that it can be said which.
  const parts: [string, Partial<TlsSettings>][] = [
    ["ca", { ca: settings.ca }],
    ["cert", { cert: settings.cert }],
    ["key", { key: settings.key }],
    ["key, with tls.cert", settings],
  ];
  for (const [name, part] of parts) {
    try {
      createSecureContext(part);
    } catch (cause) {
      const text = `tls.${name}: cannot be used: ${(cause as Error).message}`;
      throw new RaftmarkError("RAFT_BAD_OPTION", text, { cause });
    }
  }
  if (!/-----BEGIN (TRUSTED |X509 )?CERTIFICATE-----/.test(settings.ca))
    throw new RaftmarkError("RAFT_BAD_OPTION", "tls.ca: there is no certificate in it");
  return settings;
}

/** Of a private key: why it cannot be used though it may be sound; null: it is not encrypted. */
function lockedText(key: string): string | null {
  if (!/^-----BEGIN ENCRYPTED |^Proc-Type: 4,ENCRYPTED/m.test(key)) return null;
  return "is encrypted, and nobody is here to type its passphrase: openssl pkey -in FILE writes it without";
}
