// One member of a simulated world: a RaftNode as users open it, in a process with a clock of its own rate and phase that
// can stand still, end at any operation on its disk, and start again from what the disk has. Times in microseconds.
import type { RaftmarkError } from "../../src/base/errors.js";
import type { CommittedEntry, Logger } from "../../src/node/api.js";
import type { Driver } from "../../src/node/driver.js";
import type { MemberBook } from "../../src/node/member-book.js";
import { RaftNode } from "../../src/node/raft-node.js";
import { resolveSizes, type Sizes } from "../../src/node/sizes.js";
import type { Entry, RawNode } from "../../src/raft/index.js";
import { StateLeader } from "../../src/raft/index.js";
import type { SnapshotStream, Wal } from "../../src/wal/index.js";
import type { Dice } from "./dice.js";
import { SimDisk, type SimFile } from "./disk.js";
import { DiskFs, type DiskOp, SIM_ROOT } from "./disk-fs.js";
import { enter, type Guest, SimTimer } from "./host.js";
import { Memories } from "./memories.js";
import { SimLink, type SimNetwork, type Span } from "./network.js";
import { Registers } from "./registers.js";
import type { Schedule } from "./schedule.js";
import type { Trace } from "./trace.js";

export const ELECTION_TICKS = 10;
export const TICK_MS = 10;
export const ELECTION_US = ELECTION_TICKS * TICK_MS * 1000;

/** A disk that answers sooner, whatever waits before it, is not silent. */
const SLOW_US = ELECTION_US / 50;
/** One that did so many operations within an election timeout is busy: a batch may go over many segments. */
const BUSY_OPS = 50;
/** Of a snapshot's ballast. */
const BALLAST_CHUNK = 1500;
/** What iterating over committed entries may end with because of the disk. */
const FOLLOW_ENDS = ["RAFT_FENCED", "WAL_CORRUPT"];

export interface ProcessPlan {
  readonly id: number;
  readonly voters: readonly number[];
  /** It is no member at first. */
  readonly joins?: boolean;
  readonly lease: boolean;
  readonly tickMs: number;
  readonly electionTicks: number;
  /** How fast its clock runs, in one that runs true. */
  readonly rate: number;
  readonly storageWrites: "async" | "sync";
  readonly durability: "o_direct" | "fdatasync";
  readonly writer: "inline-js" | "inline-wasm";
  readonly segmentBytes: number;
  readonly logCacheBytes: number;
  readonly maxFrameBytes: number;
  readonly maxInflightBytes: number;
  readonly maxQueuedBytes: number;
  readonly maxInflightMsgs: number;
  readonly leaderlessTimeoutMs: number;
  readonly requestTimeoutMs: number;
  /** What it is asked to write while another leads it sends there. */
  readonly forwards: boolean;
  /** How long its state machine may take for a call, in milliseconds; 0: it returns no promise. */
  readonly applyMs: number;
  /** Somebody iterates over what is committed, from the first entry on. */
  readonly isFollowed: boolean;
  /** Null: its state machine takes none. */
  readonly snapshots: SnapshotsPlan | null;
  /** Of a snapshot, besides the registers. */
  readonly ballastBytes: number;
}

/** When a node takes snapshots, and how much log it keeps; the options of those names. */
export interface SnapshotsPlan {
  readonly snapshotEveryBytes: number;
  readonly snapshotEveryEntries: number;
  readonly snapshotCatchUpBytes: number;
  readonly snapshotSendBytesPerS: number;
}

/** What happens in a process that its world has to know. */
export interface Witness {
  opened(process: SimProcess): void;
  applied(process: SimProcess, entries: readonly Entry[]): void;
  /** Its state machine has taken the state of the snapshot at `index`. */
  restored(process: SimProcess, index: number, term: number, state: string): void;
  /** It did not open, or fenced itself. */
  failed(process: SimProcess, error: RaftmarkError): void;
  /** It gave `entry` to whoever iterates over what is committed, behind the one at `last`; 0: as the first. */
  fed(process: SimProcess, last: number, entry: CommittedEntry): void;
  /** Its state machine was called before it was done with the call before. */
  overlaps(process: SimProcess): void;
  /** It ended at an operation on its disk. */
  ended(process: SimProcess): void;
  /** Its event runs, and what comes of it until the next event. */
  runs(process: SimProcess): void;
}

