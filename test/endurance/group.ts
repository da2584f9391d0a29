// A group of member processes on this machine, and how much it does: started, loaded, stopped one by one, asked.
import assert from "node:assert/strict";
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { RaftNodeOptions } from "../../src/index.js";
import { freePeers } from "../listen.js";
import { killChild, scratchDir } from "../process/support.js";
import type { Command, MemberConfig, Told } from "./member.js";

const PROGRAM = fileURLToPath(new URL("./member.js", import.meta.url));
const LEADER_WAIT_MS = 60_000;
const POLL_MS = 50;
const CAMPAIGN_EVERY_MS = 1000;
/** Leadership does not pass on because the machine is busy: ten seconds of silence. The first leader is asked to campaign. */
const ELECTION_TICKS = 100;

/** The quickest of so many starts counts: others may keep the disk busy. */
export const STARTS_MAX = 5;

export interface GroupPlan {
  readonly members: number;
  readonly rows: number;
  readonly rowBytes: number;
  readonly options?: Partial<RaftNodeOptions>;
  /** Where their data lies, and stays: another group goes on with it. Left out: a directory that goes with the group. */
  readonly dir?: string | undefined;
}

export class Member {
  private child: ChildProcess | null = null;
  readonly config: MemberConfig;
  private gone: Promise<never> = new Promise(() => {});
  private asking: Promise<unknown> = Promise.resolve();

  constructor(config: MemberConfig) {
    this.config = config;
  }

  get id(): number {
    return this.config.id;
  }

  get isUp(): boolean {
    return this.child !== null;
  }

  /** Bytes of its files: log and snapshots. */
  get diskBytes(): number {
    let sum = 0;
    for (const name of readdirSync(this.config.dir, { recursive: true, encoding: "utf8" })) {
      const stat = statSync(join(this.config.dir, name), { throwIfNoEntry: false });
      if (stat?.isFile() === true) sum += stat.size;
    }
    return sum;
  }

  async start(): Promise<void> {
    const child = fork(PROGRAM, [JSON.stringify(this.config)]);
    this.child = child;
    this.gone = failed(child);
    this.gone.catch(() => {}); // Whoever waits is told; nobody need wait.
    const [message] = (await Promise.race([next(child), this.gone])) as [unknown];
    assert.equal(message, "open");
  }

  /** One question after the other. */
  say(command: Command = {}): Promise<Told> {
    const told = this.asking.then(() => this.ask(command));
    this.asking = told.catch(() => {});
    return told;
  }

  private async ask(command: Command): Promise<Told> {
    const { child } = this;
    assert.ok(child !== null, `node ${this.id} does not run`);
    const answer = next(child);
    child.send(command);
    const [told] = (await Promise.race([answer, this.gone])) as [Told];
    assert.equal(told.fault, null);
    return told;
  }

  /** In order, as a service would. */
  async close(): Promise<Told> {
    const gone = once(this.child!, "exit");
    const told = await this.say({ inFlight: 0, close: true });
    await gone;
    this.child = null;
    return told;
  }

  async kill(): Promise<void> {
    const { child } = this;
    if (child === null) return;
    this.child = null;
    await killChild(child);
  }
}

function next(child: ChildProcess): Promise<unknown[]> {
  return new Promise((resolve) => child.once("message", (message) => resolve([message])));
}

async function failed(child: ChildProcess): Promise<never> {
  const [code, signal] = await once(child, "exit");
  throw new Error(`a member ended: ${code ?? signal}`);
}

export class Group {
  readonly members: readonly Member[];
  private readonly dir: { readonly path: string; remove(): void };

  private constructor(members: readonly Member[], dir: { readonly path: string; remove(): void }) {
    this.members = members;
    this.dir = dir;
  }

  /** None of them runs yet. */
  static async make(plan: GroupPlan): Promise<Group> {
    const dir = plan.dir === undefined ? scratchDir("endurance") : { path: plan.dir, remove: () => {} };
    const peers = await freePeers(plan.members);
    const { rows, rowBytes } = plan;
    // A sole voter waits for nobody, and comes back without being asked.
    const options =
      plan.members > 1 ? { electionTicks: ELECTION_TICKS, ...plan.options } : (plan.options ?? {});
    const members = Object.keys(peers).map((id) => {
      return new Member({ id: Number(id), dir: join(dir.path, id), peers, rows, rowBytes, options });
    });
    return new Group(members, dir);
  }

  get up(): Member[] {
    return this.members.filter(({ isUp }) => isUp);
  }

  /** Who leads. */
  async leader(): Promise<Member> {
    const begun = performance.now();
    for (let campaigns = 0; ; ) {
      for (const member of this.up) if ((await member.say()).leads) return member;
      const ms = performance.now() - begun;
      assert.ok(ms < LEADER_WAIT_MS, "nobody leads");
      if (ms >= campaigns * CAMPAIGN_EVERY_MS) {
        campaigns++;
        await this.up[0]!.say({ campaign: true });
      }
      await sleep(POLL_MS);
    }
  }

  /** Everyone who runs has applied the same, and nothing is under way: their states are equal. */
  async level(timeoutMs: number): Promise<string> {
    const begun = performance.now();
    for (;;) {
      const told = await Promise.all(this.up.map((member) => member.say()));
      if (told.every(({ applied, commit }) => applied === told[0]!.commit && commit === told[0]!.commit))
        break;
      assert.ok(performance.now() - begun < timeoutMs, "they do not become level");
      await sleep(POLL_MS);
    }
    const hashes = await Promise.all(this.up.map(async (member) => (await member.say({ hash: true })).hash));
    assert.equal(new Set(hashes).size, 1, "the states differ");
    return hashes[0]!;
  }

  async end(): Promise<void> {
    for (const member of this.members) await member.kill();
    this.dir.remove();
  }
}
