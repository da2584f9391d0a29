// A small network of RawNodes in memory for tests: delivers, drops, cuts and reorders by a seeded draw,
// restarts nodes from their storage, and checks the paper's safety properties (Figure 3) after every step.
import assert from "node:assert/strict";
import { Prng } from "../../src/base/prng.js";
import {
  type Config,
  type ConfState,
  describeMessage,
  EMPTY_CONF_STATE,
  type Entry,
  EntryConfChange,
  EntryNormal,
  isEmptyHardState,
  LocalAppendThread,
  LocalApplyThread,
  type Logger,
  MemoryStorage,
  type Message,
  RaftError,
  RawNode,
  type ReadState,
  StateLeader,
  unmarshalConfChange,
  unmarshalConfChangeV2,
} from "../../src/raft/index.js";
import { SlowStorage } from "./slow-storage.js";

export type ConfigOverrides = Partial<Omit<Config, "id" | "storage" | "random">>;

export interface NetworkOptions {
  readonly voters: readonly number[];
  readonly learners?: readonly number[];
  readonly seed?: number;
  readonly config?: ConfigOverrides;
  /** An empty one. Default: a MemoryStorage. */
  readonly storage?: () => MemoryStorage;
}

export function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

export function text(data: Uint8Array): string {
  return new TextDecoder().decode(data);
}

/**
 * A storage that starts as a snapshot at index 1, term 1 of this membership, so that no bootstrap is needed.
 */
export function newStorage(
  voters: readonly number[],
  learners: readonly number[] = [],
  storage = new MemoryStorage(),
): MemoryStorage {
  const confState: ConfState = { ...EMPTY_CONF_STATE, voters, learners };
  storage.applySnapshot({ data: bytes(""), metadata: { index: 1, term: 1, confState } });
  storage.setHardState({ term: 1, vote: 0, commit: 1 });
  return storage;
}

/** One member: its node, what it stored, and what it applied. */
export class Member {
  raw: RawNode;
  /** Applied entries, by index - 2 (index 1 is the initial snapshot); the state machine. */
  applied: Entry[] = [];
  readStates: ReadState[] = [];
  confState: ConfState | null = null;
  /** Async storage writes: work that waits for the storage threads. */
  readonly appendWork: Message[] = [];
  readonly applyWork: Message[] = [];
  readonly logger: Logger | null;

  constructor(
    readonly id: number,
    readonly network: Network,
    readonly storage: MemoryStorage,
  ) {
    this.logger = network.options.config?.logger ?? null;
    this.raw = this.build(storage.lastIndex());
  }

  build(applied: number): RawNode {
    return new RawNode({
      electionTick: 10,
      heartbeatTick: 1,
      maxSizePerMsg: 4096,
      maxInflightMsgs: 16,
      applied,
      ...this.network.options.config,
      id: this.id,
      storage: this.storage,
      random: (bound) => this.network.prng.below(bound),
    });
  }

  /**
   * Loses everything that is not in the storage. The applied state survives, as if it had been stored too.
   */
  restart(): void {
    this.appendWork.length = 0;
    this.applyWork.length = 0;
    const { commit } = this.storage.initialState().hardState;
    const applied = this.storage.lastIndex() === 0 ? 0 : Math.min(1 + this.applied.length, commit);
    this.applied.length = Math.max(0, applied - 1);
    this.raw = this.build(applied);
  }

  /** Takes one Ready; false if there is none. */
  handleReady(): boolean {
    if (!this.raw.hasReady()) return false;
    const rd = this.raw.ready();
    this.readStates.push(...rd.readStates);
    if (this.raw.asyncStorageWrites) {
      for (const m of rd.messages) {
        if (m.to === LocalAppendThread) this.appendWork.push(m);
        else if (m.to === LocalApplyThread) this.applyWork.push(m);
        else this.network.post(m);
      }
      return true;
    }
    if (!isEmptyHardState(rd.hardState)) this.storage.setHardState(rd.hardState);
    if (rd.snapshot !== null) assert.equal(this.storage.applySnapshot(rd.snapshot), null);
    this.storage.append(rd.entries);
    for (const m of rd.messages) this.network.post(m);
    this.apply(rd.committedEntries);
    this.raw.advance();
    return true;
  }