/** What is wrong with a disk now. */
export interface DiskTrouble {
  readonly delay: Span;
  /** Share of operations that fail, and how. */
  readonly failing: number;
  readonly code: "EIO" | "ENOSPC";
  /** Nothing is answered before. */
  hangsUntil: number;
}

export const HEALTHY: DiskTrouble = {
  delay: { from: 50, to: 500 },
  failing: 0,
  code: "EIO",
  hangsUntil: 0,
};

/** Thrown into a process that ended; nothing that it does then has an effect. */
class Ended extends Error {}
const ENDED = new Ended();

/** A RaftNode's parts, for checkers. */
export interface Parts {
  readonly rawNode: RawNode;
  readonly wal: Wal;
  readonly driver: Driver;
  readonly book: MemberBook;
  readonly forwarding: { readonly forwards: Asked };
}

/** Of Forwards: what it sent to a leader that has not answered; in ticks. */
interface Asked {
  readonly ticks: number;
  readonly requests: ReadonlyMap<number, { readonly proposals: readonly unknown[]; readonly dueAt: number }>;
}

interface Held {
  readonly lane: string;
  readonly work: () => void;
}

export class SimProcess {
  /** As it is started next. */
  plan: ProcessPlan;
  readonly disk = new SimDisk();
  trouble: DiskTrouble = HEALTHY;
  /** How often it was started. */
  life = 0;
  /** Null: it is not up, or still opening. */
  node: RaftNode | null = null;
  parts: Parts | null = null;
  link: SimLink | null = null;
  /** The state machine of this life. */
  registers = new Registers();
  /** Index of the snapshot that its state machine began with in this life, or took since; 0: none. */
  restoredAt = 0;
  /** Set forward or back by its operator. */
  wallOffsetMs = 0;
  /** Operations on the disk until the process ends; Infinity: it is not to. */
  opsLeft = Infinity;
  /** A sync or write failed: what the page cache has is not what the platter has, and only a restart of the machine helps. */
  private isCacheUntrue = false;
  /** It opened once, so that its log is there. */
  hasOpened = false;
  /** Its directory was emptied, or its disk does not answer any more: nobody asks anything of it. */
  isLame = false;
  /** Its directory was emptied: what it promised before it knows no more. */
  isWiped = false;
  /** How often it stood still. */
  pauses = 0;
  /** Operations on the disk in this life that took so long that they may be taken for a disk's silence. */
  slowOps = 0;
  /** When the last of them began. */
  private readonly opTimes: number[] = [];
  private guest: Guest | null = null;
  private stands = false;
  /** Since when its host sleeps; -1: it does not. How long it slept so far. */
  private sleepsSince = -1;
  private slept = 0;
  private held: Held[] = [];
  private immediateDue = 0;
  /** Its state machine has not done yet what it promised. */
  private isApplying = false;
  private readonly schedule: Schedule;
  private readonly dice: Dice;
  private readonly network: SimNetwork;
  private readonly witness: Witness;
  private readonly trace: Trace;

  constructor(
    plan: ProcessPlan,
    schedule: Schedule,
    dice: Dice,
    network: SimNetwork,
    witness: Witness,
    trace: Trace,
  ) {
    this.plan = plan;
    this.schedule = schedule;
    this.dice = dice;
    this.network = network;
    this.witness = witness;
    this.trace = trace;
  }

  /** What its options come to. */
  get sizes(): Sizes {
    const { maxFrameBytes, maxInflightBytes } = this.plan;
    return resolveSizes({ maxFrameBytes, maxInflightBytes });
  }

  /** Whether its disk, as far as it was asked anything, has answered everything at once. */
  get isDiskQuick(): boolean {
    const isBusy = this.opTimes.length === BUSY_OPS && this.schedule.now - this.opTimes[0]! < 2 * ELECTION_US;
    return this.slowOps === 0 && !isBusy;
  }

