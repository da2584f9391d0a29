// The configuration of a service node: YAML, checked by a schema, with paths and addresses made whole. Whatever is
// wrong is said with file, line and column, the field, and the nearest field that there is.
import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import * as v from "valibot";
import { LineCounter, parseDocument } from "yaml";
import { RaftmarkError } from "../index.js";
import { splitAddress } from "../link/address.js";
import { ConfigError, errorAt, placeOf, type Source } from "./config-error.js";
import {
  address,
  firstOf,
  integer,
  isUnknown,
  missingText,
  noList,
  pathOf,
  unknownText,
  wrongText,
} from "./issues.js";
import { clashOf, doClash, unreachableText } from "./places.js";

const MiB = 1024 * 1024;
/** Of a value, whatever maxValueBytes says. */
export const VALUE_BYTES_MAX = 8 * MiB;
/** Fields that a message names, where the one in it is not one of them. */
const LISTED_MAX = 3;

const text = v.pipe(v.string(), v.nonEmpty());
const bytesOrNone = integer(0, Number.MAX_SAFE_INTEGER);

const schema = v.strictObject({
  id: v.optional(integer(1, Number.MAX_SAFE_INTEGER)),
  dataDir: text,
  listen: v.optional(address),
  http: v.optional(address),
  peers: v.pipe(
    noList,
    v.record(v.string(), v.pipe(noList, v.strictObject({ raft: address, http: address }))),
  ),
  secret: v.optional(text),
  secretFile: v.optional(text),
  otherSecret: v.optional(text),
  otherSecretFile: v.optional(text),
  tls: v.optional(v.pipe(noList, v.strictObject({ ca: text, cert: text, key: text }))),
  initialClusterState: v.optional(v.picklist(["new", "existing"])),
  clusterId: v.optional(integer(1, Number.MAX_SAFE_INTEGER)),
  snapshotEveryBytes: v.optional(bytesOrNone),
  snapshotEveryEntries: v.optional(bytesOrNone),
  snapshotCatchUpBytes: v.optional(bytesOrNone),
  snapshotSendBytesPerS: v.optional(integer(4096, 2 ** 32)),
  catchUpBytesPerS: v.optional(integer(4096, 2 ** 32)),
  requestTimeoutMs: v.optional(integer(1, 60_000), 5000),
  maxValueBytes: v.optional(integer(1, VALUE_BYTES_MAX), MiB),
  readOnly: v.optional(v.picklist(["safe", "lease"])),
  durability: v.optional(v.picklist(["o_direct", "o_dsync", "fdatasync", "none"])),
  segmentBytes: v.optional(integer(1024, 2 ** 31 - 1)),
  tickMs: v.optional(integer(1, 60_000)),
  electionTicks: v.optional(integer(2, 1000)),
  logLevel: v.optional(v.picklist(["debug", "info", "warn", "error"]), "info"),
});

type Checked = v.InferOutput<typeof schema>;

/** Where a member is reached, host:port. */
export interface PeerAddresses {
  /** By the other members. */
  readonly raft: string;
  /** By clients. */
  readonly http: string;
}

/** A configuration that was checked: with every path absolute, every address there, and the secret read. */
export type ServiceConfig = Omit<
  Checked,
  "id" | "listen" | "http" | "secret" | "secretFile" | "otherSecret" | "otherSecretFile" | "peers"
> & {
  readonly id: number;
  readonly listen: string;
  readonly http: string;
  readonly secret: string;
  readonly otherSecret: string | undefined;
  readonly peers: ReadonlyMap<number, PeerAddresses>;
  /** Where it came from, for what the engine finds wrong with it. */
  readonly source: Source;
};

/**
 * Reads the configuration in `file`; `id` and `state` are what the command line says of id and initialClusterState, and count
 * more. Throws ConfigError: the first thing that is wrong.
 */