  /** One job of the append thread; false if it has none. */
  doAppend(): boolean {
    const m = this.appendWork.shift();
    if (m === undefined) return false;
    const hardState = { term: m.term, vote: m.vote, commit: m.commit };
    if (!isEmptyHardState(hardState)) this.storage.setHardState(hardState);
    if (m.snapshot !== null) assert.equal(this.storage.applySnapshot(m.snapshot), null);
    this.storage.append(m.entries);
    this.finish(m);
    return true;
  }

  /** One job of the apply thread; false if it has none. */
  doApply(): boolean {
    const m = this.applyWork.shift();
    if (m === undefined) return false;
    this.apply(m.entries);
    this.finish(m);
    return true;
  }

  /** One read of a storage that has to; false if it has none to do. */
  doRead(): boolean {
    const reader = this.storage instanceof SlowStorage ? this.storage.read() : undefined;
    if (reader === undefined) return false;
    this.raw.entriesRead(reader);
    return true;
  }

  private finish(m: Message): void {
    for (const response of m.responses) {
      // A node's own messages can't be lost.
      if (response.to === this.id) assert.equal(this.raw.step(response), null);
      else this.network.post(response);
    }
  }

  private apply(entries: readonly Entry[]): void {
    for (const e of entries) {
      const place = e.index - 2;
      if (place < this.applied.length) assert.equal(this.applied[place].term, e.term);
      else this.applied[place] = e;
      this.network.onApplied(this.id, e);
      if (e.type === EntryNormal) continue;
      const cc = e.type === EntryConfChange ? unmarshalConfChange(e.data) : unmarshalConfChangeV2(e.data);
      assert.ok(cc !== null);
      const confState = this.raw.applyConfChange(cc);
      if (!(confState instanceof RaftError)) this.confState = confState;
    }
  }

  /** Payloads of the normal entries applied, without the empty ones. */
  appliedTexts(): string[] {
    return this.applied.filter((e) => e.type === EntryNormal && e.data.length > 0).map((e) => text(e.data));
  }

  leads(): boolean {
    return this.raw.basicStatus().softState.raftState === StateLeader;
  }

  term(): number {
    return this.raw.basicStatus().hardState.term;
  }
}

export class Network {
  readonly members = new Map<number, Member>();
  readonly prng: Prng;
  /** In flight, oldest first. */
  queue: Message[] = [];
  /** Messages for which this is true are lost. */
  drops: (m: Message) => boolean = () => false;
  /** FNV-1a over everything delivered. */
  traceHash = 0x811c9dc5;
  private readonly leaders = new Map<number, number>();
  private readonly chosen = new Map<number, Entry>();

  constructor(readonly options: NetworkOptions) {
    this.prng = new Prng(options.seed ?? 1);
    for (const id of [...options.voters, ...(options.learners ?? [])]) {
      this.members.set(
        id,
        new Member(id, this, newStorage(options.voters, options.learners, options.storage?.())),
      );
    }
  }

  get(id: number): Member {
    const member = this.members.get(id);
    assert.ok(member !== undefined, `no member ${id}`);
    return member;
  }

  /** A member that is not in the membership yet, with an empty storage. */
  join(id: number): Member {
    const member = new Member(id, this, new MemoryStorage());
    this.members.set(id, member);
    return member;
  }

  raw(id: number): RawNode {
    return this.get(id).raw;
  }

  post(m: Message): void {
    this.queue.push(m);
  }

  /** Takes a message out of the queue and steps it, unless it is lost. */
  deliver(at = 0): void {
    const [m] = this.queue.splice(at, 1);
    if (m === undefined) return;
    const lost = this.drops(m) || !this.members.has(m.to);
    this.note(`${lost ? "x " : ""}${describeMessage(m)}`);
    if (lost) return;
    this.get(m.to).raw.step(m);
    this.check(m.to);
  }

  /** All work of a node that can be done now. */
  work(id: number): boolean {
    const member = this.get(id);
    let any = false;
    while (member.handleReady() || member.doAppend() || member.doApply() || member.doRead()) {
      any = true;
      this.check(id);
    }
    return any;
  }

  /** Until nothing is in flight and no node has work. */
  settle(): void {
    for (let round = 0; round < 10000; round++) {
      let any = false;
      for (const id of this.members.keys()) any = this.work(id) || any;
      const inFlight = this.queue.length;
      for (let i = 0; i < inFlight; i++) this.deliver();
      if (!any && inFlight === 0) return;
    }
    assert.fail("the network does not settle");
  }

