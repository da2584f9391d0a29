// The files of TLS between members: read, and held against each other and the clock. What is wrong is said with the
// field and the path.
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { checkServerIdentity, type PeerCertificate } from "node:tls";
import { dayOf, startText } from "../base/days.js";
import type { Logger, TlsOptions } from "../index.js";
import { splitAddress } from "../link/address.js";
import type { ServiceConfig } from "./config.js";
import { type ConfigError, errorAt, type Source } from "./config-error.js";
import { type Source as MetricSource, single } from "./exposition.js";

export type TlsFiles = NonNullable<ServiceConfig["tls"]>;

const PEM = /-----BEGIN (TRUSTED |X509 )?CERTIFICATE-----[^-]*-----END \1CERTIFICATE-----/g;

const BEGIN = /-----BEGIN (TRUSTED |X509 )?CERTIFICATE-----/g;

export interface Certificates {
  readonly pem: TlsOptions;
  /** Not null: OpenSSL takes them, and the other members will not, if this machine's clock is right. */
  readonly outOfDate: ConfigError | null;
  /** Not null: they count for little longer. */
  readonly endsSoon: ConfigError | null;
  /** What is to be said of them at that time, as Date.now(): one of the two. */
  readonly worryAt: (now: number) => ConfigError | null;
  /** The node's own. */
  readonly own: X509Certificate;
  /** When it does not count any more: it ends, or one by which it counts. As Date.now(). */
  readonly end: number;
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
  const chain = certificatesIn(cert, (text) => at("cert", text));
  const [own] = chain;
  const secret = privateKeyIn(key);
  if (secret !== null && !own.checkPrivateKey(secret))
    throw at("key", `does not belong to the certificate in ${files.cert}`);
  const shown = chain.map((one): Placed => ({ one, file: "cert" }));
  const way = wayFrom(shown[0], [...shown, ...authorities.map((one): Placed => ({ one, file: "ca" }))]);
  const counting = way.length === 0 ? [shown[0]] : way;
  // Of the first of which there is something to say.
  const judge = (
    of: typeof outOfDate,
    now: number,
    rest: (file: Placed["file"]) => string,
  ): ConfigError | null => {
    for (const { one, file } of counting) {
      const what = of(one, now);
      const whose =
        one === own ? "" : `has ${nameOf(one)}, by which this node's certificate counts, and which `;
      if (what !== null) return at(file, `${whose}${what}: ${rest(file)}`);
    }
    return null;
  };
  const lateAt = (now: number) => judge(outOfDate, now, () => "the other members refuse it");
  const soonAt = (now: number) =>
    judge(whenSoon, now, (file) =>
      file === "cert"
        ? "put a new one there, and send SIGHUP"
        : "put another beside it, then a certificate of that one into tls.cert, with SIGHUP for each",
    );
  const worryAt = (now: number) => lateAt(now) ?? soonAt(now);
  const now = Date.now();
  const late = lateAt(now);
  const end = Math.min(...counting.map(({ one }) => Date.parse(one.validTo)));
  const soon = late === null ? soonAt(now) : null;
  return { pem: { ca, cert, key }, outOfDate: late, endsSoon: soon, worryAt, own, end };
}

/** Of a certificate under which the others cannot dial this node, where peers says that they do; null: they can. */
export function nameError(
  { id, peers, source, tls }: ServiceConfig,
  own: X509Certificate,
): ConfigError | null {
  const { host } = splitAddress(peers.get(id)!.raft)!;
  // What a member that dials asks as well.
  const error = checkServerIdentity(host, own.toLegacyObject() as PeerCertificate);
  if (error === undefined) return null;
  const names = own.subjectAltName ?? "no name at all";
  const text = `is for ${names}, and not for ${host}, where peers has this node: the other members refuse it`;
  return errorAt(source, ["tls", "cert"], `${tls!.cert} ${text}`);
}

/** A node that nobody starts anew looks at its certificates so often, and tells of those that end, or have. */
const LOOK_MS = 24 * 3600 * 1000;

