// A simulated world: nodes, network, faults and clients, all drawn from one seed. First a time of faults with reads
// everywhere, the nastiest ones aimed at whoever may wrongly believe to lead; then all heals, and what waits must settle.

import { Dice } from "../../../bench/sim/dice.js";
import { Schedule } from "../../../bench/sim/schedule.js";
import type { RaftmarkError } from "../../../src/base/errors.js";
import { LEASE_DRIFT } from "../../../src/raft/read-only.js";
import { type Call, Checker } from "./checker.js";
import { FAIR, SimNetwork, type Weather } from "./network.js";
import { ELECTION_TICKS, SimProcess } from "./process.js";

export interface WorldPlan {
  readonly seed: number;
  readonly nodes: number;
  readonly lease: boolean;
  /** Ticks in which faults come. */
  readonly troubleTicks: number;
  /** Half of all misfortunes; left out: drawn. */
  readonly favourite?: Misfortune;
}

/** What a world came to. */
export interface Outcome {
  /** What the engine broke; null: nothing. */
  readonly broken: string | null;
  readonly reads: number;
  readonly writes: number;
  readonly lost: number;
  /** Terms in which somebody led. */
  readonly terms: number;
  /** The longest read once all was well, in ticks. */
  readonly slowestRead: number;
}

/** The longest that a frame is under way. */
const LATE_TICKS = 2 * ELECTION_TICKS;
/** Ticks from the end of all faults within which everybody has an answer. */
const SETTLE_TICKS = 12 * ELECTION_TICKS;
/** Ticks that a read may take with a leader and a fair network: no timer fits in. */
const PROMPT_TICKS = ELECTION_TICKS / 2;

/** What may befall a world; some more often than others. */
const MISFORTUNES = [
  "pause",
  "pause",
  "pause",
  "isolate",
  "isolate",
  "split",
  "transfer",
  "transfer",
  "crash",
  "blackout",
  "slowDown",
  "slowDisk",
  "scatter",
  "turn",
] as const;
export type Misfortune = (typeof MISFORTUNES)[number];

export class World {
  private readonly plan: WorldPlan;
  private readonly dice: Dice;
  /** The kind that half of all misfortunes are of: a world with its own character finds more than an average one. */
  private readonly favourite: Misfortune;
  private readonly schedule = new Schedule();
  private readonly network: SimNetwork;
  private readonly processes = new Map<number, SimProcess>();
  private readonly checker = new Checker();
  /** What each process's callers wait for; they end with it. */
  private readonly calls = new Map<number, Set<Call>>();
  private readonly terms = new Set<number>();
  private trouble = true;
  private writes = 0;
  private slowestRead = 0;

  constructor(plan: WorldPlan) {
    this.plan = plan;
    this.dice = new Dice(plan.seed);
    this.favourite = plan.favourite ?? this.dice.pick(MISFORTUNES);
    const { dice, schedule, checker } = this;
    this.network = new SimNetwork(schedule, dice, (to, lane, work) =>
      this.processes.get(to)!.enter(lane, work),
    );
    const voters = Array.from({ length: plan.nodes }, (_, i) => i + 1);
    const witness = {
      applied: checker.apply.bind(checker),
      fault: (id: number, error: Error) => checker.fail(`node ${id} fenced itself: ${error.stack}`),
    };
    const isAsync = dice.chance(0.8);
    // As RaftNode has it by default; or never, so that everything has to end by what comes to be known.
    const limits = dice.chance(0.5)
      ? { leaderlessTicks: 5 * ELECTION_TICKS, timeoutTicks: 60 * ELECTION_TICKS }
      : { leaderlessTicks: Infinity, timeoutTicks: Infinity };
    for (const id of voters) {
      const rate = 1 + dice.between(0, LEASE_DRIFT);
      const plan = { id, voters, lease: this.plan.lease, isAsync, rate, ...limits };
      const process = new SimProcess(plan, schedule, dice, this.network, witness);
      this.processes.set(id, process);
      this.calls.set(id, new Set());
    }
  }

  /** Lives through it all, or up to the first thing that is wrong. */
  async run(): Promise<Outcome> {
    const { checker } = this;
    for (const process of this.all) process.start();
    this.network.weather = this.drawWeather();
    this.each(this.dice.between(2, 10), () => this.misfortune());
    this.each(this.dice.between(0.2, 1), () => this.write());
    this.each(this.dice.between(0.3, 1), () => this.readAt(this.dice.pick(this.all)));
    await this.until(this.plan.troubleTicks, () => false);
    this.recover();
    await this.settle();
    await this.until(this.plan.troubleTicks + LATE_TICKS, () => false);
    for (let i = 0; i < 3; i++) await this.readPromptly();
    if (this.plan.nodes > 2) await this.readAcrossElection();
    return {
      broken: checker.broken,
      reads: checker.reads,
      writes: checker.ackedWrites,
      lost: checker.lostWrites,
      terms: this.terms.size,
      slowestRead: this.slowestRead,
    };
  }