  /** Ticks one node, or all, and settles. */
  tick(times = 1, id?: number): void {
    for (let i = 0; i < times; i++) {
      for (const member of this.members.values()) if (id === undefined || member.id === id) member.raw.tick();
      this.settle();
    }
  }

  elect(id: number): void {
    this.raw(id).campaign();
    this.settle();
    assert.ok(this.get(id).leads(), `${id} was not elected`);
  }

  propose(id: number, data: string): void {
    assert.equal(this.raw(id).propose(bytes(data)), null);
  }

  /** Nothing reaches or leaves these nodes. */
  isolate(...ids: number[]): void {
    this.drops = (m) => m.from !== m.to && (ids.includes(m.to) || ids.includes(m.from));
  }

  heal(): void {
    this.drops = () => false;
  }

  leader(): Member | null {
    let best: Member | null = null;
    for (const member of this.members.values()) {
      if (member.leads() && (best === null || member.term() > best.term())) best = member;
    }
    return best;
  }

  /**
   * One random event: mostly deliveries in any order, sometimes losses, doubles, ticks, proposals, restarts.
   */
  chaos(): void {
    const draw = this.prng.below(1000);
    const ids = [...this.members.keys()];
    const id = ids[this.prng.below(ids.length)];
    if (draw < 500) {
      if (this.queue.length > 0) this.deliver(this.prng.below(Math.min(this.queue.length, 8)));
    } else if (draw < 540) {
      this.queue.splice(0, Math.min(1, this.queue.length));
    } else if (draw < 570) {
      if (this.queue.length > 0) this.post(this.queue[this.prng.below(this.queue.length)]);
    } else if (draw < 800) {
      const member = this.get(id);
      if (!member.handleReady() && !member.doAppend() && !member.doApply()) member.doRead();
      this.check(id);
    } else if (draw < 900) {
      this.raw(id).tick();
    } else if (draw < 990) {
      this.raw(id).propose(bytes(`p${this.prng.below(1000000)}`));
    } else {
      this.get(id).restart();
    }
    if (this.queue.length > 500) this.queue.splice(0, 400);
  }

  onApplied(id: number, e: Entry): void {
    this.note(`${id} applies ${e.term}/${e.index}`);
    // State Machine Safety: no two members apply different entries at one index.
    const before = this.chosen.get(e.index);
    if (before === undefined) this.chosen.set(e.index, e);
    else {
      assert.equal(before.term, e.term, `index ${e.index} was applied with two terms`);
      assert.deepEqual(before.data, e.data, `index ${e.index} was applied with two payloads`);
    }
  }

  private check(id: number): void {
    const { hardState, softState } = this.raw(id).basicStatus();
    // Election Safety: at most one leader a term.
    if (softState.raftState !== StateLeader) return;
    const leader = this.leaders.get(hardState.term);
    assert.ok(leader === undefined || leader === id, `two leaders of term ${hardState.term}`);
    if (leader !== undefined) return;
    this.leaders.set(hardState.term, id);
    this.checkLeaderCompleteness(id);
  }

  /** Leader Completeness: a new leader has every entry that was committed before. */
  private checkLeaderCompleteness(id: number): void {
    const log = this.raw(id).raft.raftLog;
    for (const [index, e] of this.chosen) {
      if (index < log.firstIndex()) continue;
      assert.equal(log.term(index), e.term, `leader ${id} lacks the committed entry ${index}`);
    }
  }

  /** Log Matching: where two logs have an entry of the same index and term, they are equal up to there. */
  checkLogMatching(): void {
    const members = [...this.members.values()];
    for (const a of members) {
      for (const b of members) {
        const [left, right] = [a.raw.raft.raftLog, b.raw.raft.raftLog];
        let equal = false;
        for (let i = Math.min(left.lastIndex(), right.lastIndex()); i >= 2; i--) {
          if (left.term(i) === right.term(i)) equal = true;
          else assert.ok(!equal, `logs of ${a.id} and ${b.id} agree above ${i}, and differ there`);
        }
      }
    }
  }

  private note(line: string): void {
    let hash = this.traceHash;
    for (let i = 0; i < line.length; i++) hash = Math.imul(hash ^ line.charCodeAt(i), 0x01000193) >>> 0;
    this.traceHash = hash;
  }
}
