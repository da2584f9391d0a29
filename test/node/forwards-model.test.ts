// Calls of propose() and proposeMany() on a node that does not lead, over answers that come late or never and changes of
// leaders, against a model in which each entry goes its own way.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Prng } from "../../src/base/prng.js";
import type { Proposed } from "../../src/index.js";
import {
  accepted,
  NotLeading,
  Overloaded,
  refused,
  sequenceIn,
  TooLarge,
} from "../../src/node/forward-wire.js";
import { Forwards } from "../../src/node/forwards.js";
import { Proposals } from "../../src/node/proposals.js";
import { Entry, EntryNormal, type Message, type RawNode, StateFollower } from "../../src/raft/index.js";
import { seedOf } from "../seed.js";
import { isBehind, ModelCall, type ModelItem } from "./call-model.js";

const STEPS = 6000;
const NEVER = 1e9;
const GRACE_TICKS = 5;

interface Item extends ModelItem {
  readonly number: number;
  readonly call: ModelCall<Item>;
  /** In a request that is not answered, or in a log. */
  isSent: boolean;
}

/** Node 1. Nodes 2 and 3 lead in turn, and what they have in their log may be lost as long as it is not applied here. */
class World {
  readonly prng: Prng;
  readonly proposals = new Proposals({
    maxProposalBytes: 1000,
    maxQueuedProposals: 1000,
    maxQueuedBytes: 1e6,
    leaderlessTicks: NEVER,
    timeoutTicks: NEVER,
  });
  readonly forwards: Forwards;
  readonly posted: Message[] = [];
  /** On their way to the leader, and their answers. */
  messages: Message[] = [];
  answers: { readonly answer: Message; readonly items: readonly Item[] }[] = [];
  readonly requests = new Map<number, { readonly items: readonly Item[]; dueAt: number }>();
  readonly items = new Map<number, Item>();
  calls: ModelCall<Item>[] = [];
  placed: Item[] = [];
  log: { readonly term: number; readonly number: number }[] = [{ term: 1, number: 0 }];
  applied = 1;
  /** What is known of the log begins here. */
  snapshot = 1;
  /** The last entries up to here came in a snapshot: nobody has their results. */
  readonly skipped = new Set<number>();
  term = 1;
  ticks = 0;
  made = 0;
  readonly seen: Record<string, number> = {};

  constructor(seed: number) {
    this.prng = new Prng(seed);
    const limits = {
      batchBytes: 700,
      windowBytes: NEVER,
      answerTicks: NEVER,
      pathBytesPerTick: NEVER,
      graceTicks: GRACE_TICKS,
      leaderlessTicks: NEVER,
      timeoutTicks: NEVER,
    };
    this.forwards = new Forwards(1, this.proposals, limits, (message) => this.posted.push(message));
    for (const id of [2, 3]) {
      this.forwards.peerChanged(id, true);
      this.forwards.heardLeader(id);
    }
  }

  private get raft(): RawNode["raft"] {
    const termOrZero = (index: number) => (index < this.snapshot ? 0 : (this.log[index - 1]?.term ?? 0));
    const lead = 2 + (this.term % 2);
    return {
      state: StateFollower,
      lead,
      term: this.term,
      raftLog: { termOrZero },
    } as unknown as RawNode["raft"];
  }

  propose(): void {
    const { prng } = this;
    const isMany = prng.below(2) === 0;
    const call = new ModelCall<Item>();
    const batch = Array.from({ length: isMany ? 1 + prng.below(25) : 1 }, () => {
      const number = ++this.made;
      const item = { number, call, isSent: false, term: 0, index: 0, outcome: "" };
      call.items.push(item);
      this.items.set(number, item);
      return Buffer.from(`${number}`.padEnd(1 + prng.below(60)));
    });
    const options = prng.below(3) === 0 ? { signal: call.controller.signal } : {};
    const promise: Promise<readonly Proposed[]> = isMany
      ? this.proposals.addMany(batch, options)
      : this.proposals.add(batch[0]!, options).then((one) => [one]);
    call.hear(promise);
    this.calls.push(call);
  }

  private lose(item: Item): void {
    item.call.reject(item, "RAFT_PROPOSAL_DROPPED", false);
  }

  private unknown(item: Item): void {
    item.call.reject(item, "RAFT_LEADERSHIP_LOST", true);
  }

  send(): void {
    this.forwards.send(this.raft);
    for (const message of this.posted.splice(0)) {
      const items = message.entries.map(({ data }) => this.items.get(Number(Buffer.from(data).toString()))!);
      for (const item of items) {
        assert.deepEqual([item.isSent, item.outcome], [false, ""]);
        item.isSent = true;
      }
      this.requests.set(sequenceIn(message.context), { items, dueAt: NEVER });
      this.messages.push(message);
    }
  }

  /** The leader gets a request; one that leads no more may say so, or nothing. */
  deliver(): void {
    const { prng, messages, log } = this;
    if (messages.length === 0) return;
    const [message] = messages.splice(prng.below(Math.min(3, messages.length)), 1) as [Message];
    const { items } = this.requests.get(sequenceIn(message.context)) ?? { items: [] };
    const luck = prng.below(20);
    const why = prng.below(5) === 0 ? TooLarge : prng.below(2) === 0 ? Overloaded : NotLeading;
    let answer = refused(message, why);
    if (message.term !== this.term) {
      if (luck < 5) return;
      answer = refused(message, NotLeading);
    } else if (luck < 16) {
      answer = accepted(message, log.length + 1);
      for (const { data } of message.entries)
        log.push({ term: this.term, number: Number(Buffer.from(data).toString()) });
    }
    this.answers.push({ answer, items });
  }