  private get all(): SimProcess[] {
    return [...this.processes.values()];
  }

  private get others(): (of: SimProcess) => SimProcess[] {
    return (of) => this.all.filter((process) => process !== of);
  }

  /** Calls `work` once in `mean` ticks while there is trouble. */
  private each(mean: number, work: () => void): void {
    this.schedule.after(this.dice.wait(mean), () => {
      if (!this.trouble) return;
      work();
      this.each(mean, work);
    });
  }

  /** Moves on to time `end`, or until `done` or something broke. False: `end` came first. */
  private async until(end: number, done: () => boolean): Promise<boolean> {
    const { schedule, checker } = this;
    while (checker.broken === null) {
      if (done()) return true;
      if (!schedule.step(end)) return false;
      // Callers go on, as they do before the next turn of an event loop.
      await null;
      await null;
      for (const { leads, term } of this.processes.values()) if (leads) this.terms.add(term);
    }
    return true;
  }

  // ---- clients

  /** A write on somebody who takes itself for the leader. */
  private write(): void {
    const leaders = this.all.filter((process) => process.leads);
    if (leaders.length > 0) this.writeAt(this.dice.pick(leaders));
  }

  private writeAt(process: SimProcess): void {
    const { checker } = this;
    const text = `w${++this.writes}`;
    process.enter("client", () => {
      const life = process.incarnation;
      const call: Call = { what: `write of ${text} on node ${process.id}`, at: this.schedule.now, need: 0 };
      this.open(process, call);
      process.propose(Buffer.from(text)).then(
        ({ index }) => {
          if (life !== process.incarnation || !process.isUp) return;
          this.close(process, call);
          checker.acknowledge(text, index);
          if (this.trouble) this.suspect(process);
        },
        (error: RaftmarkError) => {
          if (life !== process.incarnation || !process.isUp) return;
          this.close(process, call);
          checker.reject(text, error);
        },
      );
    });
  }

  /** A write was acknowledged on `leader`: whoever else takes itself for the leader is asked what it knows. */
  private suspect(leader: SimProcess): void {
    for (const process of this.others(leader)) {
      if (!process.leads) continue;
      this.readSoon(process, 0.1);
      this.readSoon(process, 3);
      for (const follower of this.others(process)) {
        if (follower.leader === process.id) this.readSoon(follower, 0.3);
      }
    }
  }

  private readSoon(process: SimProcess, within: number): void {
    this.schedule.after(this.dice.between(0, within), () => this.readAt(process));
  }

  /** Calls `answered` with the ticks it took. */
  private readAt(process: SimProcess, answered: (ticks: number) => void = () => {}): void {
    const { checker, schedule } = this;
    process.enter("client", () => {
      const life = process.incarnation;
      const call = checker.begin(process.id, schedule.now);
      this.open(process, call);
      process.readBarrier().then(
        () => {
          if (life !== process.incarnation || !process.isUp) return;
          this.close(process, call);
          checker.end(call, process.applied, schedule.now);
          answered(schedule.now - call.at);
        },
        // Refused, which is an answer; who gives it for no reason fails `readPromptly`.
        () => this.close(process, call),
      );
    });
  }

  private open(process: SimProcess, call: Call): void {
    this.calls.get(process.id)!.add(call);
  }

  private close(process: SimProcess, call: Call): void {
    this.calls.get(process.id)!.delete(call);
  }

  private get waiting(): Call[] {
    return [...this.calls.values()].flatMap((calls) => [...calls]);
  }

  // ---- faults

  private drawWeather(): Weather {
    const { dice } = this;
    const isSlow = dice.chance(0.3);
    return {
      delay: isSlow ? { from: 0.1, to: dice.between(0.5, 2) } : { from: 0.01, to: dice.between(0.05, 0.4) },
      lost: dice.chance(0.5) ? dice.between(0, 0.1) : 0,
      doubled: dice.chance(0.5) ? dice.between(0, 0.3) : 0,
      doubleDelay: { from: 0, to: dice.between(0, LATE_TICKS) },
      shuffles: dice.chance(0.3),
    };
  }

