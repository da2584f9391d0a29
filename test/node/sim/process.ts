// One member of a simulated world: a node put together as RaftNode does it, in a process that can stand still, end and
// start again from its disk, with a clock of its own rate and phase.

import type { Dice } from "../../../bench/sim/dice.js";
import type { Schedule } from "../../../bench/sim/schedule.js";
import { Driver } from "../../../src/node/driver.js";
import { Proposals } from "../../../src/node/proposals.js";
import { Reads } from "../../../src/node/reads.js";
import {
  type Entry,
  RawNode,
  ReadOnlyLeaseBased,
  ReadOnlySafe,
  StateLeader,
} from "../../../src/raft/index.js";
import { EMPTY_CONF_STATE } from "../../../src/raft/raftpb/index.js";
import { MemoryDisk, MemoryWal } from "./memory-wal.js";
import type { Delay, SimNetwork } from "./network.js";

export const ELECTION_TICKS = 10;
const MiB = 1 << 20;

export interface ProcessPlan {
  readonly id: number;
  readonly voters: readonly number[];
  readonly lease: boolean;
  /** Its ticks, and its clock, in one of the world's. */
  readonly rate: number;
  /** Storage writes on the side, or one Ready after the other (RaftNodeOptions.storageWrites). */
  readonly isAsync: boolean;
  /** Ticks after which what waits is given up (RaftNodeOptions). */
  readonly leaderlessTicks: number;
  readonly timeoutTicks: number;
}

/** What a world's checker is told. */
export interface Witness {
  applied(id: number, entries: readonly Entry[]): void;
  fault(id: number, error: Error): void;
}

/** The parts of a running node. */
interface Node {
  readonly rawNode: RawNode;
  readonly wal: MemoryWal;
  readonly driver: Driver;
  readonly proposals: Proposals;
  readonly reads: Reads;
}

export class SimProcess {
  readonly plan: ProcessPlan;
  readonly disk = new MemoryDisk();
  /** Ticks the disk takes for a group commit. */
  diskDelay: Delay = { from: 0.01, to: 0.1 };
  /** How often it was started. */
  incarnation = 0;
  private node: Node | null = null;
  private stands = false;
  /** What came while it stood still, by where it came from. */
  private held: { lane: string; work: () => void }[] = [];
  private readonly schedule: Schedule;
  private readonly dice: Dice;
  private readonly network: SimNetwork;
  private readonly witness: Witness;

  constructor(plan: ProcessPlan, schedule: Schedule, dice: Dice, network: SimNetwork, witness: Witness) {
    this.plan = plan;
    this.schedule = schedule;
    this.dice = dice;
    this.network = network;
    this.witness = witness;
  }

  get id(): number {
    return this.plan.id;
  }

  get isUp(): boolean {
    return this.node !== null;
  }

  get isPaused(): boolean {
    return this.stands;
  }

  get runs(): boolean {
    return this.isUp && !this.stands;
  }

  get applied(): number {
    return this.node?.driver.applied ?? 0;
  }

  /** It takes itself for the leader. */
  get leads(): boolean {
    return this.node?.rawNode.raft.state === StateLeader;
  }

  /** Who leads as far as it knows; 0: nobody. */
  get leader(): number {
    return this.node?.rawNode.raft.lead ?? 0;
  }

  get term(): number {
    return this.node?.rawNode.raft.term ?? 0;
  }

  /** It leads, and has committed in its term. */
  get isReady(): boolean {
    return this.leads && this.node!.rawNode.raft.committedEntryInCurrentTerm();
  }