  hear(): void {
    const { prng, answers } = this;
    if (answers.length === 0) return;
    const [{ answer, items }] = answers.splice(prng.below(Math.min(3, answers.length)), 1) as [
      (typeof answers)[0],
    ];
    this.forwards.answered(answer, this.raft, this.applied);
    if (!this.requests.delete(sequenceIn(answer.context))) return;
    for (const [i, item] of items.entries()) {
      if (item.outcome !== "") continue;
      if (answer.reject) this.hearRefusal(item, answer.rejectHint, items.length);
      else this.place(item, answer.term, answer.index + i);
    }
    this.placed.sort((a, b) => a.term - b.term || a.index - b.index);
  }

  private hearRefusal(item: Item, why: number, count: number): void {
    if (why === Overloaded) item.call.reject(item, "RAFT_OVERLOADED", false);
    else if (why === TooLarge && count === 1) item.call.reject(item, "RAFT_PROPOSAL_TOO_LARGE", false);
    else item.isSent = false;
  }

  private place(item: Item, term: number, index: number): void {
    Object.assign(item, { term, index });
    const found = this.log[index - 1]?.term;
    if (index > this.applied) {
      if (this.log[this.applied - 1]!.term > term) this.lose(item);
      else this.placed.push(item);
    } else if (this.skipped.has(index)) {
      if (index >= this.snapshot && found !== term) this.lose(item);
      else this.unknown(item);
    } else if (found === term) item.outcome = `${term}/${index} r${index}`;
    else this.lose(item);
  }

  elect(): void {
    const { prng } = this;
    this.term += 1 + prng.below(2);
    this.log = this.log.slice(0, this.applied + prng.below(this.log.length - this.applied + 1));
    this.log.push({ term: this.term, number: 0 });
    this.forwards.leaderChanged(this.raft);
    for (const request of this.requests.values())
      request.dueAt = Math.min(request.dueAt, this.ticks + GRACE_TICKS);
  }

  apply(): void {
    const from = this.applied;
    this.applied = Math.min(this.log.length, from + this.prng.below(30));
    const entries = this.log.slice(from, this.applied).map(({ term }, i) => {
      const index = from + 1 + i;
      while (this.placed.length > 0 && !isBehind(this.placed[0]!, term, index)) {
        const item = this.placed.shift()!;
        if (item.term < term) this.lose(item);
        else if (item.outcome === "") {
          assert.deepEqual(this.log[index - 1], { term, number: item.number });
          item.outcome = `${term}/${index} r${index}`;
        }
      }
      return new Entry(EntryNormal, term, index, Buffer.from("x"));
    });
    const results = entries.map(({ index }) => `r${index}`);
    if (this.forwards.awaits) this.forwards.applied(entries, results);
  }

  skip(): void {
    const ahead = this.log.length - this.applied;
    if (ahead === 0) return;
    const from = this.applied;
    this.applied += 1 + this.prng.below(ahead);
    for (let index = from + 1; index <= this.applied; index++) this.skipped.add(index);
    this.snapshot = this.applied;
    const last = { index: this.applied, term: this.log[this.applied - 1]!.term };
    this.forwards.skippedTo(last);
    this.placed = this.placed.filter((item) => {
      if (item.index > last.index && item.term >= last.term) return true;
      if (item.index <= last.index) this.unknown(item);
      else this.lose(item);
      return false;
    });
  }

  tick(): void {
    this.ticks++;
    this.proposals.tick(false);
    this.forwards.tick(this.raft);
    for (const [sequence, { items, dueAt }] of this.requests) {
      if (this.ticks <= dueAt) continue;
      for (const item of items) this.unknown(item);
      this.requests.delete(sequence);
    }
  }

  abort(): void {
    const { calls, prng } = this;
    if (calls.length === 0) return;
    const { items, controller } = calls[prng.below(calls.length)]!;
    const watches = this.proposals as unknown as Record<
      string,
      { aborts: { watches: Map<unknown, unknown> } }
    >;
    const has = (which: string) => watches[which]!.aborts.watches.has(controller.signal);
    if (!has("calls") && !has("batchCalls")) return;
    for (const item of items) item.call.reject(item, "RAFT_ABORTED", item.isSent);
    controller.abort();
  }

  step(): void {
    const kind = this.prng.below(100);
    const some = this.prng.below(20);
    if (kind < 25) this.propose();
    else if (kind < 40) this.send();
    else if (kind < 58) for (let i = 0; i < some; i++) this.deliver();
    else if (kind < 74) for (let i = 0; i < some; i++) this.hear();
    else if (kind < 86) this.apply();
    else if (kind < 88) this.elect();
    else if (kind < 94) this.tick();
    else if (kind < 98) this.abort();
    else this.skip();
  }

  check(): void {
    for (const call of this.calls) call.check(this.seen);
    this.calls = this.calls.filter(({ told }) => told === "");
    const open = this.calls.flatMap(({ items }) => items.filter(({ outcome }) => outcome === ""));
    assert.equal(this.proposals.openCount, open.length);
    assert.equal(this.proposals.waitingCount, open.filter(({ isSent }) => !isSent).length);
  }
}

test("each call has the outcome that its entries have one by one, wherever requests, answers and leaders cut it", async (t) => {
  const world = new World(seedOf(t, import.meta.url));
  for (let step = 0; step < STEPS; step++) {
    world.step();
    await new Promise((resolve) => setImmediate(resolve));
    world.check();
  }
  t.diagnostic(JSON.stringify(world.seen));
});
