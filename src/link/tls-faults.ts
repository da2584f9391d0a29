// What is wrong with a certificate that TLS refused. OpenSSL tells one fault, the one that it looked for last: the date
// hides that it is of another authority, for something else, or for another name. Here is the rest, as far as it can be
// seen. Pure but for the clock.

import { X509Certificate } from "node:crypto";
import { checkServerIdentity, type PeerCertificate, type TLSSocket } from "node:tls";
import { dayOf, startText } from "../base/days.js";
import type { TlsSettings } from "./tls.js";

/** Of what a clock says that may not be set yet. */
export const OF_TIME: readonly string[] = ["CERT_HAS_EXPIRED", "CERT_NOT_YET_VALID"];
const PEM = /-----BEGIN (TRUSTED |X509 )?CERTIFICATE-----[^-]*-----END \1CERTIFICATE-----/g;
/** Extended key usage. */
const USES = { server: "1.3.6.1.5.5.7.3.1", client: "1.3.6.1.5.5.7.3.2" } as const;
const CHAIN_MAX = 10;

/**
 * Of the certificate that the other end of `socket` showed, `as` which side, dialled at `host` (null: it dialled): OpenSSL's
 * code, and behind it whatever else is known, in one line. Null: it counts.
 */
export function faultOf(
  socket: TLSSocket,
  as: "server" | "client",
  host: string | null,
  { ca }: TlsSettings,
): string | null {
  if (socket.authorized) return null;
  // A string, whatever the types say.
  const code = String(socket.authorizationError);
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return code;
  const faults = seen(() => [...lateOf(certificate), ...nameFault(certificate, host)]);
  // Else OpenSSL would have told these.
  if (OF_TIME.includes(code)) faults.push(...hiddenFaults(certificate, as, ca));
  return faults.length === 0 ? code : `${code}: ${faults.join("; ")}`;
}

/** What OpenSSL does not tell of a certificate that it finds out of date. */
export function hiddenFaults(certificate: X509Certificate, as: "server" | "client", ca: string): string[] {
  return seen(() => [...authorityFault(certificate, ca), ...useFault(certificate, as)]);
}

/** It is a stranger's, and may be one that Node.js cannot take apart: of that no more is known. */
function seen(look: () => string[]): string[] {
  try {
    return look();
  } catch {
    return [];
  }
}

function authorityFault(certificate: X509Certificate, ca: string): string[] {
  const authorities = (ca.match(PEM) ?? []).map((pem) => new X509Certificate(pem));
  const isVouchedFor = chainOf(certificate).some((one) =>
    authorities.some((above) => one.checkIssued(above) && one.verify(above.publicKey)),
  );
  return isVouchedFor ? [] : ["no authority in tls.ca vouches for it"];
}

/** One that names no use is for all. */
function useFault(certificate: X509Certificate, as: "server" | "client"): string[] {
  const uses = certificate.keyUsage as string[] | undefined;
  return uses === undefined || uses.includes(USES[as]) ? [] : [`it is not for a TLS ${as}`];
}

/** From the certificate on upward, as far as the other side showed it. */
function chainOf(certificate: X509Certificate): X509Certificate[] {
  const chain = [certificate];
  while (chain.length < CHAIN_MAX) {
    const above: X509Certificate | undefined = chain.at(-1)!.issuerCertificate;
    if (above === undefined) break;
    chain.push(above);
  }
  return chain;
}

function lateOf(certificate: X509Certificate): string[] {
  const now = Date.now();
  return chainOf(certificate).flatMap((one) => {
    const whose = one === certificate ? "it" : one.subject.replaceAll("\n", ", ");
    if (Date.parse(one.validTo) < now) return [`${whose} expired on ${dayOf(one.validTo)}`];
    return Date.parse(one.validFrom) > now ? [`${whose} ${startText(one.validFrom, now)}`] : [];
  });
}

function nameFault(certificate: X509Certificate, host: string | null): string[] {
  if (host === null) return [];
  if (checkServerIdentity(host, certificate.toLegacyObject() as PeerCertificate) === undefined) return [];
  return [`it is for ${certificate.subjectAltName ?? "no name at all"}, not for ${host}`];
}