  get id(): number {
    return this.plan.id;
  }

  /** There is a process, opened or not. */
  get isUp(): boolean {
    return this.guest !== null;
  }

  get isPaused(): boolean {
    return this.stands;
  }

  /** It can be called. */
  get runs(): boolean {
    return this.node !== null && !this.stands;
  }

  /** It takes itself for the leader. */
  get leads(): boolean {
    return this.parts?.rawNode.raft.state === StateLeader;
  }

  /** For so long it may yet wait for the leader's answer to what it sent: a slow path has its time. */
  get patienceMs(): number {
    const { requests, ticks } = this.parts!.forwarding.forwards;
    const dues = [...requests.values()]
      .filter(({ proposals }) => proposals.length > 0)
      .map(({ dueAt }) => dueAt);
    return Math.max(0, ...dues.map((dueAt) => dueAt + 1 - ticks)) * this.plan.tickMs;
  }

  /** Who leads as far as it knows; 0: nobody. */
  get leader(): number {
    return this.parts?.rawNode.raft.lead ?? 0;
  }

  get applied(): number {
    return this.parts?.driver.applied ?? 0;
  }

  // ---- its life

  start(): void {
    if (this.isUp) return;
    const { plan, witness } = this;
    const life = ++this.life;
    this.isApplying = false;
    this.slowOps = 0;
    this.guest = this.newGuest(life);
    const lives = (): boolean => this.life === life && this.guest !== null;
    const link = new SimLink(this.network, plan.id, plan.voters, this.sizes, lives);
    this.link = link;
    const registers = new Registers();
    this.registers = registers;
    this.restoredAt = 0;
    const apply = (entries: readonly Entry[]): number[] | undefined => {
      if (!lives()) return undefined;
      witness.applied(this, entries);
      return registers.apply(entries);
    };
    const { id, voters } = plan;
    const seed = this.dice.below(2 ** 32);
    this.enter("start", () => {
      RaftNode.open({
        id,
        dir: `${SIM_ROOT}/data`,
        listen: `node${id}:1`,
        peers: Object.fromEntries(voters.map((voter) => [voter, `node${voter}:1`])),
        secret: "simulated",
        initialClusterState: plan.joins === true ? "existing" : "new",
        stateMachine: {
          apply: (entries) => (this.takesTime() ? this.applyLater(() => apply(entries)) : apply(entries)),
          ...(plan.snapshots === null ? {} : this.snapshotMethods(registers, lives)),
        },
        ...plan.snapshots,
        tickMs: plan.tickMs,
        electionTicks: plan.electionTicks,
        seed,
        link,
        readOnly: plan.lease ? "lease" : "safe",
        storageWrites: plan.storageWrites,
        durability: plan.durability,
        writer: plan.writer,
        segmentBytes: plan.segmentBytes,
        logCacheBytes: plan.logCacheBytes,
        maxFrameBytes: plan.maxFrameBytes,
        maxInflightBytes: plan.maxInflightBytes,
        maxQueuedBytes: plan.maxQueuedBytes,
        maxInflightMsgs: plan.maxInflightMsgs,
        forwardProposals: plan.forwards,
        leaderlessTimeoutMs: plan.leaderlessTimeoutMs,
        requestTimeoutMs: plan.requestTimeoutMs,
        logger: this.logger,
      }).then(
        (node) => {
          if (!lives()) return;
          this.node = node;
          this.hasOpened = true;
          this.parts = node as unknown as Parts;
          node.onFault = (error) => {
            if (lives()) witness.failed(this, error);
          };
          witness.opened(this);
          if (plan.isFollowed) void this.follow(node, lives);
        },
        (error: RaftmarkError) => {
          if (lives()) witness.failed(this, error);
        },
      );
    });
  }

