// The files of TLS between members: read, and held against each other and the clock. What is wrong is said with the field and the path.
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { checkServerIdentity, type PeerCertificate } from "node:tls";
import type { Logger, TlsOptions } from "../index.js";
import type { ServiceConfig } from "./config.js";
import { type ConfigError, errorAt, type Source } from "./config-error.js";
import { type Source as MetricSource, single } from "./exposition.js";
import { hostOf } from "./issues.js";

export type TlsFiles = NonNullable<ServiceConfig["tls"]>;

const PEM = /-----BEGIN (TRUSTED |X509 )?CERTIFICATE-----[^-]*-----END \1CERTIFICATE-----/g;

export interface Certificates {
  readonly pem: TlsOptions;
  /** Not null: OpenSSL takes them, and the other members will not, if this machine's clock is right. */
  readonly outOfDate: ConfigError | null;
  /** Not null: they count for little longer. */
  readonly endsSoon: ConfigError | null;
  /** The node's own. */
  readonly own: X509Certificate;
}

/** "Soon" is the last quarter of a certificate's life, of a long one the last thirty days. */
const SOON_MS_MAX = 30 * 24 * 3600 * 1000;
const SOON_SHARE = 1 / 4;

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
  const judge = (
    of: (one: X509Certificate, now: number) => string | null,
    ofOwn: (text: string) => string,
    ofAuthorities: (texts: readonly (string | null)[]) => string,
  ): ConfigError | null => {
    const mine = of(own, now);
    if (mine !== null) return at("cert", ofOwn(mine));
    const theirs = authorities.map((one) => of(one, now));
    // One of which that is so may stand beside its successor.
    return theirs.includes(null) ? null : at("ca", ofAuthorities(theirs));
  };
  const late = judge(
    outOfDate,
    (date) => `${date}: the other members refuse it`,
    (dates) => `${dates[0]}: no member is believed by it`,
  );
  const soon = judge(
    whenSoon,
    (end) => `${end}: put a new one there, and send SIGHUP`,
    (ends) => `${ends.at(-1)}: put another beside it, and send SIGHUP`,
  );
  return { pem: { ca, cert, key }, outOfDate: late, endsSoon: late === null ? soon : null, own };
}

/** Of a certificate under which the others cannot dial this node, where peers says that they do; null: they can. */
export function nameError(
  { id, peers, source, tls }: ServiceConfig,
  own: X509Certificate,
): ConfigError | null {
  const host = hostOf(peers.get(id)!.raft);
  // What a member that dials asks as well.
  const error = checkServerIdentity(host, own.toLegacyObject() as PeerCertificate);
  if (error === undefined) return null;
  const names = own.subjectAltName ?? "no name at all";
  const text = `is for ${names}, and not for ${host}, where peers has this node: the other members refuse it`;
  return errorAt(source, ["tls", "cert"], `${tls!.cert} ${text}`);
}

/** What is told of the certificates that the engine took: they are read once more, right behind it. */
export class CertificatesSeen {
  private endS = 0;
  private readonly config: ServiceConfig;
  private readonly logger: Logger;

  /** Null: there is no TLS. */
  static async of(config: ServiceConfig, logger: Logger): Promise<CertificatesSeen | null> {
    if (config.tls === undefined) return null;
    const seen = new CertificatesSeen(config, logger);
    await seen.look();
    return seen;
  }

  private constructor(config: ServiceConfig, logger: Logger) {
    this.config = config;
    this.logger = logger;
  }

  async look(): Promise<void> {
    const { source, tls } = this.config;
    const { own, endsSoon } = await readCertificates(source, tls!);
    this.endS = Date.parse(own.validTo) / 1000;
    for (const worry of [nameError(this.config, own), endsSoon])
      if (worry !== null) this.logger.warn({}, worry.message);
  }

  metric(): MetricSource {
    const help = "When the certificate of this node ends, in seconds since 1970.";
    return single("gauge", "raftmark_tls_not_after_timestamp_seconds", help, () => this.endS);
  }
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

/** Null: not soon. */
function whenSoon({ validFrom, validTo }: X509Certificate, now: number): string | null {
  const end = Date.parse(validTo);
  const soonMs = Math.min(SOON_MS_MAX, SOON_SHARE * (end - Date.parse(validFrom)));
  return end - now < soonMs ? `counts until ${dayOf(validTo)} only` : null;
}

function dayOf(text: string): string {
  return new Date(text).toISOString().slice(0, 10);
}
