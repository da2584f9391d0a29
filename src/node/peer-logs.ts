// Which log each member has, as far as this node was shown: every log has an id of its own (metadata.ts), and what a
// peer once proved to have is remembered durably. A member that comes with another log, or with one that ends before
// what it acknowledged to this node as leader, has forgotten entries and votes that the others count on. It is refused
// by the link (LinkHandler.onHello), and both sides say so: RAFT_LOG_LOST. That proof does not end with the process that
// had it: the member remembers that its own log is lost, and who refused it how far it has to reach. Main thread; the
// file is written beside it.
import { randomBytes } from "node:crypto";
import { type FileHandle, open, readFile, rename } from "node:fs/promises";
import { dirname, join } from "node:path";
import * as v from "valibot";
import { RaftmarkError } from "../base/errors.js";
import { type RawNode, StateLeader } from "../raft/index.js";
import type { Wal } from "../wal/index.js";
import type { LostLog } from "./api.js";
import { decodeMetadata } from "./metadata.js";
import type { ResolvedOptions } from "./options.js";
import { NO_LOG_ID, type ShownLog } from "./peer-hello.js";
import type { Teller } from "./teller.js";

/** Beside the log's directory: which logs the peers have. */
const PEER_LOGS_FILE = "peer-logs.json";

/** How a refusal begins for a log that ends too early; the refused node then knows that it can trust its own no more. */
const SHORTER = "shorter log: ";
const OTHER = "other log: ";

const whatThen = (id: number): string =>
  `If another node ${id} runs, this is a second one: give it an id of its own. Else it is refused until that log is restored; the ` +
  "others go on without it while they are a majority. If it is lost, remove this member and add a new one with a new id " +
  "(docs/operate.md, When a disk is lost)";

const fileSchema = v.object({
  version: v.literal(1),
  own: v.string(),
  peers: v.record(v.string(), v.string()),
  /** Peers that came with a log that was too short: the committed index that they had acknowledged. */
  acknowledged: v.optional(v.record(v.string(), v.number())),
  /** Why this node's own log is lost. */
  lost: v.optional(v.string()),
});

export interface PeerLogsOptions {
  readonly id: number;
  /** Of this node's log; null: it has none. */
  readonly logId: Uint8Array | null;
  /** The last index that is durable in this node's log. */
  readonly lastIndex: () => number;
  /** See promiseMsOf. */
  readonly promiseMs: number;
  /** The file that remembers. */
  readonly file: string;
  /** False: written without sync, as the log. */
  readonly synced: boolean;
  readonly teller: Teller;
}

export class PeerLogs {
  private readonly incarnation = randomBytes(8).readBigUInt64LE();
  private readonly options: PeerLogsOptions;
  /** The log that is here. */
  private readonly found: string;
  /** The one that the file says is this node's. */
  private own: string;
  private readonly logs = new Map<number, string>();
  /** The incarnation of each peer that was looked at last, and why it was refused for its length; null: it was not. */
  private readonly lengths = new Map<number, { incarnation: bigint; refusal: string | null }>();
  private readonly lost = new Map<number, string>();
  /** As in the file. What a sound log once reached it never falls behind: nothing is taken back. */
  private readonly acknowledged = new Map<number, number>();
  /** The same, of all peers, since this process began: a leader's knowledge outlives its term. */
  private readonly reached = new Map<number, number>();
  /**
   * Milliseconds for which every peer that was met since this process began elects nobody after a heartbeat; 0: one promises
   * nothing. Never rises: leases rest on it (docs/operate.md, Members and options).
   */
  leastPromiseMs = Infinity;
  private ownLost: string | undefined = undefined;
  private writing: Promise<void> | null = null;
  private changed = false;

  /** Reads the file, and writes it for a new log. Rejects with what the file system says. */
  static async open(options: PeerLogsOptions): Promise<PeerLogs> {
    const logs = new PeerLogs(options);
    await logs.read();
    return logs;
  }

  private constructor(options: PeerLogsOptions) {
    this.options = options;
    const { logId } = options;
    this.found = logId === null ? NO_LOG_ID : Buffer.from(logId).toString("hex");
    this.own = this.found;
  }

  /** What this node shows now: one that was here before, and is met again behind another process, is no shorter for it. */
  get shown(): ShownLog {
    const { lastIndex, promiseMs } = this.options;
    return { logId: this.found, incarnation: this.incarnation, lastIndex: lastIndex(), promiseMs };
  }

