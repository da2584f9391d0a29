// Whether members would take each other's certificates, tried before one shows its own: both sides of a TLS handshake
// with itself, in memory, some 10 ms. TLS's own verdict, so that nothing is refused here that would pass there, and the
// other way round.
import { once } from "node:events";
import { Duplex } from "node:stream";
import { connect, createServer, type TLSSocket } from "node:tls";
import { RaftmarkError } from "../base/errors.js";
import type { TlsSettings } from "./tls.js";
import { hiddenFaults, OF_TIME } from "./tls-faults.js";

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
  for (const { as, code, hidden } of await verdicts(settings)) {
    if (code === null) continue;
    // Dates are told elsewhere, and taken: by a clock that may not be set yet.
    if (OF_TIME.includes(code) && hidden.length === 0) continue;
    let text = `would be refused by the other members (${code})`;
    if (hidden.length > 0) text += `, also where its dates counted: ${hidden.join("; ")}`;
    if (UNKNOWN_ISSUER.includes(code))
      text +=
        ": no authority in tls.ca vouches for it; add the one that signed it, on all members, or take another certificate";
    if (code === "INVALID_PURPOSE")
      text += `: it is not for a TLS ${as}; take one for both server and client (extendedKeyUsage)`;
    throw new RaftmarkError("RAFT_BAD_OPTION", `tls.cert: ${text}`);
  }
}

interface Verdict {
  readonly as: "server" | "client";
  /** OpenSSL's; null: it is taken. */
  readonly code: string | null;
  /** What else is wrong with one whose dates are. */
  readonly hidden: readonly string[];
}

/** What is said of the certificate by who dials, and by who is dialled. */
async function verdicts(settings: TlsSettings): Promise<Verdict[]> {
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
    return [verdictOf(dialled, "server", settings), verdictOf(guest, "client", settings)];
  } catch (cause) {
    // OpenSSL's words without its own places.
    const { reason, message } = cause as Error & { reason?: string };
    const text = `tls.cert: no connection can be made with it and tls.key: ${reason ?? message}`;
    throw new RaftmarkError("RAFT_BAD_OPTION", text, { cause });
  } finally {
    for (const stream of [dialled, near, far]) stream.destroy();
  }
}

function verdictOf(socket: TLSSocket, as: Verdict["as"], { ca }: TlsSettings): Verdict {
  // A string, whatever the types say.
  const code = socket.authorized ? null : String(socket.authorizationError);
  const certificate = socket.getPeerX509Certificate();
  const isLate = code !== null && OF_TIME.includes(code) && certificate !== undefined;
  return { as, code, hidden: isLate ? hiddenFaults(certificate, as, ca) : [] };
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
