// Whether members would take each other's certificates, tried before one shows its own: both sides of a TLS handshake with
// itself, in memory, some 10 ms. TLS's own verdict, so that nothing is refused here that would pass there, and the other way round.
import { once } from "node:events";
import { Duplex } from "node:stream";
import { connect, createServer, type TLSSocket } from "node:tls";
import { RaftmarkError } from "../base/errors.js";
import type { TlsSettings } from "./tls.js";

/** Of what a clock says that may not be set yet: told elsewhere, and taken. */
const OF_TIME = ["CERT_HAS_EXPIRED", "CERT_NOT_YET_VALID"];
/** The way from the certificate ends before an authority. */
const UNKNOWN_ISSUER = [
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "CERT_SIGNATURE_FAILURE",
];

/**
 * Rejects with RAFT_BAD_OPTION where a member with the same authorities would refuse this certificate. By how authorities are
 * changed (docs/operate.md, Trust) each member's own is among those that it believes itself.
 */
export async function tryTls(settings: TlsSettings): Promise<void> {
  for (const [as, code] of await verdicts(settings)) {
    if (code === null || OF_TIME.includes(code)) continue;
    let text = `would be refused by the other members (${code})`;
    if (UNKNOWN_ISSUER.includes(code))
      text +=
        ": no authority in tls.ca vouches for it; add the one that signed it, on all members, or take another certificate";
    if (code === "INVALID_PURPOSE")
      text += `: it is not for a TLS ${as}; take one for both server and client (extendedKeyUsage)`;
    throw new RaftmarkError("RAFT_BAD_OPTION", `tls.cert: ${text}`);
  }
}

/** What is said of the certificate by who dials, and by who is dialled: OpenSSL's code, or null. */
async function verdicts(settings: TlsSettings): Promise<["server" | "client", string | null][]> {
  const [near, far] = pipe();
  const server = createServer({ ...settings, requestCert: true, rejectUnauthorized: false });
  const accepted = new Promise<TLSSocket>((resolve, reject) => {
    server.once("secureConnection", (socket) => resolve(socket.on("error", () => {})));
    server.once("tlsClientError", reject);
  });
  server.emit("connection", far);
  const dialled = connect({
    ...settings,
    socket: near,
    rejectUnauthorized: false,
    // Its name is another matter: who is dialled as what is not known here.
    checkServerIdentity: () => undefined,
  });
  dialled.on("error", () => {});
  try {
    const [, guest] = await Promise.all([once(dialled, "secureConnect"), accepted]);
    return [
      ["server", codeOf(dialled)],
      ["client", codeOf(guest)],
    ];
  } catch (cause) {
    // OpenSSL's words without its own places.
    const { reason, message } = cause as Error & { reason?: string };
    const text = `tls.cert: no connection can be made with it and tls.key: ${reason ?? message}`;
    throw new RaftmarkError("RAFT_BAD_OPTION", text, { cause });
  } finally {
    for (const stream of [dialled, near, far]) stream.destroy();
  }
}

function codeOf({ authorized, authorizationError }: TLSSocket): string | null {
  // A string, whatever the types say.
  return authorized ? null : String(authorizationError);
}

/** What is written to one comes out of the other. */
function pipe(): [Duplex, Duplex] {
  const end = (other: () => Duplex): Duplex =>
    new Duplex({
      read() {},
      write(bytes: Buffer, _encoding, done) {
        other().push(bytes);
        done();
      },
      final(done) {
        other().push(null);
        done();
      },
    });
  const near: Duplex = end(() => far);
  const far: Duplex = end(() => near);
  return [near, far];
}
