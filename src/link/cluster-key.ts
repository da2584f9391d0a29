// The key that members prove to each other, made of the secret that they share. What a connection shows of it can be
// searched offline by whoever stands at a peer's address, so that each guess has to cost what is made slow here: scrypt
// (RFC 7914). Made once for each secret of a process, on a thread of libuv's pool.
import { type ScryptOptions, scrypt } from "node:crypto";
import { RaftmarkError } from "../base/errors.js";
import { type Address, isLoopback } from "./address.js";

/** Of the secret, as UTF-8. */
export const SECRET_BYTES_MIN = 16;
const KEY_BYTES = 32;
/** 32 MiB and some 0.1 s of a core a guess. All members alike: another cost needs another HANDSHAKE_VERSION. */
const COST: ScryptOptions = { N: 2 ** 15, r: 8, p: 1, maxmem: 64 * 1024 * 1024 };
/**
 * The same for all: members agree on nothing else before they have the key. The cluster's id is covered by every MAC, and
 * is not in here, so that who has the key and comes from another cluster can be told so.
 */
const SALT = "raftmark link 3";
const KEPT_MAX = 64;

const keys = new Map<string, Promise<Uint8Array>>();

/** The key of `secret`. */
export function clusterKey(secret: string): Promise<Uint8Array> {
  let key = keys.get(secret);
  if (key === undefined) {
    if (keys.size === KEPT_MAX) keys.clear();
    key = new Promise((resolve, reject) =>
      scrypt(secret, SALT, KEY_BYTES, COST, (error, bytes) =>
        error === null ? resolve(new Uint8Array(bytes)) : reject(error),
      ),
    );
    keys.set(secret, key);
    // Not for ever; nor a rejection that nobody handles, where who began it early never gets to need it.
    key.catch(() => keys.delete(secret));
  }
  return key;
}

/**
 * Throws RAFT_BAD_OPTION for a secret that others than this machine's could guess: a short one will do only where all
 * of `addresses` are its own (loopback).
 */
export function checkSecret(secret: unknown, addresses: readonly Address[], option = "secret"): void {
  const bytes = typeof secret === "string" ? Buffer.byteLength(secret) : 0;
  if (bytes >= SECRET_BYTES_MIN || (bytes > 0 && addresses.every(isLoopback))) return;
  const text = `the cluster's shared key must be a string of at least ${SECRET_BYTES_MIN} bytes, and this has ${bytes}`;
  throw new RaftmarkError("RAFT_BAD_OPTION", `${option}: ${text}; make one by: openssl rand -hex 32`);
}

/** The same of what is taken besides, while the secret is changed; never a short one. */
export function checkOtherSecret(secret: unknown, option = "otherSecret"): void {
  checkSecret(secret, NOT_LOOPBACK, option);
}

const NOT_LOOPBACK: readonly Address[] = [{ host: "0.0.0.0", port: 0 }];
