// The axes a bench can vary: name, meaning, allowed values, how a word of the command line becomes a value. Pure.

import { didYouMean } from "../../src/base/suggest.js";
import type { Durability, ReadOnlyKind, StorageWrites, WriterKind } from "../../src/index.js";
import { BUSY_POLL_US_MAX } from "../../src/wal/write/writer.js";
import { BenchError } from "./bench-error.js";

/** One point of the matrix: every axis has a value. */
export interface Settings {
  readonly nodes: number;
  readonly entryBytes: number;
  readonly inFlight: number;
  readonly writer: WriterKind;
  /** fsync: the engine's default, which looks at the file system. */
  readonly durability: Durability | "fsync";
  /** How long the log's threads look for news before they sleep (pool-wasm); microseconds. */
  readonly busyPollUs: number;
  /** Cap on the bytes of one group commit; 0: the engine's default. */
  readonly batchBytes: number;
  readonly batching: "on" | "off";
  readonly maxInflightMsgs: number;
  readonly storageWrites: StorageWrites;
  /** sockets: those that the engine takes by default. */
  readonly link: "sockets" | "uws" | "ws" | "memory";
  /** Whether frames between processes carry tags, as they do by default, or only a CRC. */
  readonly frameTags: "on" | "off";
  /** Proposals due a second, whatever the engine does; 0: closed loop. */
  readonly rate: number;
  readonly arrivals: "constant" | "poisson";
  /** Whose process the load comes from. */
  readonly from: "leader" | "client";
  readonly reads: ReadOnlyKind;
  readonly readsPerWrite: number;
  /** Added to each write of one follower's log. */
  readonly followerDelayMs: number;
  /** What befalls the cluster in the middle of the window. */
  readonly event:
    | "none"
    | "pause-follower"
    | "kill-leader"
    | "restart"
    | "catch-up"
    | "replace-member"
    | "snapshots";
  /** Size of the log that a node restarts on, by which a follower is behind, or that a new member needs. */
  readonly logMb: number;
  /** Size of the state that snapshots are taken of; 0: none are. */
  readonly stateMb: number;
  /** Index of the snapshot that the logs begin behind; 0: none. */
  readonly startIndex: number;
  readonly tickMs: number;
  /** Node.js of every process of a run: "own", the bench's; a version, found by npx; or a path. */
  readonly node: string;
  /** Its flags, like "--max-semi-space-size=32"; "none". */
  readonly nodeFlags: string;
  /** Whether proposals are followed for the waterfall. */
  readonly trace: "on" | "off";
}
export type AxisName = keyof Settings;
export type AxisValues = { readonly [K in AxisName]: readonly Settings[K][] };

/** The values of every axis when a scenario and the command line say nothing. */
export const DEFAULT_SETTINGS: Settings = {
  nodes: 3,
  entryBytes: 256,
  inFlight: 1024,
  writer: "pool-wasm",
  durability: "fsync",
  busyPollUs: 0,
  batchBytes: 0,
  batching: "on",
  maxInflightMsgs: 256,
  storageWrites: "async",
  link: "sockets",
  frameTags: "on",
  rate: 0,
  arrivals: "constant",
  from: "leader",
  reads: "safe",
  readsPerWrite: 0,
  followerDelayMs: 0,
  event: "none",
  logMb: 0,
  stateMb: 0,
  startIndex: 0,
  tickMs: 100,
  node: "own",
  nodeFlags: "none",
  trace: "on",
};

interface Axis {
  readonly flag: string;
  readonly help: string;
  /** Words that stand for values; null for numbers and texts. */
  readonly words: Readonly<Record<string, string>> | null;
  /** Of texts: what is allowed, and the value of a word; null: it is not. */
  readonly text: { readonly allowed: string; readonly parse: (word: string) => string | null } | null;
  readonly min: number;
  readonly max: number;
  /** Heading of the column. */
  readonly title: string;
}

/** A payload carries a header by which the truth check knows it. */
export const ENTRY_BYTES_MIN = 16;

const same = (...words: string[]) => Object.fromEntries(words.map((word) => [word, word]));
const OF_NO_KIND = { words: null, text: null, min: 0, max: 0 };
const words = (flag: string, title: string, help: string, allowed: Record<string, string>): Axis => ({
  ...OF_NO_KIND,
  flag,
  title,
  help,
  words: allowed,
});
const numbers = (flag: string, title: string, help: string, min: number, max: number): Axis => ({
  ...OF_NO_KIND,
  flag,
  title,
  help,
  min,
  max,
});
const texts = (flag: string, title: string, help: string, text: NonNullable<Axis["text"]>): Axis => ({
  ...OF_NO_KIND,
  flag,
  title,
  help,
  text,
});

const MiB = 1024 * 1024;