  /** As users write them: the state is copied before the first chunk has resolved, and put together from all chunks. */
  private snapshotMethods(registers: Registers, lives: () => boolean) {
    const { plan, witness } = this;
    return {
      snapshot: async function* (this: void): AsyncGenerator<Uint8Array> {
        const state = Buffer.from(`${registers.text};`);
        yield state;
        for (let left = plan.ballastBytes; left > 0; left -= BALLAST_CHUNK) {
          yield Buffer.alloc(Math.min(left, BALLAST_CHUNK), state);
        }
      },
      restore: async (stream: SnapshotStream): Promise<void> => {
        if (this.isApplying) witness.overlaps(this);
        const chunks: Uint8Array[] = [];
        for await (const chunk of stream) chunks.push(chunk);
        if (!lives()) return;
        const text = Buffer.concat(chunks).toString("latin1");
        registers.text = text.slice(0, text.indexOf(";"));
        const { index, term } = stream.metadata;
        this.restoredAt = index;
        witness.restored(this, index, term, registers.text);
      },
    };
  }

  private async follow(node: RaftNode, lives: () => boolean): Promise<void> {
    let last = 0;
    try {
      for await (const entry of node.committed({ from: 1 })) {
        if (!lives()) return;
        this.witness.fed(this, last, entry);
        last = entry.index;
      }
    } catch (error) {
      // Its disk is to blame, and that is told elsewhere.
      const { code } = error as RaftmarkError;
      const isCut = this.plan.snapshots !== null && code === "RAFT_COMPACTED";
      if (lives() && !FOLLOW_ENDS.includes(code) && !isCut) throw error;
    }
  }

  private takesTime(): boolean {
    if (this.isApplying) this.witness.overlaps(this);
    return this.plan.applyMs > 0 && this.dice.chance(0.7);
  }

  /** A state machine that does it later: until then the entries are its own. */
  private applyLater<T>(apply: () => T): Promise<T> {
    const { life } = this;
    this.isApplying = true;
    return new Promise((resolve) => {
      setTimeout(
        () => {
          if (life === this.life) this.isApplying = false;
          resolve(apply());
        },
        this.dice.between(0, this.plan.applyMs),
      );
    });
  }

  /** The process ends at once, of itself or with its machine: what its callers wait for never comes. */
  crash(powerLoss: boolean): void {
    if (!this.isUp) return;
    const isMachine = powerLoss || this.isCacheUntrue;
    this.isCacheUntrue = false;
    this.trace.note(this.id, isMachine ? "loses power" : "is killed");
    this.guest!.memories.leave();
    this.guest = null;
    this.node = null;
    this.parts = null;
    this.link = null;
    this.stands = false;
    this.wake();
    this.held = [];
    this.opsLeft = Infinity;
    if (isMachine) this.disk.powerLoss(this.dice);
    this.network.left(this.id);
  }

  /** The world is over. */
  end(): void {
    this.guest?.memories.leave();
  }

  /** No tick, no frame, no turn, no answer of the disk until `resume`. Its clock goes on. */
  pause(): void {
    if (!this.isUp) return;
    this.trace.note(this.id, "stands still");
    this.stands = true;
    this.pauses++;
  }

  /** As pause(), for its whole host: the wall clock alone goes on. */
  suspend(): void {
    if (!this.isUp || this.stands) return;
    this.pause();
    this.trace.note(this.id, "is suspended with its host");
    this.sleepsSince = this.schedule.now;
  }

  /** Opening a file fails until `enough` again, unless another is closed for it. */
  exhaustDescriptors(on: boolean): void {
    this.guest?.fs.exhaustDescriptors(on);
  }

  private wake(): void {
    if (this.sleepsSince >= 0) this.slept += this.schedule.now - this.sleepsSince;
    this.sleepsSince = -1;
  }

  /** What came meanwhile comes now: what came one way in its order, one way before or after the other. */
  resume(): void {
    if (!this.stands) return;
    this.trace.note(this.id, "goes on");
    this.stands = false;
    this.wake();
    const { life } = this;
    const delays = new Map<string, number>();
    for (const { lane, work } of this.held.splice(0)) {
      const before = delays.get(lane) ?? this.dice.below(500);
      const delay = before + this.dice.below(50);
      delays.set(lane, delay);
      // What asks for a turn from now on gets a later one.
      if (lane === "turn") this.immediateDue = Math.max(this.immediateDue, this.schedule.now + delay);
      this.schedule.after(delay, () => this.inside(life, lane, work));
    }
  }