export async function readConfig(
  file: string,
  id: number | null = null,
  state: "new" | "existing" | null = null,
): Promise<ServiceConfig> {
  let content: string;
  try {
    content = await readFile(file, "utf8");
  } catch (cause) {
    const text = `the configuration cannot be read (${codeOf(cause)}); name it with --config`;
    throw new ConfigError(`${file}: ${text}`);
  }
  const config = await parseConfig(content, file, id);
  return state === null ? config : { ...config, initialClusterState: state };
}

/** The same from its text; `file` is what it is called, and what its paths are relative to. */
export async function parseConfig(
  content: string,
  file: string,
  id: number | null = null,
): Promise<ServiceConfig> {
  const lines = new LineCounter();
  const document = parseDocument(content, { lineCounter: lines, prettyErrors: false });
  const [fault] = document.errors;
  if (fault !== undefined) {
    const { line, col } = lines.linePos(fault.pos[0]);
    const why = FAULTS[fault.code] ?? `this is no YAML: ${lowerCase(fault.message)}`;
    throw new ConfigError(`${file}:${line}:${col}: ${why}`);
  }
  const source: Source = { file, document, lines };
  const parsed = v.safeParse(v.pipe(noList, schema), dataOf(source) ?? {});
  if (!parsed.success) throw issueError(source, firstOf(parsed.issues));
  return completed(parsed.output, source, id);
}

/** Of the library's errors those whose text is for programmers. */
const FAULTS: Readonly<Record<string, string>> = {
  MULTIPLE_DOCS: "a second document begins here (---): a configuration is one",
};

function dataOf(source: Source): unknown {
  try {
    return source.document.toJS();
  } catch (error) {
    // An alias (*name) of nothing, or of too much.
    throw errorAt(source, [], `this is no YAML: ${lowerCase((error as Error).message)}`);
  }
}

/** What RaftNode.open found wrong, as an error of the configuration; any other error as it is. */
export function openError(error: unknown, { source, tls }: ServiceConfig): unknown {
  if (!(error instanceof RaftmarkError) || error.code !== "RAFT_BAD_OPTION") return error;
  if (error.cause instanceof ConfigError) return error.cause;
  const match = /^option ([\w.]+): (.*)$/s.exec(error.message);
  if (match === null) return error;
  const path = (match[1] === "dir" ? "dataDir" : match[1]).split(".");
  if (/^(secret|otherSecret)$/.test(path[0]) && !source.document.has(path[0])) path[0] += "File";
  if (path[0] === "peers" && path.length === 2) path.push("raft");
  const file = path[0] === "tls" ? tls?.[path[1] as keyof typeof tls] : undefined;
  return errorAt(source, path, file === undefined ? match[2] : `${file} ${match[2]}`);
}

/** The field that says where node `id` listens: of its own, or else its address among the members. */
export function fieldOf({ document }: Source, id: number, name: "listen" | "http"): string[] {
  if (document.has(name)) return [name];
  return ["peers", String(id), name === "listen" ? "raft" : "http"];
}

async function completed(config: Checked, source: Source, given: number | null): Promise<ServiceConfig> {
  const peers = new Map<number, PeerAddresses>();
  for (const [name, addresses] of Object.entries(config.peers)) {
    const id = Number(name);
    if (String(id) !== name || !Number.isSafeInteger(id) || id < 1)
      throw keyError(source, ["peers", name], "is no node id; ids are written 1, 2, 3 and so on");
    peers.set(id, addresses);
  }
  const id = given ?? config.id;
  if (id === undefined)
    throw errorAt(source, [], "id is missing: give it here, or on the command line with --id");
  const own = peers.get(id);
  if (own === undefined) {
    const known = [...peers.keys()].join(", ");
    const text = `node ${id} itself is not among the members (${known}); add its addresses, or mend id`;
    throw errorAt(source, ["peers"], text);
  }
  const base = dirname(resolve(source.file));
  const { tls, dataDir, listen = own.raft, http = own.http } = config;
  if (doClash(listen, http)) {
    const text = `${http} is where the members reach this node (${listen}): clients need another port`;
    throw errorAt(source, fieldOf(source, id, "http"), text);
  }
  checkHttps(source, peers, id);
  const files = tls && {
    ca: resolve(base, tls.ca),
    cert: resolve(base, tls.cert),
    key: resolve(base, tls.key),
  };
  return {
    ...config,
    id,
    // One file for all nodes of one machine, too: each has a directory of its own.
    dataDir: resolve(base, dataDir.replaceAll("{id}", String(id))),
    listen,
    http,
    secret: await ownSecretOf(config, source, base),
    otherSecret: await secretOf("otherSecret", config, source, base),
    peers,
    tls: files,
    source,
  };
}