  private async read(): Promise<void> {
    const { file, teller, id } = this.options;
    let text: string;
    try {
      text = await readFile(file, "utf8");
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== "ENOENT") throw cause;
      if (this.own !== NO_LOG_ID) await this.write();
      return;
    }
    const known = parse(text);
    if (known === null) {
      await rename(file, `${file}.broken`);
      teller.warn(
        { file },
        `${file} is damaged and now named .broken: which logs the peers had is forgotten`,
      );
      await this.write();
      return;
    }
    for (const [peer, logId] of Object.entries(known.peers)) this.logs.set(Number(peer), logId);
    for (const [peer, index] of Object.entries(known.acknowledged ?? {}))
      this.acknowledged.set(Number(peer), index);
    if (known.lost !== undefined) {
      this.ownLost = known.lost;
      this.loses(id, `${known.lost} (${file} remembers it)`);
    }
    if (known.own === this.own) return;
    // It stays, so that the next start finds it, too.
    this.own = known.own;
    this.loses(
      id,
      `${OTHER}${file} remembers log ${known.own} of this node, and here is ${this.found || "one without an id"}`,
    );
  }

  /** Logs known to be lost now. */
  get lostLogs(): LostLog[] {
    return [...this.lost].map(([node, reason]) => ({ node, reason }));
  }

  /** This node's own log is known to be lost. */
  get ownIsLost(): boolean {
    return this.lost.has(this.options.id);
  }

  /** The logs that are known, this node's own included: what newcomers are told. */
  get known(): Map<number, string> {
    return this.own === NO_LOG_ID ? new Map(this.logs) : new Map([...this.logs, [this.options.id, this.own]]);
  }

  /** Others met these before this node did. */
  learn(logs: ReadonlyMap<number, string>): void {
    for (const [peer, logId] of logs) {
      if (peer === this.options.id || this.logs.has(peer)) continue;
      this.logs.set(peer, logId);
      void this.write();
    }
  }

  /** `peer` told this node, as leader, that it has everything up to `index`, which is committed. */
  hasReached(peer: number, index: number): void {
    if (index > (this.reached.get(peer) ?? 0)) this.reached.set(peer, index);
  }

  /** Keeps how far the peers' logs reach, as far as they told this node and it is committed: for when it leads no more. */
  noteProgress({ id, state, trk, raftLog }: RawNode["raft"]): void {
    if (state !== StateLeader) return;
    for (const [peer, { match }] of trk.progress) {
      if (peer !== id) this.hasReached(peer, Math.min(match, raftLog.committed));
    }
  }

  /** Takes what `peer` shows; null: nothing, or what a later version shows. Null: it is welcome; else why not. */
  meet(peer: number, hello: ShownLog | null): string | null {
    if (hello === null) return null;
    this.leastPromiseMs = Math.min(this.leastPromiseMs, hello.promiseMs);
    const refusal = this.refusalOf(peer, hello);
    if (refusal !== null) {
      this.loses(peer, refusal);
      return refusal;
    }
    if (this.lost.delete(peer)) {
      this.options.teller.info({ peer }, `node ${peer} has its log again, and is welcome`);
    }
    if (hello.logId !== NO_LOG_ID && this.logs.get(peer) !== hello.logId) {
      this.logs.set(peer, hello.logId);
      void this.write();
    }
    return null;
  }

  private refusalOf(peer: number, hello: ShownLog): string | null {
    const known = this.logs.get(peer);
    if (known !== undefined && known !== hello.logId) {
      const found = hello.logId === NO_LOG_ID ? "a log without an id" : `log ${hello.logId}`;
      return `${OTHER}node ${peer} had log ${known} and comes with ${found}: its directory was emptied or replaced, or is another node's. ${whatThen(peer)}`;
    }
    const seen = this.lengths.get(peer);
    // What the same process acknowledges later than it showed its length is no loss.
    if (seen?.incarnation === hello.incarnation) return seen.refusal;
    const least = Math.max(this.reached.get(peer) ?? 0, this.acknowledged.get(peer) ?? 0);
    const isShorter = hello.lastIndex < least;
    const refusal = isShorter
      ? `${SHORTER}node ${peer} acknowledged entries up to ${least}, which are committed, and comes with a log ` +
        `that ends at ${hello.lastIndex}. ${whatThen(peer)}`
      : null;
    if (isShorter && least !== this.acknowledged.get(peer)) {
      this.acknowledged.set(peer, least);
      void this.write();
    }
    this.lengths.set(peer, { incarnation: hello.incarnation, refusal });
    return refusal;
  }

  /** There is proof that this node's log is lost: it counts as lost from now on, whoever starts it again. */
  keepOwnLost(reason: string): void {
    this.lost.set(this.options.id, reason);
    if (this.ownLost !== undefined) return;
    this.ownLost = reason;
    void this.write();
  }

  /** `by` refused this node for its log. */
  refusedBy(by: number, reason: string): void {
    this.loses(this.options.id, reason, by);
  }

  private loses(node: number, reason: string, by = 0): void {
    if (this.lost.get(node) === reason) return;
    this.lost.set(node, reason);
    const { id, teller } = this.options;
    const fields = {
      code: "RAFT_LOG_LOST",
      ...(node === id ? {} : { peer: node }),
      ...(by === 0 ? {} : { by }),
    };
    const from = by === 0 ? "" : `node ${by} refuses this node, `;
    teller.error(fields, `RAFT_LOG_LOST: ${from}${reason}`);
  }

  /** Resolves when what was remembered is on disk, or could not be written (which the logger has). */
  async settled(): Promise<void> {
    while (this.writing !== null) await this.writing;
  }

  private write(): Promise<void> {
    this.changed = true;
    this.writing ??= this.writeAll().finally(() => {
      this.writing = null;
    });
    return this.writing;
  }

  private async writeAll(): Promise<void> {
    const { file, synced, teller } = this.options;
    while (this.changed) {
      this.changed = false;
      const content: v.InferOutput<typeof fileSchema> = {
        version: 1,
        own: this.own,
        peers: Object.fromEntries(this.logs),
        acknowledged: Object.fromEntries(this.acknowledged),
        lost: this.ownLost,
      };
      try {
        await replaceFile(file, `${JSON.stringify(content)}\n`, synced);
      } catch (cause) {
        // Without it a log that is lost from now on may go unnoticed; the node itself is none the worse.
        const text = `${file} cannot be written: ${(cause as Error).message}; which logs the peers have is not remembered`;
        teller.warn({ code: "WAL_IO" }, text, "peer-logs");
      }
    }
  }
}

