// Callers under the nemesis: writes of values that are never used twice and reads, on all nodes, and what they were
// told, for the checks at the end.
import { findAnomaly, type Operation } from "../../bench/sim/linearizable.js";
import type { Prng } from "../../src/base/prng.js";
import type { Member, NemesisCluster } from "./nemesis-cluster.js";

const REGISTERS = 5;
/** More unanswered calls than this on one node, and callers go elsewhere. */
const WAITING_MAX = 60;
/** How long a caller waits before it does something else; its call goes on. */
const PATIENCE_MS = 200;
const THINK_MS = 8;
/** Reads on a leader that may have been deposed, further and further apart. */
const SUSPICIONS = 20;

export class Clients {
  private readonly cluster: NemesisCluster;
  private readonly random: Prng;
  private readonly registers: Operation[][] = Array.from({ length: REGISTERS }, () => []);
  private readonly acknowledged: number[] = [];
  /** Values whose writers were told that they are lost. */
  private readonly lost = new Set<number>();
  private nextValue = 0;
  /** Who acknowledged last, or may do so next. */
  private leader = 1;
  private acknowledger = 1;
  private running = true;
  reads = 0;

  constructor(cluster: NemesisCluster, random: Prng) {
    this.cluster = cluster;
    this.random = random;
  }

  get writes(): number {
    return this.acknowledged.length;
  }

  /** `count` callers that work until `halt`. */
  async run(count: number): Promise<void> {
    await Promise.all(Array.from({ length: count }, () => this.caller()));
  }

  halt(): void {
    this.running = false;
  }

  private async caller(): Promise<void> {
    const { random } = this;
    const { members } = this.cluster;
    while (this.running) {
      const any = members[random.below(members.length)];
      const isRead = random.below(2) === 0;
      const target = isRead || random.below(5) === 0 ? any : members[this.leader - 1];
      const done = isRead ? this.read(target) : this.write(target);
      const isLate = await Promise.race([done.then(() => false), pause(PATIENCE_MS).then(() => true)]);
      if (isLate && target.id === this.leader) this.leader = any.id;
      await pause(random.below(2 * THINK_MS));
    }
  }

  /** A read on `member`; resolves when it is answered, or will not be. */
  async read(member: Member, register = this.random.below(REGISTERS)): Promise<void> {
    if (member.waiting > WAITING_MAX) return;
    const from = performance.now();
    const answer = await member.ask({ op: "read", register });
    if (answer?.value === undefined) return;
    const to = performance.now();
    this.reads++;
    this.registers[register].push({ kind: "read", value: answer.value, from, to, at: `node ${member.id}` });
  }

  async write(member: Member, register = this.random.below(REGISTERS)): Promise<void> {
    if (member.waiting > WAITING_MAX) return;
    const value = ++this.nextValue;
    const from = performance.now();
    const asked = member.ask({ op: "write", register, value });
    if (asked === undefined) return;
    const answer = await asked;
    const told = performance.now();
    if (answer?.error !== undefined && !answer.error.mayCommit) {
      this.lost.add(value);
      this.leader = 1 + this.random.below(this.cluster.members.length);
      return;
    }
    const isDone = answer !== null && answer.error === undefined;
    const to = isDone ? told : Infinity;
    this.registers[register].push({ kind: "write", value, from, to, at: `node ${member.id}` });
    if (!isDone) return;
    this.acknowledged.push(value);
    if (member.id !== this.acknowledger)
      void this.suspect(this.cluster.members[this.acknowledger - 1], register);
    this.acknowledger = member.id;
    this.leader = member.id;
  }

  /** Somebody else than `deposed` acknowledged a write of this register: does it know, or say so at least? */
  private async suspect(deposed: Member, register: number): Promise<void> {
    for (let i = 0; i < SUSPICIONS; i++) {
      void this.read(deposed, register);
      await pause(i);
    }
  }

  /** Who leads as far as is known. */
  get likelyLeader(): Member {
    return this.cluster.members[this.acknowledger - 1];
  }

  /** What does not fit together: the callers' history in itself, and with what every node applied. */
  findings(logs: ReadonlyMap<number, readonly number[]>): string[] {
    const found: string[] = [];
    const [first] = logs.values();
    const places = new Map(first.map((value, place) => [value, place]));
    this.registers.forEach((operations, register) => {
      const anomaly = findAnomaly(
        operations.map((each) => ({ ...each, hint: places.get(each.value) ?? Infinity })),
      );
      if (anomaly !== null) found.push(`register ${register} is not linearizable: ${anomaly}`);
    });
    for (const [id, log] of logs) {
      const at = log.findIndex((value, i) => value !== first[i]);
      if (at >= 0 || log.length !== first.length) {
        found.push(
          `node ${id} applied ${log.length} writes, node 1 ${first.length}; they differ from ${at} on`,
        );
      }
      const applied = new Set(log);
      if (applied.size !== log.length) found.push(`node ${id} applied a write twice`);
      const missing = this.acknowledged.filter((value) => !applied.has(value));
      if (missing.length > 0) found.push(`node ${id} lacks acknowledged writes: ${missing.slice(0, 9)}`);
      const undead = log.filter((value) => this.lost.has(value));
      if (undead.length > 0) found.push(`node ${id} applied what was called lost: ${undead.slice(0, 9)}`);
    }
    return found;
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
