// A simulated world: nodes, disks, network, faults and clients, all drawn from one seed. First a time of faults, with
// writes and reads everywhere, many of them aimed at whoever may wrongly believe to lead; then all heals, and what
// waits must settle. Times in microseconds.
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { RaftmarkError } from "../../src/base/errors.js";
import type { CallOptions } from "../../src/node/api.js";
import type { DiagnosticsChannels } from "../../src/node/channels.js";
import { LEASE_DRIFT } from "../../src/raft/read-only.js";
import { Askers } from "./askers.js";
import { BatchClients } from "./batch-clients.js";
import { CatchUp } from "./catch-up.js";
import { type Call, Checker, type Violation } from "./checker.js";
import { Dice } from "./dice.js";
import { Faults } from "./faults.js";
import { leave } from "./host.js";
import { FAIR, type Port, SimNetwork } from "./network.js";
import {
  ELECTION_TICKS,
  ELECTION_US,
  HEALTHY,
  type ProcessPlan,
  SimProcess,
  TICK_MS,
  type Witness,
} from "./process.js";
import { type Command, Histories, nameOfCommand, REGISTERS } from "./registers.js";
import { Schedule } from "./schedule.js";
import { SessionClients } from "./session-clients.js";
import type { Stage, WorldPlan } from "./stage.js";
import { Told } from "./told.js";
import { Trace } from "./trace.js";
import { Writes } from "./writes.js";

/** What a world came to. */
export interface Outcome {
  /** What was broken first; null: nothing. */
  readonly violation: Violation | null;
  readonly digest: string;
  readonly events: number;
  /** Of simulated time. */
  readonly ms: number;
  readonly nodes: number;
  readonly writes: number;
  readonly reads: number;
  readonly lost: number;
  /** Registers whose calls were searched for an order. */
  readonly histories: number;
  /** Terms in which somebody led. */
  readonly terms: number;
  readonly commits: number;
  readonly starts: number;
  /** Snapshots whose state a state machine took, and those of them that a leader had sent. */
  readonly restores: number;
  readonly installs: number;
  readonly damaged: number;
  readonly faults: Readonly<Record<string, number>>;
  /** Faults that were drawn, those that were left out among them. */
  readonly drawn: number;
  /** The last events of each node, if asked for. */
  readonly story: string;
}

/** From the end of all faults until everybody has an answer and all nodes the same state, in election timeouts. */
const SETTLE_ELECTIONS = 30;
/** And at least: a connection that nobody answered is given up after so long, and made anew. */
const SETTLE_MS_MIN = 3_000;
/** The same where snapshots are sent: what became of one that was lost is seen after seconds, and it is tried again. */
const SETTLE_SNAPSHOTS_MS_MIN = 30_000;
/** Events of the world after which the real event loop has a turn. */
const BREATH = 20_000;
const REACTED = Promise.resolve();

export class World implements Stage {
  readonly plan: WorldPlan;
  readonly dice: Dice;
  /** What those have in mind who use a node: apart, so that worlds without such services stay as they are. */
  private readonly callers: Dice;
  readonly schedule = new Schedule();
  readonly network: SimNetwork;
  readonly processes: readonly SimProcess[];
  readonly checker: Checker;
  readonly told: Told;
  readonly trace: Trace;
  trouble = true;
  readonly ruined = new Set<number>();
  private readonly faults: Faults;
  private readonly ports: readonly Port[];
  readonly calls = new Map<number, Set<Call>>();
  /** Whose event this is. */
  private running: SimProcess | null = null;
  private writesBegun = 0;
  private readonly histories = new Histories();
  private starts = 0;
  private restores = 0;
  private installs = 0;
  /** Sizes of payloads in this world. */
  private readonly payloadBytesMax: number;
  /** At the end a member is to lag behind and to catch up. */
  private readonly catchesUp: boolean;
  /** Null: nobody in this world uses sessions. */
  private readonly sessions: SessionClients | null;
  /** Null: nobody in this world writes several values in one call. */
  private readonly batches: BatchClients | null;
  private readonly askers: Askers;

