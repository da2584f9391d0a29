// Members of a cluster in this process, over links in memory, each with a disk that the test can hang.
import type { TestContext } from "node:test";
import type { RaftNode } from "../../src/index.js";
import type { WriterKind } from "../../src/node/api.js";
import type { Entry } from "../../src/raft/index.js";
import type { Wal } from "../../src/wal/index.js";
import { atEnd } from "../temp-dir.js";
import { HANGS, sharedWords } from "../wal/faulty-fs.js";
import { type Lines, openNodes, type Running } from "./nodes.js";

const FAULTY = new URL("../wal/faulty-fs.js", import.meta.url).href;
const TICK_MS = 20;
/** Long enough that a busy machine is not taken for a silent disk. */
const ELECTION_TICKS = 25;
const MiB = 1 << 20;

export class Member {
  readonly node: RaftNode;
  readonly applied: readonly string[];
  readonly lines: Lines;
  /** Cuts it off from the others. */
  readonly cutOff: () => void;
  /** Ticks of a clock as fast as the node's, which goes on while that stands still. */
  ticks = 0;
  private readonly words: Int32Array;
  private readonly clock = setInterval(() => this.ticks++, TICK_MS);

  constructor({ node, machine, lines }: Running, words: Int32Array, cutOff: () => void) {
    this.node = node;
    this.applied = machine.log;
    this.lines = lines;
    this.words = words;
    this.cutOff = cutOff;
  }

  get leads(): boolean {
    return this.node.status().state === "StateLeader";
  }

  propose(text: string): Promise<unknown> {
    return this.node.propose(Buffer.from(text));
  }

  hang(): void {
    Atomics.store(this.words, HANGS, 1);
  }

  release(): void {
    Atomics.store(this.words, HANGS, 0);
    Atomics.notify(this.words, HANGS);
  }

  end(): void {
    this.release();
    clearInterval(this.clock);
  }

  /** The log as index, term and data. */
  log(): string[] {
    const { storage } = (this.node as unknown as { readonly wal: Wal }).wal;
    const entries = storage.entries(storage.firstIndex(), storage.lastIndex() + 1, MiB) as Entry[];
    return entries.map(({ index, term, data }) => `${index} ${term} ${Buffer.from(data).toString()}`);
  }
}

/** Three members with this writer, running; they end with the test. */
export async function startMembers(t: TestContext, writer: WriterKind): Promise<Member[]> {
  const words = [1, 2, 3].map(sharedWords);
  const { network, running } = await openNodes(t, 3, (id) => ({
    writer,
    durability: "fdatasync",
    tickMs: TICK_MS,
    electionTicks: ELECTION_TICKS,
    forwardProposals: false,
    // Nothing fails by itself; it hangs when told.
    walFs: {
      module: FAULTY,
      arg: { op: "syncDir", from: Infinity, code: "EIO", shared: words[id - 1] },
    },
  }));
  const members = running.map((one, i) => {
    const others = [1, 2, 3].filter((id) => id !== i + 1);
    return new Member(one, words[i]!, () => network.partition([i + 1], others));
  });
  atEnd(t, () => {
    for (const member of members) member.end();
  });
  return members;
}