/** Throws for the first member that clients cannot reach where it says; this node itself may say where to listen. */
function checkHttps(source: Source, peers: ReadonlyMap<number, PeerAddresses>, self: number): void {
  const members = [...peers].map(([id, { raft, http }]) => ({ id, raft, http }));
  for (const { id, http } of members) {
    // Alone it is asked by nobody on others' behalf, and may listen at any free port.
    const isOwn = id === self && (splitAddress(http)!.port > 0 || peers.size === 1);
    const why = isOwn ? null : unreachableText(http, id);
    if (why !== null) throw errorAt(source, ["peers", String(id), "http"], why);
  }
  const clash = clashOf(members);
  if (clash !== null) throw errorAt(source, ["peers", String(clash.id), "http"], clash.text);
}

async function ownSecretOf(config: Checked, source: Source, base: string): Promise<string> {
  const secret = await secretOf("secret", config, source, base);
  if (secret !== undefined) return secret;
  const text =
    "secretFile is missing (or secret): the key that all members share; openssl rand -hex 32 makes one";
  throw errorAt(source, [], text);
}

/** Of that field, or of the file in the other one; undefined: neither is there. */
async function secretOf(
  name: "secret" | "otherSecret",
  config: Checked,
  source: Source,
  base: string,
): Promise<string | undefined> {
  const field = `${name}File` as const;
  const { [name]: secret, [field]: file } = config;
  if (file === undefined) return secret;
  if (secret !== undefined)
    throw keyError(source, [field], `${name} is given as well: leave one of the two out`);
  const path = resolve(base, file);
  let content: string;
  try {
    content = (await readFile(path, "utf8")).trim();
  } catch (cause) {
    const text = `cannot read ${path} (${codeOf(cause)}); openssl rand -hex 32 makes one, the same for all members`;
    throw errorAt(source, [field], text);
  }
  if (content === "") throw errorAt(source, [field], `${path} is empty`);
  return content;
}

function issueError(source: Source, issue: v.BaseIssue<unknown>): ConfigError {
  const path = pathOf(issue);
  if (isUnknown(issue)) {
    const known = fieldsAround(path);
    return keyError(source, path, unknownText(path.at(-1)!, known, LISTED_MAX));
  }
  if (issue.input === undefined)
    return errorAt(source, path.slice(0, -1), `${path.at(-1)} ${missingText(issue)}`);
  // What YAML takes for a number, a mapping and so on.
  const hint = issue.type === "string" && issue.input !== null ? ": put it in quotes" : "";
  return errorAt(source, path, wrongText(issue, path[0] === "secret" || path[0] === "otherSecret") + hint);
}

function keyError(source: Source, path: readonly string[], what: string): ConfigError {
  return new ConfigError(`${placeOf(source, path, true)}: ${path.join(".")}: ${what}`);
}

/** The fields that there are beside the one at `path`. */
function fieldsAround(path: readonly string[]): readonly string[] {
  if (path.length === 1) return Object.keys(schema.entries);
  return path[0] === "tls" ? ["ca", "cert", "key"] : ["raft", "http"];
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? (error as Error).message;
}

function lowerCase(sentence: string): string {
  return sentence.charAt(0).toLowerCase() + sentence.slice(1);
}