  constructor(plan: WorldPlan) {
    this.plan = plan;
    const dice = new Dice(plan.seed);
    this.dice = dice;
    this.callers = new Dice((plan.seed ^ 0x63616c6c) >>> 0);
    this.trace = new Trace(this.schedule, plan.words);
    const nodes = plan.nodes ?? dice.pick([1, 2, 3, 3, 3, 4, 5, 5, 5, 7]);
    const voters = Array.from({ length: nodes }, (_, i) => i + 1);
    const spares = Array.from({ length: plan.profile.spares ?? 0 }, (_, i) => nodes + i + 1);
    this.network = new SimNetwork([...voters, ...spares], this.schedule, dice, {
      port: (id) => this.ports[id - 1]!,
      sends: (from, messages) => {
        this.trace.messages(from, messages);
        this.checker.sends(this.process(from), messages);
      },
      frame: (from, to, bytes) => this.trace.frame(from, to, bytes),
      fail: (what) => this.checker.fail("wire", what),
    });
    const plans = this.drawPlans(voters);
    for (const id of spares) plans.push({ ...plans[0]!, id, voters: [...voters, id], joins: true });
    this.payloadBytesMax = dice.pick([16, 200, 200, 3000]);
    this.catchesUp = dice.chance(0.2);
    this.processes = plans.map(
      (each) => new SimProcess(each, this.schedule, dice, this.network, this.witness, this.trace),
    );
    this.ports = this.processes.map((process) => portOf(process));
    this.checker = new Checker(this.processes);
    this.told = new Told(this.checker, voters);
    this.faults = new Faults(this);
    const sessionDice = new Dice((plan.seed ^ 0x73657373) >>> 0);
    const hasSessions = sessionDice.chance(plan.profile.forwards ?? 0);
    const writesOf = (dice: Dice) => new Writes(this, dice, this.histories, () => ++this.writesBegun);
    this.sessions = hasSessions ? new SessionClients(this, sessionDice, writesOf(sessionDice)) : null;
    const batchDice = new Dice((plan.seed ^ 0x6d616e79) >>> 0);
    this.batches = batchDice.chance(0.5) ? new BatchClients(this, batchDice, writesOf(batchDice)) : null;
    this.askers = new Askers(this, new Dice((plan.seed ^ 0x61736b73) >>> 0));
    for (const { id } of plans) this.calls.set(id, new Set());
  }

  private drawPlans(voters: readonly number[]): ProcessPlan[] {
    const { dice, plan } = this;
    const isPatient = dice.chance(0.5);
    const shared = {
      voters,
      lease: plan.lease ?? dice.chance(0.5),
      tickMs: plan.tickMs ?? dice.pick([TICK_MS, TICK_MS, TICK_MS, TICK_MS / 2]),
      electionTicks: plan.electionTicks ?? dice.pick([ELECTION_TICKS, ELECTION_TICKS, ELECTION_TICKS, 6]),
      storageWrites: dice.chance(0.8) ? ("async" as const) : ("sync" as const),
      durability: dice.chance(0.5) ? ("o_direct" as const) : ("fdatasync" as const),
      writer: dice.chance(0.8) ? ("inline-js" as const) : ("inline-wasm" as const),
      segmentBytes: dice.pick([8 << 10, 16 << 10, 64 << 10]),
      logCacheBytes: dice.pick([1 << 10, 16 << 10, 1 << 20]),
      maxFrameBytes: dice.pick([4 << 10, 16 << 10, 1 << 20]),
      maxInflightMsgs: dice.pick([1, 4, 256]),
      maxInflightBytes: dice.pick([64 << 10, 8 << 20]),
      maxQueuedBytes: dice.pick([32 << 10, 256 << 20]),
      // As RaftNode has it by default; or so long that everything has to end by what comes to be known.
      leaderlessTimeoutMs: (isPatient ? 1e6 : 5) * (ELECTION_US / 1000),
      requestTimeoutMs: (isPatient ? 1e6 : 60) * (ELECTION_US / 1000),
    };
    const slow = plan.profile.oneSlow === true ? dice.pick(voters) : 0;
    const drift = (id: number): number => {
      if (slow === 0) return dice.between(0, LEASE_DRIFT);
      return id === slow ? 0 : 0.99 * LEASE_DRIFT;
    };
    const own = (): { tickMs?: number; electionTicks?: number } =>
      plan.profile.differ === true
        ? { tickMs: dice.pick([TICK_MS / 2, TICK_MS, 15]), electionTicks: dice.pick([6, ELECTION_TICKS]) }
        : {};
    const { callers } = this;
    const takesTime = plan.profile.services === true && callers.chance(0.5);
    const applyMs = (): number => (takesTime && callers.chance(0.7) ? callers.between(0.01, 8) : 0);
    const isFollowed = (): boolean => plan.profile.services === true && callers.chance(0.3);
    const snapshots = this.drawSnapshots();
    // Apart as well, as are sessions.
    const forwards = new Dice((plan.seed ^ 0x666f7277) >>> 0).chance(plan.profile.forwards ?? 0);
    const services = () => ({ applyMs: applyMs(), isFollowed: isFollowed() });
    return voters.map((id) => ({
      ...shared,
      ...own(),
      id,
      rate: 1 + drift(id),
      forwards,
      ...services(),
      ...snapshots,
    }));
  }