  /** One draw of what may go wrong; most of it befalls whoever leads. */
  private misfortune(): void {
    const { dice } = this;
    const leaders = this.all.filter((process) => process.leads);
    const victim = leaders.length > 0 && dice.chance(0.7) ? dice.pick(leaders) : dice.pick(this.all);
    const ticks = dice.chance(0.7) ? dice.between(5, 3 * ELECTION_TICKS) : dice.between(0.1, 5);
    const befall: Record<Misfortune, () => void> = {
      pause: () => this.pause(victim, ticks),
      isolate: () => this.isolate(victim, ticks),
      split: () => this.split(ticks),
      transfer: () => this.transfer(victim),
      crash: () => this.crash(victim, ticks),
      blackout: () => this.blackout(victim, ticks),
      slowDown: () => this.slowDown(victim, ticks),
      slowDisk: () => {
        victim.diskDelay = { from: 0.01, to: dice.chance(0.5) ? 0.1 : dice.between(0.2, 2 * ELECTION_TICKS) };
      },
      scatter: () => this.scatter(),
      turn: () => {
        this.network.weather = this.drawWeather();
        if (dice.chance(0.3)) victim.campaign();
      },
    };
    befall[dice.chance(0.5) ? this.favourite : dice.pick(MISFORTUNES)]();
  }

  /**
   * For a while what a leader appends gets to one other node only, and leaders come and go: logs grow apart, and what
   * one lost another may still bring back.
   */
  private scatter(): void {
    const { dice, schedule } = this;
    const end = schedule.now + dice.between(3, 10) * ELECTION_TICKS;
    const again = () => {
      const isOver = schedule.now > end || !this.trouble;
      for (const process of this.all) {
        this.network.narrow(process.id, isOver ? null : dice.pick(this.all).id);
        if (isOver) continue;
        if (process.leads && dice.chance(0.7)) this.isolate(process, dice.between(0.5, 1.5) * ELECTION_TICKS);
        else if (dice.chance(0.4)) process.campaign();
        this.write();
      }
      if (!isOver) schedule.after(dice.between(0.5, 2) * ELECTION_TICKS, again);
    };
    again();
  }

  /** It stands still, and what others ask of it before they know lies in its sockets until it goes on. */
  private pause(victim: SimProcess, ticks: number): void {
    victim.pause();
    for (let i = 0; i < 4; i++) this.readSoon(this.dice.pick(this.all), 1);
    this.schedule.after(ticks, () => this.wake(victim));
  }

  /** Who stood still is asked before it learns what happened meanwhile. */
  private wake(process: SimProcess): void {
    if (!process.isPaused) return;
    const reads = this.dice.below(3);
    process.resume();
    for (let i = 0; i < reads; i++) this.readSoon(process, 0.06);
  }

  /** Cuts it off: as it sends, as it hears, or both; from all the others or some. */
  private isolate(victim: SimProcess, ticks: number): void {
    const { dice } = this;
    const kind = dice.below(3);
    const share = dice.chance(0.5) ? 1 : dice.between(0.3, 1);
    for (const { id } of this.others(victim)) {
      if (!dice.chance(share)) continue;
      if (kind !== 0) this.cut(victim.id, id, ticks);
      if (kind !== 1) this.cut(id, victim.id, ticks);
    }
  }

  /** Two halves, the leader's the smaller more often than not. */
  private split(ticks: number): void {
    const side = this.all.filter(() => this.dice.chance(0.4));
    for (const one of side) {
      for (const other of this.all) {
        if (side.includes(other)) continue;
        this.cut(one.id, other.id, ticks);
        this.cut(other.id, one.id, ticks);
      }
    }
  }

  private cut(from: number, to: number, ticks: number): void {
    this.network.cut(from, to);
    this.schedule.after(ticks, () => this.network.mend(from, to));
  }

  private slowDown(victim: SimProcess, ticks: number): void {
    const { dice, network } = this;
    const delay = { from: 0, to: dice.between(1, LATE_TICKS) };
    const kind = dice.below(3);
    for (const { id } of this.others(victim)) {
      if (kind !== 0) network.slowDown(victim.id, id, delay);
      if (kind !== 1) network.slowDown(id, victim.id, delay);
      this.schedule.after(ticks, () => {
        network.slowDown(victim.id, id, null);
        network.slowDown(id, victim.id, null);
      });
    }
  }

