// Members of a cluster in this process, put together as RaftNode does it, over links in memory, with a log whose disk
// the test can hang.
import path from "node:path";
import type { TestContext } from "node:test";
import { NO_DATA } from "../../src/base/bytes.js";
import { Prng } from "../../src/base/prng.js";
import { MemoryNetwork } from "../../src/link/index.js";
import type { WriterKind } from "../../src/node/api.js";
import { Driver } from "../../src/node/driver.js";
import { Proposals } from "../../src/node/proposals.js";
import { Reads } from "../../src/node/reads.js";
import { type Entry, RawNode, StateLeader } from "../../src/raft/index.js";
import { openWal, type Wal } from "../../src/wal/index.js";
import { atEnd, tempDir } from "../temp-dir.js";
import { HANGS, sharedWords } from "../wal/faulty-fs.js";

const FAULTY = new URL("../wal/faulty-fs.js", import.meta.url).href;
const VOTERS = [1, 2, 3];
const TICK_MS = 20;
/** Long enough that a busy machine is not taken for a silent disk. */
const ELECTION_TICKS = 25;
const MiB = 1 << 20;
const NO_LIMITS = { leaderlessTicks: Infinity, timeoutTicks: Infinity };

export class Member {
  readonly id: number;
  readonly wal: Wal;
  readonly rawNode: RawNode;
  readonly driver: Driver;
  readonly proposals: Proposals;
  readonly applied: string[] = [];
  /** What the watchdog told: how long the disk was silent, and 0 when it answered again. */
  readonly disk: number[] = [];
  ticks = 0;
  private readonly words: Int32Array;
  private clock: NodeJS.Timeout | null = null;

  constructor(id: number, wal: Wal, words: Int32Array, network: MemoryNetwork) {
    this.id = id;
    this.wal = wal;
    this.words = words;
    const prng = new Prng(id);
    this.rawNode = new RawNode({
      id,
      electionTick: ELECTION_TICKS,
      heartbeatTick: 1,
      storage: wal.storage,
      maxSizePerMsg: MiB,
      maxInflightMsgs: 256,
      asyncStorageWrites: true,
      preVote: true,
      checkQuorum: true,
      disableProposalForwarding: true,
      random: (bound) => prng.below(bound),
    });
    this.proposals = new Proposals({
      maxProposalBytes: MiB,
      maxQueuedProposals: 1000,
      maxQueuedBytes: MiB,
      ...NO_LIMITS,
    });
    const link = network.link(id);
    this.driver = new Driver({
      group: 0,
      id,
      rawNode: this.rawNode,
      wal,
      link,
      stateMachine: { apply: (entries) => this.apply(entries) },
      proposals: this.proposals,
      reads: new Reads(id, { retryTicks: ELECTION_TICKS, ...NO_LIMITS }),
      proposalBatchBytes: MiB,
      maxBacklogBytes: MiB,
      waitsForStorage: false,
      diskTimeoutMs: ELECTION_TICKS * TICK_MS,
      tickMs: TICK_MS,
      trace: null,
      onDisk: (silentMs) => this.disk.push(silentMs),
      onFault: (error) => {
        throw error;
      },
    });
    void link.start({
      onMessages: (_group, _from, messages) => this.driver.messages(messages),
      onUnreachable: (peer) => this.driver.control((rawNode) => rawNode.reportUnreachable(peer)),
      onPeer: () => {},
    });
  }

  private apply(entries: readonly Entry[]): undefined {
    for (const { data } of entries) this.applied.push(Buffer.from(data).toString());
  }

  start(): void {
    this.clock = setInterval(() => {
      this.ticks++;
      this.driver.tick();
    }, TICK_MS);
  }

  propose(text: string): Promise<unknown> {
    this.driver.wake();
    return this.proposals.add(Buffer.from(text));
  }

  get leads(): boolean {
    return this.rawNode.raft.state === StateLeader;
  }

  hang(): void {
    Atomics.store(this.words, HANGS, 1);
  }

  release(): void {
    Atomics.store(this.words, HANGS, 0);
    Atomics.notify(this.words, HANGS);
  }

  /** As a process that is gone: no tick, no message. Its disk still gets what was appended. */
  stop(): void {
    this.driver.stop();
    if (this.clock !== null) clearInterval(this.clock);
  }

  /** The log as index, term and data. */
  log(): string[] {
    const { storage } = this.wal;
    const entries = storage.entries(storage.firstIndex(), storage.lastIndex() + 1, MiB) as Entry[];
    return entries.map(({ index, term, data }) => `${index} ${term} ${Buffer.from(data).toString()}`);
  }
}

/** Three members with this writer, running; they end with the test. */
export async function startMembers(t: TestContext, writer: WriterKind): Promise<Member[]> {
  const dir = tempDir(t);
  const network = new MemoryNetwork();
  const members: Member[] = [];
  atEnd(t, async () => {
    for (const member of members) {
      member.stop();
      member.release();
    }
    for (const member of members) await member.wal.close();
  });
  for (const id of VOTERS) {
    const words = sharedWords();
    const wal = await openWal({
      dir: path.join(dir, String(id), "wal"),
      metadata: NO_DATA,
      writer,
      durability: "fdatasync",
      segmentBytes: MiB,
      ringBytes: MiB,
      confState: { voters: VOTERS, learners: [], votersOutgoing: [], learnersNext: [], autoLeave: false },
      // Nothing fails by itself; it hangs when told.
      walFs: { module: FAULTY, arg: { op: "syncDir", from: Infinity, code: "EIO", shared: words } },
    });
    members.push(new Member(id, wal, words, network));
  }
  for (const member of members) member.start();
  return members;
}