  /** Apart from all else, so that worlds without them stay as they are. */
  private drawSnapshots(): Pick<ProcessPlan, "snapshots" | "ballastBytes"> & { segmentBytes?: number } {
    const { plan } = this;
    const dice = new Dice((plan.seed ^ 0x736e6170) >>> 0);
    const isDrawn = dice.chance(plan.profile.snapshots ?? 0);
    if (!(plan.snapshots ?? isDrawn)) return { snapshots: null, ballastBytes: 0 };
    return {
      snapshots: {
        snapshotEveryBytes: dice.pick([1 << 10, 8 << 10, 0]),
        snapshotEveryEntries: dice.pick([3, 10, 30]),
        snapshotCatchUpBytes: dice.pick([0, 1 << 10, 8 << 10]),
        snapshotSendBytesPerS: dice.pick([1 << 20, 32 << 20]),
      },
      ballastBytes: dice.pick([0, 1_000, 10_000, 50_000]),
      segmentBytes: dice.pick([8 << 10, 8 << 10, 16 << 10]),
    };
  }

  process(id: number): SimProcess {
    return this.processes[id - 1]!;
  }

  others(of: SimProcess): SimProcess[] {
    return this.processes.filter((process) => process !== of);
  }

  private readonly witness: Witness = {
    runs: (process) => {
      this.running = process;
    },
    opened: (process) => {
      this.trace.note(process.id, () => `has opened, ${process.parts!.wal.recovered.lastIndex} entries`);
      this.checker.opened(process);
    },
    applied: (process, entries) => {
      for (const { index, term } of entries) this.trace.mix(index * 64 + term);
      this.checker.apply(process, entries);
    },
    restored: (process, index, term, state) => {
      this.trace.note(process.id, () => `has the state of the snapshot at ${index}`);
      this.trace.mix(index * 64 + term);
      this.restores++;
      if (process.node !== null) this.installs++;
      this.checker.restored(process, index, term, state);
    },
    failed: (process, error) => {
      this.trace.note(process.id, `failed: ${error.message}`);
      this.faults.failed(process, error);
    },
    fed: (process, last, entry) => this.checker.feed(process, last, entry),
    overlaps: (process) =>
      this.checker.fail("apply order", `node ${process.id} is to apply two things at once`),
    ended: (process) => {
      this.checker.observe(process);
      this.faults.ended(process);
    },
  };

  start(process: SimProcess): void {
    if (process.isUp) return;
    this.starts++;
    this.trace.note(process.id, "starts");
    process.start();
  }

  lame(process: SimProcess): void {
    process.isLame = true;
    this.calls.get(process.id)!.clear();
  }

  close(process: SimProcess, timeoutMs: number | undefined, gone: () => void): void {
    process.enter("client", () => {
      const { node, life } = process;
      if (node === null || process.isLame) return;
      this.trace.note(process.id, `is to close, within ${timeoutMs ?? "its default of"} ms`);
      const closed = (): void => {
        if (life !== process.life || !process.isUp || process.isLame) return;
        const [call] = this.calls.get(process.id)!;
        if (call !== undefined)
          this.checker.fail("settles", `${call.what} has no outcome, and its node has closed`);
        this.crash(process, false);
        gone();
      };
      node.close({ timeoutMs }).then(closed, closed);
    });
  }

  crash(process: SimProcess, powerLoss: boolean): void {
    process.crash(powerLoss);
    this.calls.get(process.id)!.clear();
  }

  // ---- time