export const AXES: { readonly [K in AxisName]: Axis } = {
  nodes: numbers("nodes", "nodes", "nodes in the cluster, one process each", 1, 9),
  entryBytes: numbers("entry-bytes", "bytes", "bytes of one proposal", ENTRY_BYTES_MIN, MiB),
  inFlight: numbers("in-flight", "in flight", "proposals under way at once (closed loop)", 1, 65_536),
  writer: words(
    "writer",
    "writer",
    "where the log is encoded and written: main thread in JS or WASM, or a pool worker in WASM",
    same("inline-js", "inline-wasm", "pool-wasm"),
  ),
  durability: words(
    "durability",
    "durability",
    "how an append becomes durable; fsync is the default: o_direct where the file system takes it, else o_dsync (macOS: fdatasync); none is not durable",
    same("fsync", "o_direct", "o_dsync", "fdatasync", "none"),
  ),
  busyPollUs: numbers(
    "busy-poll-us",
    "poll µs",
    "microseconds for which the threads of writer pool-wasm look for news before they sleep",
    0,
    BUSY_POLL_US_MAX,
  ),
  batchBytes: numbers(
    "batch-bytes",
    "batch cap",
    "cap on the bytes of one group commit; 0 is the engine's default",
    0,
    64 * MiB,
  ),
  batching: words(
    "batching",
    "batching",
    "off: one proposal a turn, one entry a message, one entry a group commit",
    same("on", "off"),
  ),
  maxInflightMsgs: numbers(
    "max-inflight-msgs",
    "pipeline",
    "messages on their way to one follower without an answer; 1: no pipelining",
    1,
    4096,
  ),
  storageWrites: words(
    "storage-writes",
    "storage writes",
    "sync: a node does nothing else with its log until what it appended is durable",
    same("async", "sync"),
  ),
  link: words(
    "link",
    "link",
    "sockets: a process a node, WebSockets as the engine accepts them; uws, ws: by uWebSockets.js or ws; memory: all nodes in one process, no sockets",
    same("sockets", "uws", "ws", "memory"),
  ),
  frameTags: words(
    "frame-tags",
    "frame tags",
    "off: frames between the processes carry a CRC only, and whoever is on the way could change them",
    same("on", "off"),
  ),
  rate: numbers(
    "rate",
    "offered/s",
    "proposals due a second, whatever the engine does (open loop); 0: closed loop",
    0,
    1_000_000,
  ),
  arrivals: words(
    "arrivals",
    "arrivals",
    "when they are due: every 1/rate, or at random with that mean",
    same("constant", "poisson"),
  ),
  from: words(
    "from",
    "from",
    "load from inside the leader's process, or from a client process over a WebSocket",
    same("leader", "client"),
  ),
  reads: words(
    "reads",
    "reads",
    "how a read is confirmed: by asking a quorum (ReadIndex), or by the leader's lease",
    same("safe", "lease"),
  ),
  readsPerWrite: numbers("reads-per-write", "reads/write", "linearizable reads for each proposal", 0, 1000),
  followerDelayMs: numbers(
    "follower-delay-ms",
    "slow disk ms",
    "milliseconds that each write of one follower's log takes longer",
    0,
    1000,
  ),
  event: words(
    "event",
    "event",
    "in the middle of the window: SIGSTOP a follower for a fifth of it, kill -9 the leader, catch-up: a follower stops and comes back, replace-member: a new one joins and another is removed, snapshots: every node takes them; restart: after it",
    same("none", "pause-follower", "kill-leader", "restart", "catch-up", "replace-member", "snapshots"),
  ),
  logMb: numbers(
    "log-mb",
    "log MB",
    "size of the log that a node restarts on (event restart), by which a follower is behind (catch-up), or that a new member needs (replace-member)",
    0,
    4096,
  ),
  stateMb: numbers(
    "state-mb",
    "state MB",
    "size of the state that snapshots are taken of (event snapshots)",
    0,
    4096,
  ),
  startIndex: numbers(
    "start-index",
    "start index",
    "index of a snapshot that every log begins behind; 0: none, entries begin at 1",
    0,
    2 ** 52,
  ),
  node: texts("node", "Node.js", "the Node.js that all processes of a run have", {
    allowed: "own for the bench's, versions like 26 or 26.10.0 that npx fetches, paths of executables",
    parse: (word) => (/^(own|v?\d+(\.\d+){0,2}|.*[/\\].*)$/.test(word) ? word.replace(/^v(?=\d)/, "") : null),
  }),
  nodeFlags: texts("node-flags", "Node.js flags", "flags of that Node.js", {
    allowed: "none, flags that begin with --, several in one value with spaces between them",
    parse: (word) => (/^(none|--\S+( +--\S+)*)$/.test(word) ? word.replace(/ +/g, " ") : null),
  }),
  trace: words(
    "trace",
    "trace",
    "off: no proposal is followed through the nodes, and the result has no waterfall",
    same("on", "off"),
  ),
  tickMs: numbers("tick-ms", "tick ms", "Raft's clock: an election starts after 10 to 19 ticks", 5, 1000),
};
export const AXIS_NAMES = Object.keys(AXES) as AxisName[];

export function isNumeric(name: AxisName): boolean {
  return AXES[name].words === null && AXES[name].text === null;
}

/** "16, 256": every allowed value in words, for help and messages. */
export function allowedText(name: AxisName): string {
  const { words, text, min, max } = AXES[name];
  if (text !== null) return text.allowed;
  return words === null ? `whole numbers from ${min} to ${max}` : Object.keys(words).join(", ");
}

/** Values of one axis from "a,b,c". Throws BenchError (usage) naming the word, what is allowed and what was meant. */
export function parseAxis(name: AxisName, text: string): readonly (string | number)[] {
  const values: (string | number)[] = [];
  for (const word of text.split(",").map((part) => part.trim())) {
    const value = parseValue(name, word);
    if (!values.includes(value)) values.push(value);
  }
  return values;
}

function parseValue(name: AxisName, word: string): string | number {
  const { flag, words, text, min, max } = AXES[name];
  if (text !== null) {
    const value = text.parse(word);
    if (value !== null) return value;
    throw new BenchError("usage", `--${flag}: "${word}" is not allowed: it takes ${text.allowed}.`);
  }
  if (words !== null) {
    if (Object.hasOwn(words, word)) return words[word];
    const hint = didYouMean(word, Object.keys(words));
    throw new BenchError("usage", `--${flag}: "${word}" is not one of ${allowedText(name)}.${hint}`);
  }
  const value = Number(word);
  if (/^\d+$/.test(word) && value >= min && value <= max) return value;
  throw new BenchError(
    "usage",
    `--${flag}: "${word}" is not allowed: it takes ${allowedText(name)}, separated by commas.`,
  );
}
