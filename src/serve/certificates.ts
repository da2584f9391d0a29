// The files of TLS between members: read, and held against each other and the clock. What is wrong is said with the field and the path.
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { TlsOptions } from "../index.js";
import type { ServiceConfig } from "./config.js";
import { type ConfigError, errorAt, type Source } from "./config-error.js";

export type TlsFiles = NonNullable<ServiceConfig["tls"]>;

const PEM = /-----BEGIN (TRUSTED |X509 )?CERTIFICATE-----[^-]*-----END \1CERTIFICATE-----/g;

export interface Certificates {
  readonly pem: TlsOptions;
  /** Not null: OpenSSL takes them, and the other members will not, if this machine's clock is right. */
  readonly outOfDate: ConfigError | null;
}

/** Throws ConfigError for what cannot be used. */
export async function readCertificates(source: Source, files: TlsFiles): Promise<Certificates> {
  const ca = await read(source, files, "ca");
  const cert = await read(source, files, "cert");
  const key = await read(source, files, "key");
  const at = (name: keyof TlsFiles, text: string) => errorAt(source, ["tls", name], `${files[name]} ${text}`);
  const authorities = certificatesIn(ca, (text) => at("ca", text));
  const [own] = certificatesIn(cert, (text) => at("cert", text));
  let secret: KeyObject;
  try {
    secret = createPrivateKey(key);
  } catch (error) {
    throw at("key", `is no private key that can be used: ${(error as Error).message}`);
  }
  if (!own.checkPrivateKey(secret)) throw at("key", `does not belong to the certificate in ${files.cert}`);
  const now = Date.now();
  const date = outOfDate(own, now);
  // An authority that is out of date may stand beside its successor.
  const dates = authorities.map((one) => outOfDate(one, now));
  const late =
    date !== null
      ? at("cert", `${date}: the other members refuse it`)
      : dates.includes(null)
        ? null
        : at("ca", `${dates[0]}: no member is believed by it`);
  return { pem: { ca, cert, key }, outOfDate: late };
}

async function read(source: Source, files: TlsFiles, name: keyof TlsFiles): Promise<string> {
  try {
    return await readFile(files[name], "utf8");
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw errorAt(source, ["tls", name], `cannot read ${files[name]} (${code})`);
  }
}

/** One at least. */
function certificatesIn(pem: string, refusal: (text: string) => ConfigError): X509Certificate[] {
  const blocks = pem.match(PEM);
  if (blocks === null) throw refusal("has no certificate in PEM");
  try {
    return blocks.map((block) => new X509Certificate(block));
  } catch (error) {
    throw refusal(`has a certificate that cannot be used: ${(error as Error).message}`);
  }
}

/** Null: it counts now. */
function outOfDate({ validFrom, validTo }: X509Certificate, now: number): string | null {
  if (Date.parse(validTo) < now) return `expired on ${dayOf(validTo)}`;
  return Date.parse(validFrom) > now ? `counts only from ${dayOf(validFrom)} on` : null;
}

function dayOf(text: string): string {
  return new Date(text).toISOString().slice(0, 10);
}