  /** Lives through it all, or up to the first thing that is wrong. */
  async run(): Promise<Outcome> {
    const { dice } = this;
    for (const process of this.processes) if (process.plan.joins !== true) this.start(process);
    this.faults.begin();
    this.each(dice.between(0.2, 2) * TICK_MS * 1000, () => this.write());
    const { reads = 1 } = this.plan.profile;
    this.each((dice.between(0.3, 3) / reads) * TICK_MS * 1000, () => this.read(dice.pick(this.processes)));
    if (this.sessions !== null)
      this.each((dice.between(0.5, 2) * TICK_MS * 1000) / 2, () => this.sessions!.act());
    if (this.batches !== null) this.each(8 * TICK_MS * 1000, () => this.batches!.act());
    this.each(10 * TICK_MS * 1000, () => this.askers.act());
    const members = (message: unknown): void =>
      this.told.membership(message as DiagnosticsChannels["raftmark:membership"]);
    subscribe("raftmark:membership", members);
    try {
      await this.until(() => this.trace.events >= this.plan.steps);
      this.recover();
      await this.settle();
    } finally {
      unsubscribe("raftmark:membership", members);
    }
    const anomaly =
      this.checker.violation === null
        ? this.histories.findAnomaly((name) => this.checker.placeOf(name))
        : null;
    if (anomaly !== null) this.checker.fail("history", anomaly);
    for (const process of this.processes) process.end();
    const { checker, trace, network, schedule } = this;
    return {
      violation: checker.violation,
      digest: trace.digest,
      events: trace.events,
      ms: Math.round(schedule.now / 1000),
      nodes: this.processes.length,
      writes: checker.writes,
      reads: checker.reads,
      lost: checker.lostWrites,
      histories: this.histories.count,
      terms: checker.terms,
      commits: checker.commits,
      starts: this.starts,
      restores: this.restores,
      installs: this.installs,
      damaged: network.damaged,
      faults: this.faults.counts,
      drawn: this.faults.drawn,
      story: trace.describe(),
    };
  }

  each(mean: number, work: () => void): void {
    this.after(this.dice.below(Math.ceil(2 * mean)), () => {
      if (!this.trouble) return;
      work();
      this.each(mean, work);
    });
  }

  after(delay: number, work: () => void): void {
    this.schedule.after(Math.max(0, Math.floor(delay)), work);
  }

  /**
   * Moves on until `done` or something broke. False: time `end` came first. Between two events everything runs that
   * promises have led to: they belong to the process whose event it was.
   */
  until(done: () => boolean, end = Infinity): Promise<boolean> {
    const { schedule, checker } = this;
    return new Promise((resolve) => {
      let events = 0;
      const step = (): void => {
        try {
          leave();
          if (this.running !== null) {
            checker.observe(this.running);
            this.told.observe(this.running);
          }
          this.running = null;
          const isDone = checker.violation !== null || done();
          if (isDone || !schedule.step(end)) {
            leave();
            resolve(isDone);
            return;
          }
        } catch (error) {
          leave();
          // What broke it is the world's own, or came out of a node: either way with seed, story and replay.
          checker.fail("exception", error instanceof Error ? error.stack! : String(error));
          resolve(true);
          return;
        }
        // Its turn comes behind all reactions of this event, which run as the process whose event it was: a tick that
        // is asked for by a reaction waits for all of them. (queueMicrotask makes a resource each time.)
        REACTED.then(++events % BREATH === 0 ? breathe : tick);
      };
      const tick = (): void => process.nextTick(step);
      const breathe = (): void => {
        REAL_IMMEDIATE(step);
      };
      step();
    });
  }

  // ---- clients

  write(): void {
    const leaders = this.processes.filter((process) => process.leads);
    const [{ plan }] = this.processes;
    if (plan.forwards && this.dice.chance(0.6)) this.writeAt(this.dice.pick(this.processes));
    else if (leaders.length > 0) this.writeAt(this.dice.pick(leaders));
    if (this.dice.chance(0.05)) this.writeAt(this.dice.pick(this.processes));
  }