  /** Leadership goes on, and everybody is asked meanwhile; what the old leader would hear of it may come late. */
  private transfer(leader: SimProcess): void {
    const others = this.others(leader);
    if (others.length === 0) return;
    const { dice } = this;
    const heir = dice.pick(others);
    leader.transferLeadership(heir.id);
    if (dice.chance(0.5)) {
      for (const { id } of others) {
        const isHeir = id === heir.id;
        if (isHeir || dice.chance(0.7)) this.cut(id, leader.id, dice.between(1, ELECTION_TICKS));
      }
    }
    for (let i = 0; i < 8; i++) {
      this.schedule.after(dice.between(0, 3), () => this.write());
      this.readSoon(leader, 3);
      this.readSoon(dice.pick(this.all), 3);
    }
  }

  private crash(victim: SimProcess, ticks: number): void {
    victim.crash();
    this.calls.get(victim.id)!.clear();
    this.schedule.after(this.dice.chance(0.5) ? ticks : 0.01, () => this.restart(victim));
  }

  /** Most of the others end and are back soon, while it hears nothing of them. */
  private blackout(survivor: SimProcess, ticks: number): void {
    const { dice } = this;
    if (dice.chance(0.5)) this.isolate(survivor, ticks);
    else this.pause(survivor, dice.between(0.5, ELECTION_TICKS));
    for (const process of this.others(survivor)) {
      if (dice.chance(0.8)) this.crash(process, dice.between(0.01, 3));
    }
    for (let i = 0; i < 6; i++) this.schedule.after(dice.between(0, ELECTION_TICKS), () => this.write());
  }

  private restart(process: SimProcess): void {
    if (process.isUp) return;
    process.start();
    if (this.dice.chance(0.5)) process.campaign();
    this.readAt(process);
    this.readSoon(process, 2);
  }

  // ---- the end

  private recover(): void {
    this.trouble = false;
    this.network.heal();
    this.network.weather = FAIR;
    for (const process of this.all) {
      process.diskDelay = { from: 0.01, to: 0.1 };
      process.resume();
      this.restart(process);
    }
  }

  private get ready(): SimProcess | null {
    const leader = this.all.find((process) => process.runs && process.isReady);
    const up = this.all.filter((process) => process.runs);
    return leader !== undefined && up.every((process) => process.leader === leader.id) ? leader : null;
  }

  /** Everybody has an answer, and all nodes the same state. */
  private async settle(): Promise<void> {
    const { schedule, checker } = this;
    const end = schedule.now + SETTLE_TICKS;
    const led = await this.until(end, () => this.ready !== null);
    if (!led) checker.fail(`${SETTLE_TICKS} ticks after all faults ended, nobody leads`);
    if (checker.broken !== null) return;
    this.writeAt(this.ready!);
    const settled = await this.until(end, () => this.waiting.length === 0 && this.isLevel);
    if (settled) return;
    const [call] = this.waiting;
    if (call !== undefined) checker.fail(`${call.what}, asked at ${call.at.toFixed(3)}, never ends`);
    else checker.fail(`nodes stay apart: ${this.all.map(({ applied }) => applied).join(", ")} applied`);
  }

  private get isLevel(): boolean {
    return this.all.every(({ applied }) => applied === this.all[0].applied && applied >= this.checker.acked);
  }

  /** With a leader and a fair network all nodes read at once, and none waits for a timer. */
  private async readPromptly(): Promise<void> {
    const { checker, schedule } = this;
    let answers = 0;
    for (const process of this.all) {
      this.readAt(process, (ticks) => {
        answers++;
        this.slowestRead = Math.max(this.slowestRead, ticks);
      });
    }
    if (await this.until(schedule.now + PROMPT_TICKS, () => answers === this.plan.nodes)) return;
    checker.fail(
      `${this.plan.nodes - answers} reads wait ${PROMPT_TICKS} ticks with a leader and a fair network`,
    );
  }

  /** The leader ends; who asks meanwhile is answered when there is a new one, and not when a timer says so. */
  private async readAcrossElection(): Promise<void> {
    const { checker, schedule, dice } = this;
    const old = checker.broken === null ? this.ready : null;
    if (old === null) return;
    old.crash();
    this.calls.get(old.id)!.clear();
    for (const process of this.others(old)) {
      for (let i = 0; i < 3; i++)
        this.schedule.after(dice.between(0, ELECTION_TICKS), () => this.readAt(process));
    }
    const asked = schedule.now + ELECTION_TICKS;
    await this.until(asked, () => false);
    const led = await this.until(asked + SETTLE_TICKS, () => this.ready !== null);
    if (!led) return checker.fail(`${SETTLE_TICKS} ticks after the leader ended, nobody leads`);
    if (await this.until(schedule.now + PROMPT_TICKS, () => this.waiting.length === 0)) return;
    const call = this.waiting[0];
    if (call !== undefined)
      checker.fail(`${call.what} waits ${PROMPT_TICKS} ticks although there is a leader again`);
  }
}
