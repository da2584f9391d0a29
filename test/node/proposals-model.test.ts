// Calls of propose() and proposeMany() at once, over changes of leaders, against a model that knows nothing of runs: each
// entry goes its own way, and a call has its outcome when each of its entries has one.
import assert from "node:assert/strict";
import { test } from "node:test";
import { bytePoolTesting } from "../../src/base/byte-pool.js";
import { RaftmarkError } from "../../src/base/errors.js";
import { Prng } from "../../src/base/prng.js";
import type { Proposed } from "../../src/index.js";
import type { Proposal } from "../../src/node/proposal.js";
import { Proposals } from "../../src/node/proposals.js";
import { Entry, EntryNormal } from "../../src/raft/index.js";
import { seedOf } from "../seed.js";
import { isBehind, ModelCall, type ModelItem } from "./call-model.js";

const STEPS = 6000;
const OVERHEAD_BYTES = 10;
const LIMITS = {
  maxProposalBytes: 1 << 20,
  maxQueuedProposals: 120,
  maxQueuedBytes: 300_000,
  leaderlessTicks: 5,
  timeoutTicks: 12,
};

interface Item extends ModelItem {
  readonly call: ModelCall<Item>;
  readonly bytes: Uint8Array;
  readonly since: number;
}

interface Logged {
  readonly term: number;
  readonly bytes: Uint8Array;
}

/** One node: what it proposed, and the log that wins, which may become another one behind what is applied. */
class World {
  readonly prng: Prng;
  readonly proposals = new Proposals(LIMITS);
  calls: ModelCall<Item>[] = [];
  waiting: Item[] = [];
  appended: Item[] = [];
  request: { readonly proposals: Proposal[]; readonly items: Item[] } | null = null;
  log: Logged[] = [];
  /** Another log, which may win later. */
  other: Logged[] = [];
  applied = 0;
  term = 1;
  leads = false;
  ticks = 0;
  leaderlessTicks = 0;
  made = 0;
  readonly seen: Record<string, number> = {};

  constructor(seed: number) {
    this.prng = new Prng(seed);
  }

  private payload(): Uint8Array {
    const { prng } = this;
    const kind = prng.below(40);
    const size = kind === 0 ? 9000 : kind < 4 ? 1 + prng.below(6000) : 1 + prng.below(150);
    return new Uint8Array(size).fill(++this.made);
  }

  propose(): void {
    const { prng, proposals } = this;
    const isMany = prng.below(2) === 0;
    const call = new ModelCall<Item>();
    const batch = Array.from({ length: isMany ? 1 + prng.below(30) : 1 }, () => this.payload());
    const bytes = batch.reduce((sum, { length }) => sum + length, 0);
    const queued = this.waiting.reduce((sum, item) => sum + item.bytes.length, 0);
    const isFull =
      this.waiting.length + batch.length > LIMITS.maxQueuedProposals ||
      queued + bytes > LIMITS.maxQueuedBytes;
    for (const one of batch)
      call.items.push({ call, bytes: one.slice(), since: this.ticks, term: 0, index: 0, outcome: "" });
    if (isFull) this.reject(call.items, "RAFT_OVERLOADED", false);
    else this.waiting.push(...call.items);
    const options = prng.below(3) === 0 ? { signal: call.controller.signal } : {};
    const promise: Promise<readonly Proposed[]> = isMany
      ? proposals.addMany(batch, options)
      : proposals.add(batch[0]!, prng.below(2) === 0 ? options : undefined).then((one) => [one]);
    for (const one of batch) one.fill(0xee);
    call.hear(promise);
    this.calls.push(call);
  }

  private reject(items: readonly Item[], code: RaftmarkError["code"], mayCommit: boolean): void {
    for (const item of items) item.call.reject(item, code, mayCommit);
  }

  private others(): Logged {
    return { term: this.term, bytes: Uint8Array.of(0) };
  }

  /** Another node leads, or this one; its log may lack what is not applied, or be the one that was thought to be lost. */
  elect(): void {
    const { prng } = this;
    this.term += 1 + prng.below(2);
    this.leads = prng.below(2) === 0;
    const before = this.log;
    const isOther = prng.below(2) === 0 && this.other.length >= this.applied;
    this.log = isOther
      ? this.other
      : before.slice(0, this.applied + prng.below(before.length - this.applied + 1));
    if (isOther || prng.below(2) === 0) this.other = before;
    this.log = [...this.log, this.others()];
    for (let i = prng.below(3); i > 0 && !this.leads; i--) this.log.push(this.others());
  }