  writeAt(process: SimProcess, controller: AbortController | null = null, bytes = 0): void {
    const { checker, schedule, dice } = this;
    const register = dice.below(REGISTERS);
    const isSwap = dice.chance(0.3);
    const more = bytes > 0 ? bytes : dice.below(this.payloadBytesMax);
    process.enter("client", () => {
      const { node, life } = process;
      if (node === null || process.isLame) return;
      const expected = isSwap ? process.registers.values[register] : null;
      const command: Command = { register, value: ++this.writesBegun, expected };
      const name = nameOfCommand(command);
      const data = Buffer.alloc(name.length + 1 + more, `${name} `);
      const operation = this.histories.begin(command, schedule.now / 1000, `node ${process.id}`);
      const call = checker.begin(`write of ${name} on node ${process.id}`, schedule.now);
      const calls = this.calls.get(process.id)!;
      calls.add(call);
      checker.propose(data);
      node.propose(data, this.impatience(process, call, controller)).then(
        ({ index, result }) => {
          if (life !== process.life || !process.isUp) return;
          calls.delete(call);
          this.histories.answered(operation, schedule.now / 1000, result as number);
          checker.acknowledge(call, data, index);
          if (this.trouble) this.suspect(process);
        },
        (error: RaftmarkError) => {
          if (life !== process.life || !process.isUp) return;
          calls.delete(call);
          checker.refused(call, error);
          if (!error.mayCommit) this.histories.lost(command, operation);
          checker.reject(data, error);
        },
      );
    });
  }

  /** How long a caller waits. */
  private impatience(process: SimProcess, call: Call, controller: AbortController | null): CallOptions {
    const { callers, plan } = this;
    const signal = controller?.signal;
    if (plan.profile.services !== true || !callers.chance(0.3)) return { signal };
    const timeoutMs = callers.between(0.1, callers.pick([5, 100, 400]));
    this.endsWithin(process, call, timeoutMs);
    return { signal, timeoutMs };
  }

  endsWithin(process: SimProcess, call: Call, timeoutMs: number): void {
    const { life, pauses } = process;
    // Timers are late by nine tenths at most.
    this.after(2_000 * timeoutMs + 1_000, () => {
      const isSame = life === process.life && pauses === process.pauses && process.isUp;
      if (isSame && this.calls.get(process.id)!.has(call))
        this.checker.fail("settles", `${call.what} waits for longer than its ${timeoutMs.toFixed(1)} ms`);
    });
  }

  poke(process: SimProcess): void {
    const command: Command = { register: 0, value: ++this.writesBegun, expected: null };
    const data = Buffer.from(`${nameOfCommand(command)} `);
    this.checker.propose(data);
    this.histories.begin(command, this.schedule.now / 1000, `node ${process.id}`);
    process.enter("client", () => void process.node?.propose(data).catch(() => {}));
  }

  /** A write was acknowledged on `leader`: whoever else takes itself for the leader is asked what it knows. */
  private suspect(leader: SimProcess): void {
    for (const process of this.others(leader)) {
      if (!process.leads) continue;
      this.readSoon(process, 1_000);
      this.readSoon(process, 30_000);
      for (const follower of this.others(process)) {
        if (follower.leader === process.id) this.readSoon(follower, 3_000);
      }
    }
  }

  readSoon(process: SimProcess, within: number): void {
    this.after(this.dice.below(within), () => this.read(process));
  }

  read(process: SimProcess, controller: AbortController | null = null): void {
    const { checker, schedule, dice } = this;
    const register = dice.below(REGISTERS);
    process.enter("client", () => {
      const { node, life } = process;
      if (node === null || process.isLame) return;
      const call = checker.begin(`read on node ${process.id}`, schedule.now);
      const calls = this.calls.get(process.id)!;
      calls.add(call);
      node.readBarrier(this.impatience(process, call, controller)).then(
        () => {
          if (life !== process.life || !process.isUp || process.isLame) return;
          calls.delete(call);
          checker.read(call, process.applied, schedule.now);
          const value = process.registers.values[register];
          this.histories.read(register, value, call.at / 1000, schedule.now / 1000, `node ${process.id}`);
        },
        (error: unknown) => {
          calls.delete(call);
          checker.refused(call, error);
        },
      );
    });
  }

  abortSoon(process: SimProcess): void {
    const controllers = [new AbortController(), new AbortController()];
    this.writeAt(process, controllers[0]);
    this.read(process, controllers[1]);
    for (const controller of controllers) {
      this.after(this.dice.below(20_000), () => process.enter("client", () => controller.abort()));
    }
  }

  // ---- the end

  private recover(): void {
    this.trouble = false;
    this.faults.lastAct();
    this.network.heal();
    this.network.weather = FAIR;
    for (const process of this.processes) {
      if (!process.isLame) process.trouble = HEALTHY;
      process.exhaustDescriptors(false);
      process.opsLeft = Infinity;
      process.resume();
      const isMember = process.plan.joins !== true || process.hasOpened || this.checker.hasMember(process.id);
      if (!this.ruined.has(process.id) && isMember) this.start(process);
    }
  }