  start(): void {
    const { id, voters, lease, isAsync, rate, leaderlessTicks, timeoutTicks } = this.plan;
    const life = ++this.incarnation;
    const { dice, network } = this;
    const confState = { ...EMPTY_CONF_STATE, voters };
    const clock = () => this.schedule.now * rate;
    const wal = new MemoryWal(this.disk, confState, clock, (done) => {
      const { from, to } = this.diskDelay;
      this.schedule.after(dice.between(from, to), () => this.enterLife(life, "disk", done));
    });
    const rawNode = new RawNode({
      id,
      electionTick: ELECTION_TICKS,
      heartbeatTick: 1,
      storage: wal.storage,
      maxSizePerMsg: MiB,
      maxInflightMsgs: 256,
      asyncStorageWrites: true,
      mayHavePromised: !wal.recovered.created,
      elapsedTicks: clock,
      readOnlyOption: lease ? ReadOnlyLeaseBased : ReadOnlySafe,
      preVote: true,
      checkQuorum: true,
      disableProposalForwarding: true,
      random: (bound) => dice.below(bound),
    });
    const limits = { leaderlessTicks, timeoutTicks };
    const queue = { maxProposalBytes: MiB, maxQueuedProposals: 1000, maxQueuedBytes: MiB };
    const proposals = new Proposals({ ...queue, ...limits });
    const reads = new Reads(id, { retryTicks: ELECTION_TICKS, ...limits });
    const link = network.link(id);
    const driver = new Driver({
      group: 0,
      id,
      rawNode,
      wal,
      link,
      stateMachine: {
        apply: (entries) => {
          this.witness.applied(id, entries);
          return undefined;
        },
      },
      proposals,
      reads,
      proposalBatchBytes: MiB,
      maxBacklogBytes: MiB,
      waitsForStorage: !isAsync,
      // Its unit here is the tick, as everywhere.
      diskTimeoutMs: ELECTION_TICKS,
      onDisk: () => {},
      onFault: (error) => this.witness.fault(id, (error.cause as Error | undefined) ?? error),
      trace: null,
    });
    this.node = { rawNode, wal, driver, proposals, reads };
    this.inside(() => {
      void link.start({
        onMessages: (_group, _from, messages) => driver.messages(messages),
        onUnreachable: (peer) => driver.control((raw) => raw.reportUnreachable(peer)),
        onPeer: () => {},
      });
      driver.wake();
    });
    this.clock(life, this.schedule.now + dice.share() / this.plan.rate);
  }

  /** Ticks at `due` or a little later, and so on: as a timer that is rearmed from when it was due. */
  private clock(life: number, due: number): void {
    const { schedule, dice } = this;
    const period = 1 / this.plan.rate;
    const late = dice.chance(0.1) ? dice.between(0, 0.9 * period) : dice.between(0, 0.02 * period);
    schedule.after(Math.max(0, due + late - schedule.now), () =>
      this.enterLife(life, "clock", () => {
        const wasHeld = schedule.now > due + period;
        this.node!.driver.tick();
        this.clock(life, (wasHeld ? schedule.now : due) + period);
      }),
    );
  }

  /** The process ends at once: what its callers wait for never comes. */
  crash(): void {
    if (this.node === null) return;
    this.node.driver.stop();
    this.node.wal.crash(this.dice.chance(0.5) ? 0 : this.dice.share());
    this.node = null;
    this.stands = false;
    this.held = [];
  }

  /** No tick, no frame, no turn, no answer of the disk until `resume`. Its clock goes on. */
  pause(): void {
    this.stands = true;
  }

  /** What came meanwhile comes now: what came one way in its order, one way before or after the other. */
  resume(): void {
    if (!this.stands) return;
    this.stands = false;
    const { dice, schedule } = this;
    const delays = new Map<string, number>();
    const life = this.incarnation;
    for (const { lane, work } of this.held.splice(0)) {
      const before = delays.get(lane) ?? dice.between(0, 0.05);
      const delay = before + dice.between(0, 0.005);
      delays.set(lane, delay);
      schedule.after(delay, () => this.enterLife(life, lane, work));
    }
  }

  /** Work from outside (a frame, a caller): done now, when the process goes on, or never if there is none. */
  enter(lane: string, work: () => void): void {
    this.enterLife(this.incarnation, lane, work);
  }

  private enterLife(life: number, lane: string, work: () => void): void {
    if (this.node === null || life !== this.incarnation) return;
    if (this.stands) this.held.push({ lane, work });
    else this.inside(work);
  }

  /** Runs the node's code; turns of the event loop that it asks for are the world's. */
  private inside(work: () => void): void {
    const real = globalThis.setImmediate;
    const life = this.incarnation;
    const ours = (run: () => void) => {
      this.schedule.after(this.dice.between(0, 0.002), () => this.enterLife(life, "turn", run));
    };
    globalThis.setImmediate = ours as unknown as typeof setImmediate;
    try {
      work();
    } finally {
      globalThis.setImmediate = real;
    }
  }

  /** A call of readBarrier(); only inside `enter`. */
  readBarrier(): Promise<void> {
    this.node!.driver.wake();
    return this.node!.reads.add();
  }

  /** A call of propose(); only inside `enter`. */
  propose(data: Uint8Array): Promise<{ index: number; term: number }> {
    this.node!.driver.wake();
    return this.node!.proposals.add(data);
  }

  campaign(): void {
    this.enter("client", () => this.node!.driver.campaign());
  }

  transferLeadership(to: number): void {
    this.enter("client", () => this.node!.driver.control((rawNode) => rawNode.transferLeader(to)));
  }
}