  // ---- its events

  /** Work from outside (a frame, a caller): an event of its own, held while it stands still, dropped if it ended. */
  enter(lane: string, work: () => void): void {
    const { life } = this;
    this.schedule.after(0, () => this.inside(life, lane, work));
  }

  private inside(life: number, lane: string, work: () => void): void {
    const { guest } = this;
    if (guest === null || life !== this.life) return;
    if (this.stands) {
      this.held.push({ lane, work });
      return;
    }
    this.trace.event(this.id, lane);
    this.witness.runs(this);
    enter(guest);
    try {
      work();
    } catch (error) {
      if (!(error instanceof Ended)) throw error;
    }
  }

  private get logger(): Logger {
    const note = (_fields: object, message: string): void => this.trace.note(this.id, message);
    return { debug: note, info: note, warn: note, error: note };
  }

  private newGuest(life: number): Guest {
    const { dice, schedule, plan } = this;
    // Clocks have begun at different times.
    const began = dice.below(1_000_000);
    return {
      pid: plan.id * 1_000_000 + life,
      fs: new DiskFs(this.disk, this.diskHost(life)),
      monotonicMs: () => began + ((schedule.now - this.slept) * plan.rate) / 1000,
      wallMs: () => Math.floor(1e12 + this.wallOffsetMs + (schedule.now * plan.rate) / 1000),
      immediate: (run) => {
        if (life !== this.life || this.guest === null) return;
        this.immediateDue = Math.max(this.immediateDue, schedule.now + 1 + dice.below(20));
        schedule.after(this.immediateDue - schedule.now, () => this.inside(life, "turn", run));
      },
      timer: (delayMs, repeat, run) => {
        const timer = new SimTimer();
        const arm = (): void => {
          const late = dice.chance(0.1) ? dice.below(900) : dice.below(20);
          const delay = Math.ceil((delayMs * (1000 + late)) / plan.rate);
          schedule.after(delay, () => {
            if (timer.cancelled) return;
            this.inside(life, "clock", () => {
              if (timer.cancelled) return;
              if (repeat) arm();
              run();
            });
          });
        };
        arm();
        return timer;
      },
      randomBytes: (size) => {
        const bytes = Buffer.alloc(size);
        for (let at = 0; at < size; at++) bytes[at] = dice.below(256);
        return bytes;
      },
      memories: new Memories(),
      lives: (pid) => pid === plan.id * 1_000_000 + this.life && this.isUp,
    };
  }

  private diskHost(life: number) {
    const { dice, schedule } = this;
    return {
      touch: (_op: DiskOp): void => {
        if (life !== this.life || this.guest === null) throw ENDED;
        if (--this.opsLeft >= 0) return;
        this.opsLeft = Infinity;
        this.witness.ended(this);
        throw ENDED;
      },
      fails: (op: DiskOp) => {
        const { failing, code } = this.trouble;
        if (failing === 0 || !dice.chance(failing)) return null;
        return code === "ENOSPC" && op !== "write" ? null : code;
      },
      later: (op: DiskOp, done: () => void): void => {
        const { delay, hangsUntil } = this.trouble;
        const taken = Math.floor(dice.between(delay.from, delay.to)) * (op === "read" ? 0.2 : 1);
        this.trace.disk(this.id, op);
        const due = Math.max(Math.floor(taken), hangsUntil - schedule.now);
        if (due > SLOW_US) this.slowOps++;
        this.opTimes.push(schedule.now);
        if (this.opTimes.length > BUSY_OPS) this.opTimes.shift();
        // Whenever "never" is.
        if (due < Infinity) schedule.after(due, () => this.inside(life, "disk", done));
      },
      failSync: (file: SimFile): void => {
        this.isCacheUntrue = true;
        file.failSync(dice);
      },
    };
  }
}