  /** Those that are members now. */
  private get members(): readonly SimProcess[] {
    if (this.plan.profile.spares === undefined) return this.processes;
    return this.processes.filter(({ id }) => this.checker.hasMember(id));
  }

  /** Of those that run: the leader that all follow, once it has committed in its term. */
  private get ready(): SimProcess | null {
    if (!this.isUp) return null;
    const up = this.sound;
    const leader = up.find(
      (process) => process.leads && process.parts!.rawNode.raft.committedEntryInCurrentTerm(),
    );
    return leader !== undefined && up.every((process) => process.leader === leader.id) ? leader : null;
  }

  /** All members run but for those that may never open again, and one added as faults ended, whom nobody started. */
  private get isUp(): boolean {
    const mayBeDown = ({ id, plan, life }: SimProcess): boolean =>
      this.ruined.has(id) || (plan.joins === true && life === 0);
    return this.sound.length > 0 && this.members.every((process) => process.runs || mayBeDown(process));
  }

  /** Everybody has an answer, and all nodes the same state. */
  private async settle(): Promise<void> {
    const { schedule, checker } = this;
    const electionMs = Math.max(...this.processes.map(({ plan }) => plan.tickMs * plan.electionTicks));
    const hasSnapshots = this.processes[0]!.plan.snapshots !== null;
    const settleMin = hasSnapshots ? SETTLE_SNAPSHOTS_MS_MIN : SETTLE_MS_MIN;
    const settleMs = Math.max(settleMin, SETTLE_ELECTIONS * electionMs);
    let end = schedule.now + settleMs * 1000;
    if (checker.violation !== null) return;
    if (!(await this.until(() => this.ready !== null, end))) {
      const states = this.processes.map(
        ({ id, isUp, node, leader, parts }) =>
          `${id} ${!isUp ? "is down" : node === null ? "is opening" : `follows ${leader} in term ${parts!.rawNode.raft.term}`}`,
      );
      checker.fail(
        "liveness",
        `${settleMs} ms after all faults ended nobody leads: ${states.join(", ")}; members are ${this.members.map(({ id }) => id).join(", ")}`,
      );
    }
    if (checker.violation !== null) return;
    const before = checker.writes;
    end += 1000 * Math.max(...this.sound.map(({ patienceMs }) => patienceMs));
    for (const process of this.sound) this.read(process);
    // One may be refused: a transfer of leadership is under way, or a leader that has just been deposed.
    const again = (): void => {
      if (checker.writes > before || schedule.now > end) return;
      if (this.waiting.length === 0) this.write();
      this.after(ELECTION_US, again);
    };
    this.write();
    this.after(ELECTION_US, again);
    const settled = await this.until(
      () => checker.writes > before && this.waiting.length === 0 && this.isLevel,
      end,
    );
    if (checker.violation !== null) return;
    if (settled) {
      checker.agree(this.sound);
      if (this.catchesUp && !hasSnapshots && this.plan.profile.spares === undefined)
        await new CatchUp(this).run();
      return;
    }
    const [call] = this.waiting;
    if (call !== undefined)
      checker.fail("settles", `${call.what}, asked at ${(call.at / 1000).toFixed(3)} ms, never ends`);
    else
      checker.fail(
        "liveness",
        `nodes stay apart: ${this.processes.map(({ applied }) => applied).join(", ")} applied`,
      );
  }

  /** Those that run and can be expected to do their part. */
  private get sound(): SimProcess[] {
    return this.members.filter((process) => process.runs && !process.isLame);
  }

  private get waiting(): Call[] {
    return this.members.flatMap(({ id }) => [...this.calls.get(id)!]);
  }

  private get isLevel(): boolean {
    const up = this.sound;
    return (
      this.isUp && up.every(({ applied }) => applied === up[0]!.applied && applied >= this.checker.acked)
    );
  }
}

/** The network's view of it, whatever life it is in. */
function portOf(process: SimProcess): Port {
  return {
    get link() {
      return process.link?.listens === true ? process.link : null;
    },
    enter: (lane, work) => process.enter(lane, work),
  };
}

const REAL_IMMEDIATE = globalThis.setImmediate;
