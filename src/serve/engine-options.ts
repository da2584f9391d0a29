// A configuration as the engine's options.
import type { Logger, RaftNodeOptions, TlsOptions } from "../index.js";
import { readCertificates, type TlsFiles } from "./certificates.js";
import { COMMAND_OVERHEAD_BYTES, KEY_BYTES_MAX } from "./commands.js";
import { type ServiceConfig, VALUE_BYTES_MAX } from "./config.js";
import type { Source } from "./config-error.js";
import type { KvStore } from "./kv.js";

/** Fields that are the engine's options, under the same names. */
const ENGINE_OPTIONS = [
  "initialClusterState",
  "clusterId",
  "snapshotEveryBytes",
  "snapshotEveryEntries",
  "snapshotCatchUpBytes",
  "snapshotSendBytesPerS",
  "catchUpBytesPerS",
  "readOnly",
  "durability",
  "segmentBytes",
  "tickMs",
  "electionTicks",
] as const satisfies readonly (keyof ServiceConfig & keyof RaftNodeOptions)[];

/** What a session puts in front of a command. */
const SESSION_HEAD_BYTES = 24;
/** The largest command, the same on members of whatever maxValueBytes: who leads takes what others pass on. */
const PROPOSAL_BYTES_MAX = VALUE_BYTES_MAX + KEY_BYTES_MAX + COMMAND_OVERHEAD_BYTES + SESSION_HEAD_BYTES;
/**
 * Of a request's time. Sooner than that is over, it is told why no leader is known; a timeout says nothing but that it is over.
 */
const LEADERLESS_SHARE = 4 / 5;

export function engineOptions(config: ServiceConfig, store: KvStore, logger: Logger): RaftNodeOptions {
  const { id, dataDir, listen, secret, otherSecret, tls, requestTimeoutMs } = config;
  const electionMs = (config.tickMs ?? 100) * (config.electionTicks ?? 10);
  const given = Object.fromEntries(
    ENGINE_OPTIONS.map((name) => [name, config[name]]).filter(([, value]) => value !== undefined),
  );
  return {
    ...given,
    id,
    dir: dataDir,
    listen,
    secret,
    ...(otherSecret === undefined ? {} : { otherSecret }),
    peers: Object.fromEntries([...config.peers].map(([peer, { raft }]) => [peer, raft])),
    maxProposalBytes: PROPOSAL_BYTES_MAX,
    leaderlessTimeoutMs: Math.ceil(Math.min(5 * electionMs, LEADERLESS_SHARE * requestTimeoutMs)),
    stateMachine: store,
    logger,
    ...(tls === undefined ? {} : { tls: certificates(config.source, tls, logger) }),
  };
}

/**
 * What is out of date is told at the start, and taken: to a clock that is not set yet all of it seems so. Later what there
 * is is kept instead.
 */
function certificates(source: Source, files: TlsFiles, logger: Logger): () => Promise<TlsOptions> {
  let isStart = true;
  return async () => {
    const { pem, outOfDate } = await readCertificates(source, files);
    if (outOfDate !== null && !isStart) throw outOfDate;
    if (outOfDate !== null) logger.warn({}, outOfDate.message);
    isStart = false;
    return pem;
  };
}