  /** Of what a batch may hold: often what some entries have to the byte. */
  private someBytes(overheadBytes: number): number {
    const { prng, waiting } = this;
    if (prng.below(2) === 0) return [1, 200, 2000, 20_000, Number.POSITIVE_INFINITY][prng.below(5)]!;
    const items = waiting.slice(0, prng.below(waiting.length + 1));
    return items.reduce((sum, { bytes }) => sum + bytes.length + overheadBytes, 0);
  }

  append(): void {
    const { prng, proposals, term } = this;
    if (!this.leads || this.waiting.length === 0) return;
    const bytesMax = this.someBytes(0);
    // The leader's guess is wrong now and then.
    const first = this.log.length + 1;
    const entries = proposals.nextBatch(bytesMax, term, first);
    const items = this.waiting.splice(0, fitting(this.waiting, bytesMax, 0));
    assert.deepEqual(
      entries.map(({ index, data }) => [index, Buffer.from(data).toString("base64")]),
      items.map(({ bytes }, i) => [first + i, Buffer.from(bytes).toString("base64")]),
    );
    if (prng.below(20) === 0) {
      proposals.refuseWaiting(new RaftmarkError("RAFT_PROPOSAL_DROPPED", "not now"));
      this.reject([...items, ...this.waiting.splice(0)], "RAFT_PROPOSAL_DROPPED", false);
      return;
    }
    proposals.appendedAt(term, first, entries.length);
    for (const [i, item] of items.entries()) {
      Object.assign(item, { term, index: first + i });
      this.log.push({ term, bytes: entries[i]!.data });
      assert.equal(entries[i]!.term, term);
    }
    this.appended.push(...items);
  }

  /** A batch goes to the leader, or comes back. */
  forward(): void {
    const { prng, proposals } = this;
    if (this.request === null) {
      if (this.waiting.length === 0) return;
      const bytesMax = this.someBytes(OVERHEAD_BYTES);
      const taken = proposals.take(bytesMax, OVERHEAD_BYTES);
      const items = this.waiting.splice(0, fitting(this.waiting, bytesMax, OVERHEAD_BYTES));
      this.request = { proposals: taken, items };
      return;
    }
    const { proposals: taken, items } = this.request;
    this.request = null;
    if (prng.below(2) === 0) {
      proposals.giveBack(taken);
      this.waiting.unshift(...items.filter(({ outcome }) => outcome === ""));
      return;
    }
    // The leader has them in its log, and this node applies some of them there before it gives up the rest.
    let done = prng.below(items.length + 1);
    for (const [i, item] of items.entries())
      if (i < done && item.outcome === "") item.outcome = `${this.term}/${1000 + i} ours`;
    this.reject(items, "RAFT_LEADERSHIP_LOST", true);
    let place = 0;
    for (const proposal of taken) {
      Object.assign(proposal, { term: this.term, index: 1000 + place });
      for (let left = proposal.count; left > 0; left--, done--, place++)
        if (done > 0)
          proposals.resolveFirst(proposal, { term: this.term, index: 1000 + place, result: "ours" });
        else if (!proposal.settled)
          proposals.rejectOne(proposal, new RaftmarkError("RAFT_LEADERSHIP_LOST", "", { mayCommit: true }));
    }
  }

  apply(): void {
    for (let left = this.prng.below(40); left > 0 && this.applied < this.log.length; left--) {
      const { term, bytes } = this.log[this.applied++]!;
      const index = this.applied;
      while (this.appended.length > 0 && !isBehind(this.appended[0]!, term, index)) {
        const item = this.appended.shift()!;
        if (item.term < term) this.reject([item], "RAFT_PROPOSAL_DROPPED", false);
        else {
          assert.equal(item.index, index);
          assert.deepEqual(bytes, item.bytes);
          if (item.outcome === "") item.outcome = `${term}/${index} r${index}`;
        }
      }
      this.proposals.applied(new Entry(EntryNormal, term, index, bytes), `r${index}`);
    }
  }

