// Three nodes in processes of their own with kill -9, SIGSTOP and paths cut one way or both, callers reading on all of
// them: what the callers saw is linearizable in either mode of reads, every call is answered once all is well, all
// nodes come to the same state, and no acknowledged write is missing.
//
// NEMESIS_S=300 goes on for so many seconds (npm run test:nemesis); SEED repeats the faults, if not the machine's pace.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { Prng } from "../../src/base/prng.js";
import type { PathState } from "../relay.js";
import { seedOf } from "../seed.js";
import { Clients, pause } from "./nemesis-clients.js";
import { ELECTION_TICKS, type Member, NemesisCluster, TICK_MS } from "./nemesis-cluster.js";
import { scratchDir, until } from "./support.js";

const scratch = scratchDir("nemesis");
after(() => scratch.remove());

const TOTAL_S = Number(process.env["NEMESIS_S"] ?? 16);
/** A cluster lives for so long at most; the next has the other mode of reads. */
const ROUND_S_MAX = 25;
const CALLERS = 10;
const ELECTION_MS = TICK_MS * ELECTION_TICKS;
/** Everybody has an answer within this, once all is well; generous, for a busy machine. */
const SETTLE_MS = 20_000;

class Nemesis {
  private readonly cluster: NemesisCluster;
  private readonly clients: Clients;
  private readonly random: Prng;
  /** Faults that are to be undone. */
  private readonly under: Promise<void>[] = [];

  constructor(cluster: NemesisCluster, clients: Clients, random: Prng) {
    this.cluster = cluster;
    this.clients = clients;
    this.random = random;
  }

  async run(ms: number): Promise<void> {
    const end = performance.now() + ms;
    while (performance.now() < end) {
      const any = this.cluster.members[this.random.below(this.cluster.members.length)];
      const member = this.random.below(2) === 0 ? this.clients.likelyLeader : any;
      const undone = this.befall(member, this.random.below(10));
      this.under.push(undone);
      // Two at once now and then; three nodes stand no more, and nothing would happen that could be wrong.
      if (this.random.below(3) > 0) await undone;
      await pause(this.random.below(3 * ELECTION_MS));
    }
    await Promise.all(this.under);
  }

  private duration(): number {
    const { random } = this;
    return random.below(3) === 0 ? random.below(ELECTION_MS) : ELECTION_MS + random.below(5 * ELECTION_MS);
  }

  private async befall(member: Member, kind: number): Promise<void> {
    if (kind < 2) return this.kill(member);
    if (kind < 5) return this.stop(member);
    if (kind < 8) return this.cut(member);
    const { members } = this.cluster;
    if (kind < 9) await member.ask({ op: "transfer", to: 1 + this.random.below(members.length) });
    else await member.ask({ op: "campaign" });
  }

  private async kill(member: Member): Promise<void> {
    if (!member.isUp) return;
    await member.kill();
    await pause(this.duration());
    await member.start();
    await this.clients.read(member);
  }

  /** Asked as soon as it goes on: before it has heard what happened meanwhile, with luck. */
  private async stop(member: Member): Promise<void> {
    if (!member.isUp || member.isStopped) return;
    member.stop();
    await pause(this.duration());
    member.go();
    for (let i = 0; i < 4; i++) {
      void this.clients.read(member);
      await pause(i);
    }
  }

  private async cut(member: Member): Promise<void> {
    const { random } = this;
    const state: PathState = random.below(2) === 0 ? "stalled" : "closed";
    // 0: it does not hear; 1: it is not heard; else both.
    const ways = random.below(4);
    const peers = this.cluster.members.filter(({ id }) => id !== member.id);
    const some = random.below(3) > 0 ? peers : [peers[random.below(peers.length)]];
    const set = (to: PathState) => {
      for (const { id } of some) {
        if (ways !== 1) this.cluster.setPath(member.id, id, to);
        if (ways !== 0) this.cluster.setPath(id, member.id, to);
      }
    };
    set(state);
    await pause(this.duration());
    set("open");
  }
}

async function logsOf(cluster: NemesisCluster): Promise<Map<number, readonly number[]>> {
  const logs = new Map<number, readonly number[]>();
  for (const member of cluster.members) logs.set(member.id, (await member.ask({ op: "log" }))!.log!);
  return logs;
}

/** Asks all nodes; true once they know one leader and are level. */
async function isLevel(cluster: NemesisCluster): Promise<boolean> {
  const answers = await Promise.all(cluster.members.map((member) => member.ask({ op: "status" })));
  const [first] = answers;
  return answers.every((answer) => {
    const { leader, applied, commit } = answer!.status!;
    return (
      leader !== 0 &&
      leader === first!.status!.leader &&
      applied === first!.status!.applied &&
      commit === applied
    );
  });
}

async function round(dir: string, readOnly: "safe" | "lease", seed: number, ms: number): Promise<string> {
  const cluster = await NemesisCluster.start({ dir, nodes: 3, readOnly });
  let failure: string | null = null;
  for (const member of cluster.members) {
    member.onFailure = (what) => {
      failure ??= what;
    };
  }
  try {
    const clients = new Clients(cluster, new Prng(seed + 1));
    const calls = clients.run(CALLERS);
    await new Nemesis(cluster, clients, new Prng(seed)).run(ms);
    clients.halt();
    await cluster.heal();
    await calls;
    const level = () => {
      if (failure !== null) throw new Error(failure);
      return isLevel(cluster);
    };
    const settled = () => cluster.members.every((member) => member.waiting === 0);
    await until("a leader, all level", SETTLE_MS, level);
    const unanswered = () => cluster.members.map(({ id, waiting }) => `node ${id}: ${waiting}`).join(", ");
    await until("an answer to every call", SETTLE_MS, settled).catch((error: Error) => {
      throw new Error(`${error.message} (${unanswered()})`);
    });
    await until("all level", SETTLE_MS, level);
    assert.equal(failure, null);
    assert.deepEqual(clients.findings(await logsOf(cluster)), []);
    assert.ok(clients.writes > 0 && clients.reads > 0);
    return `${readOnly}: ${clients.writes} writes, ${clients.reads} reads`;
  } finally {
    await cluster.end();
  }
}

test("kills, pauses and one-way cuts: histories are linearizable, and every call is answered", async (t) => {
  const begin = seedOf(t, import.meta.url);
  const rounds = Math.max(2, Math.ceil(TOTAL_S / ROUND_S_MAX));
  for (let i = 0; i < rounds; i++) {
    const seed = begin + i;
    const replay = `SEED=${seed} NEMESIS_S=${TOTAL_S} node --test dist/test/process/nemesis.test.js`;
    const readOnly = seed % 2 === 0 ? "safe" : "lease";
    try {
      t.diagnostic(await round(`${scratch.path}/${i}`, readOnly, seed, (1000 * TOTAL_S) / rounds));
    } catch (error) {
      throw new Error(`${(error as Error).message}\n\nReplay: ${replay}\n`, { cause: error });
    }
  }
});