/** Reads which logs this node and its peers had, and says so where the log itself cannot tell. */
export async function openPeerLogs(wal: Wal, options: ResolvedOptions, teller: Teller): Promise<PeerLogs> {
  const { metadata, snapshot } = wal.recovered;
  const { bootstrap } = decodeMetadata(metadata);
  if (bootstrap === null && snapshot === null) {
    const { dir, voters } = options;
    const text = `the log in ${dir} does not say who its members are (an older version made it): peers counts`;
    teller.info({ dir, voters }, text);
  }
  const file = join(options.dir, PEER_LOGS_FILE);
  const synced = options.durability !== "none";
  const logId = bootstrap?.logId ?? null;
  try {
    return await PeerLogs.open({
      id: options.id,
      logId,
      lastIndex: () => wal.storage.lastIndex(),
      promiseMs: promiseMsOf(options),
      file,
      synced,
      teller,
    });
  } catch (cause) {
    throw new RaftmarkError("WAL_IO", `${file} cannot be read: ${(cause as Error).message}`, { cause });
  }
}

/** Whether a refusal is proof that this node's own log ends before what it acknowledged. */
export function isShorterLog(reason: string): boolean {
  return reason.startsWith(SHORTER);
}

/**
 * How long a member elects nobody after a heartbeat, whatever happens: a tick of its timer may be nearly over when that
 * comes.
 */
function promiseMsOf({ readOnly, electionTicks, tickMs }: ResolvedOptions): number {
  return readOnly === "lease" ? (electionTicks - 1) * tickMs : 0;
}

function parse(text: string): v.InferOutput<typeof fileSchema> | null {
  try {
    return v.parse(fileSchema, JSON.parse(text));
  } catch {
    return null;
  }
}

/** The file has either its old content or the new one, whenever the machine stops. */
async function replaceFile(file: string, text: string, synced: boolean): Promise<void> {
  const draft = `${file}.tmp`;
  await withFile(draft, "w", async (handle) => {
    await handle.writeFile(text);
    if (synced) await handle.sync();
  });
  await rename(draft, file);
  if (synced) await withFile(dirname(file), "r", (handle) => handle.sync());
}

async function withFile(
  path: string,
  flags: string,
  use: (handle: FileHandle) => Promise<void>,
): Promise<void> {
  const handle = await open(path, flags, 0o600);
  try {
    await use(handle);
  } finally {
    await handle.close();
  }
}