/** What is told of the certificates that the engine took: they are read once more, right behind it. */
export class CertificatesSeen {
  private endS = 0;
  private worryAt: Certificates["worryAt"] = () => null;
  private readonly timer: NodeJS.Timeout;
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
    this.timer = setInterval(() => this.tell(this.worryAt(Date.now())), LOOK_MS).unref();
  }

  end(): void {
    clearInterval(this.timer);
  }

  async look(): Promise<void> {
    const { source, tls } = this.config;
    const { own, end, endsSoon, worryAt } = await readCertificates(source, tls!);
    this.endS = end / 1000;
    this.worryAt = worryAt;
    for (const worry of [nameError(this.config, own), endsSoon]) this.tell(worry);
  }

  private tell(worry: ConfigError | null): void {
    if (worry !== null) this.logger.warn({}, worry.message);
  }

  metric(): MetricSource {
    const help = "When the certificate of this node ends, or one by which it counts, in seconds since 1970.";
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

/** Null: there is none that can be used, of which the engine says why. */
function privateKeyIn(pem: string): KeyObject | null {
  try {
    return createPrivateKey(pem);
  } catch {
    return null;
  }
}

/** A certificate of one of the files. */
interface Placed {
  readonly one: X509Certificate;
  readonly file: "ca" | "cert";
}

/**
 * By what members believe a certificate: itself, who signed it, and so on to an authority that signed itself. Of
 * several ways the one that counts longest, of which there is one where one counts now; empty: there is none.
 */
function wayFrom(first: Placed, all: readonly Placed[]): Placed[] {
  const { one } = first;
  const others = all.filter((other) => other.one.fingerprint256 !== one.fingerprint256);
  if (isBy(one, one))
    return all.some(
      ({ one: { fingerprint256 }, file }) => file === "ca" && fingerprint256 === one.fingerprint256,
    )
      ? [first]
      : [];
  const ways = others
    .filter(({ one: above }) => isBy(one, above))
    .map((above) => wayFrom(above, others))
    .filter((way) => way.length > 0);
  const now = Date.now();
  const endOf = (way: readonly Placed[]): number =>
    Math.min(...way.map(({ one }) => (outOfDate(one, now) === null ? Date.parse(one.validTo) : 0)));
  const [best] = ways.sort((a, b) => endOf(b) - endOf(a));
  return best === undefined ? [] : [first, ...best];
}

/** By name, and by signature: an authority that changes its key vouches for the new one under the same name. */
function isBy(one: X509Certificate, above: X509Certificate): boolean {
  return one.checkIssued(above) && one.verify(above.publicKey);
}

/** On one line. */
function nameOf({ subject }: X509Certificate): string {
  return subject === "" ? "an authority without a name" : subject.replaceAll("\n", ", ");
}

/** One at least. */
function certificatesIn(pem: string, refusal: (text: string) => ConfigError): X509Certificate[] {
  const blocks = pem.match(PEM);
  if (blocks === null) throw refusal("has no certificate in PEM");
  // OpenSSL takes those in front of it.
  if (blocks.length !== pem.match(BEGIN)!.length) throw refusal("has a certificate that is cut off");
  try {
    return blocks.map((block) => new X509Certificate(block));
  } catch (error) {
    throw refusal(`has a certificate that cannot be used: ${(error as Error).message}`);
  }
}

/** Null: it counts now. */
function outOfDate({ validFrom, validTo }: X509Certificate, now: number): string | null {
  if (Date.parse(validTo) < now) return `expired on ${dayOf(validTo)}`;
  return Date.parse(validFrom) > now ? startText(validFrom, now) : null;
}

/** Null: not soon. */
function whenSoon({ validFrom, validTo }: X509Certificate, now: number): string | null {
  const end = Date.parse(validTo);
  const soonMs = Math.min(SOON_MS_MAX, SOON_SHARE * (end - Date.parse(validFrom)));
  return end - now < soonMs ? `counts until ${dayOf(validTo)} only` : null;
}
