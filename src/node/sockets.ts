// The link of a node that has none of its caller's: sockets, TLS, and what is to be said of how open they are. Main thread.
import * as v from "valibot";
import { RaftmarkError, textOf } from "../base/errors.js";
import { isLoopback, parseAddress } from "../link/address.js";
import { SECRET_BYTES_MIN } from "../link/cluster-key.js";
import { createUwsLink, type TlsOptions, type TlsSource, type UwsLink } from "../link/index.js";
import { resolveTls } from "../link/tls.js";
import { tryTls } from "../link/tls-trial.js";
import { badOption, parseOptions } from "./option-errors.js";
import type { ResolvedOptions } from "./options.js";
import type { Teller } from "./teller.js";

const pem = v.custom<string | Uint8Array>(
  (value) => typeof value === "string" || value instanceof Uint8Array,
  "PEM, as a string or bytes",
);
const tlsSchema = v.strictObject({ ca: pem, cert: pem, key: pem });

/** Rejects with RAFT_BAD_OPTION naming what of option `tls`, or of what it gave, is wrong. */
async function checkTls(given: TlsOptions): Promise<void> {
  parseOptions(tlsSchema, given, "tls");
  try {
    await tryTls(resolveTls(given));
  } catch (error) {
    throw error instanceof RaftmarkError
      ? new RaftmarkError("RAFT_BAD_OPTION", `option ${error.message}`, { cause: error.cause })
      : error;
  }
}

/** What it gives; null: no TLS. Throws RAFT_BAD_OPTION. */
export async function tlsOf(source: TlsSource | undefined): Promise<TlsOptions | null> {
  if (source === undefined) return null;
  let given: TlsOptions;
  try {
    given = typeof source === "function" ? await source() : source;
  } catch (cause) {
    const text = `option tls: the function failed: ${textOf(cause)}`;
    throw new RaftmarkError("RAFT_BAD_OPTION", text, { cause });
  }
  await checkTls(given);
  return given;
}

/** How often a node's certificates were asked for anew, and which of those times counts. */
export interface TlsLoads {
  asked: number;
  counts: number;
}

/**
 * Asks option `tls`, a function, anew, for connections of `sockets` (null: they are not ours) from then on. Throws
 * RAFT_BAD_OPTION, or what `ended` gives.
 */
export async function loadAnew(
  sockets: UwsLink | null,
  tls: TlsSource | undefined,
  loads: TlsLoads,
  ended: () => RaftmarkError | null,
): Promise<void> {
  if (sockets === null || typeof tls !== "function")
    throw badOption("tls", "must be a function for reloadTls(), which asks it again");
  const turn = ++loads.asked;
  const given = await tlsOf(tls);
  const error = ended();
  if (error !== null) throw error;
  // One that was asked for later was there sooner.
  if (turn < loads.counts) return;
  loads.counts = turn;
  sockets.setTls(given!);
}

/**
 * In election timeouts: with what the link adds, a member is dialled anew when it is not heard for two. Until then others
 * have elected, and who is silent because it has much to do loses nothing more. Bounds in milliseconds.
 */
const SILENCE_ELECTIONS = 1.5;
const SILENCE_MS_MIN = 1500;
const SILENCE_MS_MAX = 8000;

/** Not started; knows these peers. */
export function newLink(
  options: ResolvedOptions,
  peers: Readonly<Record<number, string>>,
  tls: TlsOptions | null,
): UwsLink {
  return createUwsLink({
    ...(tls === null ? {} : { tls }),
    id: options.id,
    clusterId: options.clusterId,
    listen: options.listen,
    peers,
    secret: options.secret,
    otherSecret: options.otherSecret,
    frameTags: options.frameTags,
    acceptor: options.acceptor,
    maxFrameBytes: options.maxFrameBytes,
    maxBackpressureBytes: options.linkBufferBytes,
    silenceMs: Math.min(
      SILENCE_MS_MAX,
      Math.max(SILENCE_MS_MIN, SILENCE_ELECTIONS * options.electionTicks * options.tickMs),
    ),
  });
}

/** Says once what a stranger could read, or guess. */
export function tellExposure({ listen, secret, tls, logger }: ResolvedOptions, teller: Teller): void {
  if (tls === undefined && !isLoopback(parseAddress(listen, "listen"))) {
    const text =
      "what nodes say to each other can be read on the way, if not changed: give option tls (docs/operate.md, Trust)";
    if (logger === undefined) process.emitWarning(text, { type: "RaftmarkWarning", code: "RAFT_NO_TLS" });
    else teller.warn({ listen }, text);
  }
  if (Buffer.byteLength(secret) < SECRET_BYTES_MIN) {
    const text = `a secret of less than ${SECRET_BYTES_MIN} bytes will do on this machine alone; make one by: openssl rand -hex 32`;
    teller.info({}, text);
  }
}