  skip(): void {
    const ahead = this.log.length - this.applied;
    if (ahead === 0) return;
    this.applied += 1 + this.prng.below(ahead);
    const last = { index: this.applied, term: this.log[this.applied - 1]!.term };
    this.proposals.skippedTo(last);
    const rest = this.appended;
    this.appended = rest.filter(({ index, term }) => index > last.index && term >= last.term);
    for (const item of rest) {
      if (item.index <= last.index) this.reject([item], "RAFT_LEADERSHIP_LOST", true);
      else if (item.term < last.term) this.reject([item], "RAFT_PROPOSAL_DROPPED", false);
    }
  }

  tick(): void {
    this.ticks++;
    this.leaderlessTicks = this.leads ? 0 : this.leaderlessTicks + 1;
    this.proposals.tick(this.leads);
    const isDeposed = this.leaderlessTicks > LIMITS.leaderlessTicks;
    const isLate = (item: Item | undefined) =>
      item !== undefined && this.ticks - item.since > LIMITS.timeoutTicks;
    while (this.appended.length > 0 && (isDeposed || isLate(this.appended[0])))
      this.reject([this.appended.shift()!], isDeposed ? "RAFT_LEADERSHIP_LOST" : "RAFT_TIMEOUT", true);
    while (isLate(this.waiting[0])) this.reject([this.waiting.shift()!], "RAFT_TIMEOUT", false);
  }

  /** The model's part comes first: what the call says of an entry depends on where that is. */
  abort(): void {
    const { calls, prng } = this;
    if (calls.length === 0) return;
    const { items, controller } = calls[prng.below(calls.length)]!;
    if (!this.hasSignal(controller.signal)) return;
    for (const item of items) this.reject([item], "RAFT_ABORTED", !this.waiting.includes(item));
    this.waiting = this.waiting.filter(({ outcome }) => outcome === "");
    controller.abort();
  }

  private hasSignal(signal: AbortSignal): boolean {
    const { calls, batchCalls } = this.proposals as unknown as Record<
      string,
      { aborts: { watches: Map<AbortSignal, unknown> } }
    >;
    return calls!.aborts.watches.has(signal) || batchCalls!.aborts.watches.has(signal);
  }

  end(): void {
    this.proposals.end(new RaftmarkError("RAFT_CLOSED", "closed"));
    this.reject(this.waiting.splice(0), "RAFT_CLOSED", false);
    this.reject(this.appended.splice(0), "RAFT_CLOSED", true);
  }

  step(): void {
    const { prng } = this;
    const kind = prng.below(100);
    if (kind < 30) this.propose();
    else if (kind < 55) this.append();
    else if (kind < 75) this.apply();
    else if (kind < 80) this.forward();
    else if (kind < 84) this.elect();
    else if (kind < 92) this.tick();
    else if (kind < 98) this.abort();
    else this.skip();
  }

  /** What callers were told, and what is counted, is what the model has. */
  check(): void {
    for (const call of this.calls) call.check(this.seen);
    this.calls = this.calls.filter(({ told }) => told === "");
    const open = this.calls.flatMap(({ items }) => items.filter(({ outcome }) => outcome === ""));
    assert.equal(this.proposals.waitingCount, this.waiting.length);
    assert.equal(this.proposals.openCount, open.length);
  }
}

/** How many of the first items a batch takes: at least one. */
function fitting(items: readonly Item[], bytesMax: number, overheadBytes: number): number {
  let bytes = 0;
  const over = items.findIndex((item) => {
    bytes += item.bytes.length + overheadBytes;
    return bytes > bytesMax;
  });
  return over === -1 ? items.length : Math.max(1, over);
}

test("each call has the outcome that its entries have one by one, whatever becomes of the leader and of parts of it", async (t) => {
  const seed = seedOf(t, import.meta.url);
  bytePoolTesting.poison = true;
  t.after(() => {
    bytePoolTesting.poison = false;
  });
  const world = new World(seed);
  for (let step = 0; step < STEPS; step++) {
    world.step();
    await new Promise((resolve) => setImmediate(resolve));
    world.check();
  }
  if (world.request !== null) world.forward();
  world.end();
  await new Promise((resolve) => setImmediate(resolve));
  world.check();
  assert.equal(world.proposals.openCount, 0);
  t.diagnostic(JSON.stringify(world.seen));
});
