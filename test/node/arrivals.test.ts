// What a node says of proposals that others sent to it, and what those make of it: true whatever comes late, twice, or out
// of order.
import assert from "node:assert/strict";
import { test } from "node:test";
import { NO_DATA } from "../../src/base/bytes.js";
import { RaftmarkError } from "../../src/base/errors.js";
import { Arrivals } from "../../src/node/arrivals.js";
import {
  accepted,
  Forgotten,
  forwardContext,
  LIFE_BYTES,
  NoMember,
  NotLeading,
  Overloaded,
  REQUESTS_MAX,
  refused,
  TooLarge,
  Transferring,
} from "../../src/node/forward-wire.js";
import { Forwarding } from "../../src/node/forwarding.js";
import { Forwards } from "../../src/node/forwards.js";
import type { ResolvedOptions } from "../../src/node/options.js";
import { Proposals } from "../../src/node/proposals.js";
import {
  ConfChangeRemoveNode,
  Entry,
  EntryNormal,
  Message,
  MsgApp,
  MsgHeartbeat,
  MsgPreVoteResp,
  MsgProp,
  MsgReadIndex,
  MsgReadIndexResp,
  MsgVoteResp,
  type RawNode,
} from "../../src/raft/index.js";
import { ENTRY_OVERHEAD_BYTES } from "../../src/wire/index.js";
import { Network } from "../raft/network.js";

const LIMITS = { maxProposalBytes: 100, maxQueuedProposals: 4, maxQueuedBytes: 1000 };

/** From node 1, to node 2, which leads term 2. */
function request(sequence: number, fields: Partial<Message> = {}, life = 0, sizes = [3]): Message {
  const entries = sizes.map((size) => new Entry(EntryNormal, 0, 0, new Uint8Array(size).fill(sequence)));
  const context = forwardContext(new Uint8Array(LIFE_BYTES).fill(life), sequence);
  return Object.assign(new Message(MsgProp), { from: 1, to: 2, term: 2, context, entries, ...fields });
}

/** Node 2 leads term 2 in a group of three; it was opened in term 1. */
class Leader {
  readonly network = new Network({ voters: [1, 2, 3] });
  readonly raw: RawNode;
  readonly answers: string[] = [];
  readonly arrivals: Arrivals;

  constructor(openedIn = 1) {
    this.network.elect(2);
    this.raw = this.network.raw(2);
    this.arrivals = new Arrivals(LIMITS, openedIn, ({ index, reject, rejectHint, to }) =>
      this.answers.push(`to ${to}: ${reject ? `refused ${rejectHint}` : `at ${index}`}`),
    );
  }

  take(...requests: Message[]): this {
    for (const one of requests) this.arrivals.take(one, this.raw);
    return this;
  }

  /** What a turn says. */
  append(bytesMax = 1000): string[] {
    if (this.arrivals.canAppend(this.raw.raft)) this.arrivals.append(this.raw, bytesMax);
    return this.answers.splice(0);
  }
}

/** As a node has it. */
function forwardingOf(id: number): Forwarding {
  const options = { id, tickMs: 10, electionTicks: 10, proposalBatchBytes: 100, maxFrameBytes: 1 << 20 };
  const limits = { ...LIMITS, maxInflightBytes: 1000, leaderlessTicks: 10, timeoutTicks: 100 };
  const all = { forwardProposals: true, ...options, ...limits } as unknown as ResolvedOptions;
  return new Forwarding(all, new Proposals({ ...LIMITS, ...TICKS }), 1);
}

test("a request is appended once, however often it comes, and answered the same each time that it is known what became of it", () => {
  const leader = new Leader();
  const before = leader.raw.raft.raftLog.lastIndex();
  leader.take(request(1), request(1), request(2, {}, 0, [3, 3]), request(1));
  assert.deepEqual(leader.append(), [`to 1: at ${before + 1}`, `to 1: at ${before + 2}`]);
  assert.equal(leader.raw.raft.raftLog.lastIndex(), before + 3);
  assert.deepEqual(leader.take(request(2), request(1)).append(), [
    `to 1: at ${before + 2}`,
    `to 1: at ${before + 1}`,
  ]);
  assert.equal(leader.raw.raft.raftLog.lastIndex(), before + 3);
});

test("one that was overtaken is appended when it comes, once", () => {
  const leader = new Leader();
  const before = leader.raw.raft.raftLog.lastIndex();
  leader.take(request(5), request(4), request(4));
  assert.deepEqual(leader.append(), [`to 1: at ${before + 1}`, `to 1: at ${before + 2}`]);
  assert.deepEqual(leader.take(request(4)).append(), [`to 1: at ${before + 2}`]);
});

test("of thousands before it is not known any more whether they came: they are not appended, nor answered", () => {
  const leader = new Leader();
  for (let sequence = 2; sequence < 5000; sequence++) leader.take(request(sequence)).append();
  const last = leader.raw.raft.raftLog.lastIndex();
  assert.deepEqual(leader.take(request(1), request(2), request(900)).append(), []);
  assert.deepEqual(leader.take(request(4999)).append(), [`to 1: at ${last}`]);
  assert.equal(leader.raw.raft.raftLog.lastIndex(), last);
});

test("another life of a member counts anew, and those before are remembered", () => {
  const leader = new Leader().take(request(9, {}, 1), request(1, {}, 2), request(9, {}, 1));
  assert.equal(leader.append().length, 2);
});

test("who does not lead that term refuses, and appends no copy that comes later", () => {
  const leader = new Leader();
  leader.raw.raft.becomeFollower(3, 3);
  leader.take(request(1));
  assert.deepEqual(leader.answers.splice(0), [`to 1: refused ${NotLeading}`]);
  leader.network.elect(2);
  const last = leader.raw.raft.raftLog.lastIndex();
  leader.take(request(1, { term: leader.raw.raft.term }));
  assert.deepEqual(leader.append(), [`to 1: refused ${NotLeading}`]);
  assert.equal(leader.raw.raft.raftLog.lastIndex(), last);
});

test("what waits when the leader is deposed is refused", () => {
  const leader = new Leader().take(request(1), request(2));
  leader.raw.raft.becomeFollower(3, 3);
  leader.arrivals.refuseAll();
  assert.deepEqual(leader.append(), [`to 1: refused ${NotLeading}`, `to 1: refused ${NotLeading}`]);
});

test("a leader that removed itself appends nothing more, and refuses what waits as who does not lead", () => {
  const { network, raw } = new Leader();
  const forwarding = forwardingOf(2);
  const answers: Message[] = [];
  forwarding.post = (message) => answers.push(message);
  forwarding.receive(request(1), raw, 0);
  raw.applyConfChange({
    transition: 0,
    changes: [{ type: ConfChangeRemoveNode, nodeId: 2 }],
    context: NO_DATA,
  });
  assert.ok(!network.raw(2).raft.trk.progress.has(2));
  forwarding.arrivals.append(raw, 1000);
  assert.deepEqual(
    answers.map(({ reject, rejectHint }) => [reject, rejectHint]),
    [[true, NotLeading]],
  );
});

test("what comes while leadership is handed over waits: it is appended if that fails, and refused by who leads no more, or closes", () => {
  for (const end of ["fails", "comes off", "closes"] as const) {
    const leader = new Leader();
    const { raw, arrivals } = leader;
    const before = raw.raft.raftLog.lastIndex();
    raw.transferLeader(3);
    leader.take(request(1), request(2), request(3), request(4));
    assert.deepEqual(leader.append(), []);
    // More than it may have waiting: the rest waits at its sender.
    assert.deepEqual(leader.take(request(5)).append(), [`to 1: refused ${Transferring}`]);
    if (end === "fails") raw.transferLeader(2);
    else if (end === "closes") arrivals.close(raw.raft);
    else {
      raw.raft.becomeFollower(3, 3);
      arrivals.refuseAll();
    }
    const answers = [1, 2, 3, 4].map((i) =>
      end === "fails" ? `to 1: at ${before + i}` : `to 1: refused ${NotLeading}`,
    );
    assert.deepEqual(leader.append(), answers);
  }
});

test("who closes takes nothing more, and appends what waits, to hand over behind it", () => {
  const leader = new Leader().take(request(1));
  const before = leader.raw.raft.raftLog.lastIndex();
  leader.arrivals.close(leader.raw.raft);
  assert.deepEqual(leader.take(request(2)).append(), [
    `to 1: refused ${NotLeading}`,
    `to 1: at ${before + 1}`,
  ]);
});

test("of a term that an earlier life may have led, or that is not known yet, it says that it is forgotten", () => {
  const leader = new Leader(2).take(request(1), request(2, { term: 9 }));
  assert.deepEqual(leader.answers, [`to 1: refused ${Forgotten}`, `to 1: refused ${Forgotten}`]);
});

test("strangers, large proposals and a full queue are refused", () => {
  const leader = new Leader().take(
    request(1, { from: 7 }),
    request(1, {}, 0, [101]),
    request(2, {}, 0, [1, 1, 1]),
  );
  leader.take(request(3, {}, 0, [1, 1]), request(4, {}, 0, [100]));
  assert.deepEqual(leader.answers.splice(0), [
    `to 7: refused ${NoMember}`,
    `to 1: refused ${TooLarge}`,
    `to 1: refused ${Overloaded}`,
  ]);
  assert.equal(leader.arrivals.count, 2);
});

test("a turn appends what fits its batch, and at least one", () => {
  const leader = new Leader().take(request(1, {}, 0, [60]), request(2, {}, 0, [60]));
  assert.equal(leader.append(100).length, 1);
  assert.equal(leader.append(10).length, 1);
});

test("tens of thousands of small requests that wait are appended in linear time, and few in a turn", () => {
  const network = new Network({ voters: [1, 2, 3] });
  network.elect(2);
  const limits = { maxProposalBytes: 100, maxQueuedProposals: 1e6, maxQueuedBytes: 1e9 };
  const arrivals = new Arrivals(limits, 1, () => {});
  const raw = network.raw(2);
  const COUNT = 60_000;
  for (let i = 1; i <= COUNT; i++) arrivals.take(request(i, {}, 0, [1]), raw);
  const before = process.cpuUsage();
  let turns = 0;
  for (; arrivals.count > 0; turns++) arrivals.append(raw, 48 << 10);
  // Of the processor, as others may have the machine. Each with each: 1.8 billion moves.
  assert.ok(process.cpuUsage(before).user < 1_000_000);
  assert.ok(turns > COUNT / 2000, `${turns} turns`);
});

// ---- the one that asks

const TICKS = {
  pathBytesPerTick: 10,
  answerTicks: 50,
  graceTicks: 10,
  leaderlessTicks: 20,
  timeoutTicks: 100,
};

/** Node 1, which follows node 2 in term 2. */
class Follower {
  readonly network = new Network({ voters: [1, 2, 3] });
  readonly raw: RawNode;
  readonly proposals = new Proposals({
    maxProposalBytes: 1000,
    maxQueuedProposals: 1000,
    maxQueuedBytes: 100_000,
    ...TICKS,
  });
  readonly forwards: Forwards;
  readonly outcomes: Record<string, string> = {};
  readonly sent: Message[] = [];

  constructor(windowBytes = 1000, pathBytesPerTick = Infinity, batchBytes = 100) {
    this.network.elect(2);
    this.raw = this.network.raw(1);
    const limits = { batchBytes, windowBytes, ...TICKS, pathBytesPerTick };
    this.forwards = new Forwards(1, this.proposals, limits, (message) => this.sent.push(message));
    this.forwards.peerChanged(2, true);
    this.forwards.peerChanged(3, true);
    this.forwards.heardLeader(2);
    this.forwards.heardLeader(3);
    this.tick();
  }

  tick(count = 1): void {
    for (let i = 0; i < count; i++) {
      this.proposals.tick(false);
      this.forwards.tick(this.raw.raft);
      this.askAgain();
    }
  }

  askAgain(): void {
    this.forwards.askAgain(this.raw.raft);
  }

  propose(...names: string[]): this {
    for (const name of names) {
      this.proposals.add(Buffer.from(name)).then(
        ({ index, term, result }) => {
          this.outcomes[name] = `${term}/${index} ${result}`;
        },
        (error: RaftmarkError) => {
          this.outcomes[name] = `${error.code} ${error.mayCommit}`;
        },
      );
    }
    this.send();
    return this;
  }

  /** One call for all; its outcome has their names together. */
  proposeMany(...names: string[]): this {
    this.proposals.addMany(names.map((name) => Buffer.from(name))).then(
      (all) => {
        this.outcomes[names.join("")] = all
          .map(({ index, term, result }) => `${term}/${index} ${result}`)
          .join();
      },
      (error: RaftmarkError) => {
        this.outcomes[names.join("")] = `${error.code} ${error.mayCommit}`;
      },
    );
    this.send();
    return this;
  }

  send(): void {
    this.forwards.send(this.raw.raft);
  }

  answer(message: Message, applied = 5): void {
    this.forwards.answered(message, this.raw.raft, applied);
  }

  apply(term: number, index: number): void {
    this.forwards.applied([new Entry(EntryNormal, term, index, Buffer.from("x"))], ["done"]);
  }

  async settled(): Promise<Record<string, string>> {
    await new Promise((resolve) => setImmediate(resolve));
    return this.outcomes;
  }
}

test("a place that the leader says is settled by what is applied there, in any order of answers", async () => {
  const follower = new Follower();
  follower.propose("a").propose("b");
  const [a, b] = follower.sent;
  follower.answer(accepted(b, 7));
  follower.answer(accepted(a, 6));
  follower.answer(accepted(a, 9));
  for (const index of [6, 7]) follower.apply(2, index);
  assert.deepEqual(await follower.settled(), { a: "2/6 done", b: "2/7 done" });
});

test("tens of thousands that are placed are settled in linear time by what is applied", async () => {
  const follower = new Follower(1e9);
  const COUNT = 60_000;
  const resolved: Promise<unknown>[] = [];
  const proposals = new Proposals({
    maxProposalBytes: 1000,
    maxQueuedProposals: 1e6,
    maxQueuedBytes: 1e9,
    ...TICKS,
  });
  const limits = { batchBytes: 1e9, windowBytes: 1e9, ...TICKS };
  const forwards = new Forwards(1, proposals, limits, (message) => follower.sent.push(message));
  forwards.peerChanged(2, true);
  forwards.heardLeader(2);
  for (let i = 0; i < COUNT; i++) resolved.push(proposals.add(Buffer.from("x")));
  forwards.send(follower.raw.raft);
  forwards.answered(accepted(follower.sent[0]!, 6), follower.raw.raft, 5);
  const entries = Array.from({ length: COUNT }, (_, i) => new Entry(EntryNormal, 2, 6 + i, Buffer.from("x")));
  const results = entries.map(({ index }) => index);
  const before = process.cpuUsage();
  forwards.applied(entries, results);
  // Of the processor, as others may have the machine. Each with each: 1.8 billion moves.
  assert.ok(process.cpuUsage(before).user < 1_000_000);
  assert.equal(forwards.awaits, false);
  await Promise.all(resolved);
});

test("no more requests are under way than a leader can answer again, however small they are", () => {
  const follower = new Follower(1e9);
  for (let i = 0; i < REQUESTS_MAX + 5; i++) follower.propose("x");
  assert.equal(follower.sent.length, REQUESTS_MAX);
  follower.answer(accepted(follower.sent[0]!, 6));
  follower.send();
  const next = follower.sent.slice(REQUESTS_MAX).map(({ entries }) => entries.length);
  assert.equal(next.length, 1);
  assert.ok(next[0]! > 1, "what waited goes together");
});

test("a slow path has its time for what was sent, and nothing more is sent into it until that is answered or cut off", async () => {
  const follower = new Follower(200, 10);
  const [a, b, c] = ["a", "b", "c"].map((name) => name.repeat(90 - ENTRY_OVERHEAD_BYTES));
  follower.propose(a!).propose(b!).propose(c!).propose("d");
  assert.equal(follower.sent.length, 3);
  // 50 ticks, and 9, 18 and 27 for 90 bytes each.
  follower.tick(59);
  assert.deepEqual(Object.keys(await follower.settled()), []);
  follower.tick(9);
  assert.deepEqual(await follower.settled(), { [a!]: "RAFT_LEADERSHIP_LOST true" });
  follower.tick(20);
  follower.send();
  assert.deepEqual([Object.keys(await follower.settled()).length, follower.sent.length], [3, 3]);
  // It was late, and there is room again.
  follower.answer(accepted(follower.sent[0]!, 6));
  follower.send();
  assert.equal(follower.sent.length, 4);
  follower.forwards.peerChanged(2, false);
  follower.tick(11);
  assert.equal((await follower.settled())["d"], "RAFT_LEADERSHIP_LOST true");
});

test("an applied entry of a later term excludes what was placed behind it; a snapshot leaves open what it holds", async () => {
  const follower = new Follower();
  follower.propose("a").propose("b").propose("c");
  for (const [i, at] of [6, 8, 9].entries()) follower.answer(accepted(follower.sent[i], at));
  follower.forwards.skippedTo({ index: 7, term: 2 });
  follower.apply(3, 8);
  const lost = "RAFT_PROPOSAL_DROPPED false";
  assert.deepEqual(await follower.settled(), { a: "RAFT_LEADERSHIP_LOST true", b: lost, c: lost });
});

test("an answer that comes behind the entry: lost if another is there, else its result is not known", async () => {
  const follower = new Follower();
  const last = follower.raw.raft.raftLog.lastIndex();
  follower.propose("a").propose("b");
  follower.answer(accepted(follower.sent[0], last), last);
  follower.answer(accepted(follower.sent[1], 1), last);
  assert.deepEqual(await follower.settled(), {
    a: "RAFT_LEADERSHIP_LOST true",
    b: "RAFT_PROPOSAL_DROPPED false",
  });
});

test("an answer that comes behind the entry has its result, if it was applied while the answer was out", async () => {
  const follower = new Follower();
  const last = follower.raw.raft.raftLog.lastIndex();
  follower.propose("a", "b").propose("c").propose("d");
  const [ab, c, d] = follower.sent;
  const results = ["first", "second", "of the next term"];
  const entry = (term: number, index: number, data = "x") =>
    new Entry(EntryNormal, term, index, Buffer.from(data));
  // As a leader's first entry comes with what had waited for that leader.
  const entries = [
    entry(2, last, ""),
    entry(2, last + 1),
    entry(2, last + 2),
    entry(3, last + 3, ""),
    entry(3, last + 4),
  ];
  follower.forwards.applied(entries, results);
  results.fill("of the next call");
  follower.answer(accepted(ab, last + 1), last + 4);
  follower.answer(accepted(c, last + 4), last + 4);
  follower.answer(accepted(d, last + 5), last + 5);
  assert.deepEqual(await follower.settled(), {
    a: `2/${last + 1} first`,
    b: `2/${last + 2} second`,
    c: "RAFT_PROPOSAL_DROPPED false",
    d: "RAFT_LEADERSHIP_LOST true",
  });
});

/** What each request has. */
function textsOf(messages: readonly Message[]): string[] {
  return messages.map(({ entries }) => entries.map(({ data }) => Buffer.from(data).toString()).join());
}

test("a call of several is cut where a request is full, and each part has the place that its answer says", async () => {
  const follower = new Follower(1e9);
  const inOne = Math.floor(100 / (1 + ENTRY_OVERHEAD_BYTES));
  const names = Array.from({ length: 2 * inOne }, (_, i) => "abcdefghijklmnopqrst"[i]!);
  follower.proposeMany(...names);
  assert.deepEqual(textsOf(follower.sent), [names.slice(0, inOne).join(), names.slice(inOne).join()]);
  assert.equal(follower.forwards.sent, 2 * inOne);
  const [first, second] = follower.sent;
  follower.answer(accepted(second!, 50));
  follower.answer(accepted(first!, 6));
  for (let i = 0; i < inOne; i++) follower.apply(2, 6 + i);
  assert.deepEqual(await follower.settled(), {});
  assert.equal(follower.proposals.openCount, inOne);
  for (let i = 0; i < inOne; i++) follower.apply(2, 50 + i);
  const places = names.map((_, i) => `2/${i < inOne ? 6 + i : 50 + i - inOne} done`);
  assert.deepEqual(await follower.settled(), { [names.join("")]: places.join() });
  assert.deepEqual([follower.forwards.awaits, follower.proposals.openCount], [false, 0]);
});

test("a call of several of which a part is applied before the answer comes has the results of both parts", async () => {
  const follower = new Follower(10_000, Infinity, 1000);
  const last = follower.raw.raft.raftLog.lastIndex();
  follower.proposeMany("a", "b", "c", "d");
  follower.forwards.applied(
    [1, 2].map((i) => new Entry(EntryNormal, 2, last + i, Buffer.from("x"))),
    ["first", "second"],
  );
  follower.answer(accepted(follower.sent[0]!, last + 1), last + 2);
  for (const i of [3, 4]) follower.apply(2, last + i);
  assert.deepEqual(await follower.settled(), {
    abcd: `2/${last + 1} first,2/${last + 2} second,2/${last + 3} done,2/${last + 4} done`,
  });
});

test("a call of several that a leader change or a snapshot cuts: the rest is lost, or its result is not known", async () => {
  const follower = new Follower(10_000, Infinity, 1000);
  follower.proposeMany("a", "b", "c").proposeMany("d", "e").proposeMany("f", "g", "h").proposeMany("i", "j");
  for (const [i, at] of [6, 9, 11, 14].entries()) follower.answer(accepted(follower.sent[i]!, at));
  for (const index of [6, 7]) follower.apply(2, index);
  follower.forwards.skippedTo({ index: 9, term: 2 });
  const open = () => [follower.proposals.openCount, ...Object.keys(follower.outcomes)];
  await follower.settled();
  assert.deepEqual(open(), [6, "abc"]);
  for (const index of [10, 11]) follower.apply(2, index);
  follower.apply(3, 12);
  assert.deepEqual(await follower.settled(), {
    abc: "RAFT_LEADERSHIP_LOST true",
    de: "RAFT_LEADERSHIP_LOST true",
    fgh: "RAFT_PROPOSAL_DROPPED true",
    ij: "RAFT_PROPOSAL_DROPPED false",
  });
  assert.deepEqual([follower.forwards.awaits, follower.proposals.openCount], [false, 0]);
});

test("of a call of several, what a leader finds too large takes none of the others down", async () => {
  const follower = new Follower(10_000, Infinity, 1000);
  follower.proposeMany("a", "large", "c");
  follower.answer(refused(follower.sent[0]!, TooLarge));
  follower.send();
  assert.deepEqual(textsOf(follower.sent.slice(1)), ["a", "large", "c"]);
  follower.answer(accepted(follower.sent[1]!, 6));
  follower.answer(refused(follower.sent[2]!, TooLarge));
  follower.answer(accepted(follower.sent[3]!, 7));
  follower.apply(2, 6);
  assert.deepEqual(await follower.settled(), {});
  follower.apply(2, 7);
  assert.deepEqual(await follower.settled(), { alargec: "RAFT_PROPOSAL_TOO_LARGE true" });
});

test("who does not lead is not asked again in that term for a while; what it refused waits for the next", async () => {
  const follower = new Follower();
  follower.propose("a").propose("b");
  follower.answer(refused(follower.sent[0], NotLeading));
  follower.send();
  assert.equal(follower.sent.length, 2);
  const { raft } = follower.raw;
  follower.answer(refused(follower.sent[1], NotLeading));
  follower.send();
  assert.equal(follower.sent.length, 2);
  raft.becomeFollower(3, 3);
  follower.send();
  const names = follower.sent
    .slice(2)
    .map(({ to, term, entries }) => [to, term, ...entries.map(({ data }) => Buffer.from(data).toString())]);
  assert.deepEqual(names, [[3, 3, "a", "b"]]);
  assert.deepEqual(await follower.settled(), {});
});

test("what a leader finds too large takes none of those down that were sent with it", async () => {
  const follower = new Follower();
  follower.propose("large", "b");
  follower.answer(refused(follower.sent[0]!, TooLarge));
  follower.propose("behind", "with it");
  const [, ...again] = follower.sent;
  assert.deepEqual(
    again.map(({ entries }) => entries.map(({ data }) => Buffer.from(data).toString())),
    [["large"], ["b"], ["behind", "with it"]],
  );
  follower.answer(refused(again[0]!, TooLarge));
  follower.answer(accepted(again[1]!, 6));
  follower.apply(2, 6);
  assert.deepEqual(await follower.settled(), { b: "2/6 done", large: "RAFT_PROPOSAL_TOO_LARGE false" });
});

test("without an answer it is given up in time, sooner when the leader is gone; late answers say nothing then", async () => {
  const follower = new Follower();
  follower.propose("a");
  follower.tick(TICKS.answerTicks);
  follower.propose("b");
  assert.deepEqual(await follower.settled(), {});
  follower.tick();
  assert.deepEqual(await follower.settled(), { a: "RAFT_LEADERSHIP_LOST true" });
  follower.forwards.peerChanged(2, false);
  follower.propose("c");
  follower.tick(TICKS.graceTicks + 1);
  const unknown = "RAFT_LEADERSHIP_LOST true";
  assert.deepEqual(await follower.settled(), { a: unknown, b: unknown });
  follower.tick(TICKS.leaderlessTicks);
  assert.deepEqual(await follower.settled(), { a: unknown, b: unknown, c: "RAFT_NO_LEADER false" });
  for (const message of follower.sent) follower.answer(accepted(message, 6));
  assert.equal(follower.forwards.awaits, false);
});

test("what is given up holds its part of the window as long again, and no longer: it may be lost without a broken connection", () => {
  const follower = new Follower(1);
  follower.propose("a").tick(TICKS.answerTicks + 1);
  follower.propose("b").tick(TICKS.answerTicks);
  follower.send();
  assert.equal(follower.sent.length, 1);
  follower.tick(2);
  follower.send();
  assert.equal(follower.sent.length, 2);
});

test("what was under way when a connection broke is asked again over the next, as it was; two answers count once", async () => {
  const follower = new Follower();
  follower.propose("a", "b").propose("c");
  const [first, second] = follower.sent.splice(0);
  follower.answer(accepted(second, 8));
  follower.forwards.peerChanged(2, false);
  follower.tick(5);
  // It hears the leader again, and the leader does not hear it yet.
  follower.forwards.pathOpened(2);
  follower.askAgain();
  assert.equal(follower.sent.length, 0);
  follower.forwards.peerChanged(2, true);
  follower.askAgain();
  const [again] = follower.sent;
  assert.equal(follower.sent.length, 1);
  assert.deepEqual([again.context, again.term, again.to], [first.context, first.term, first.to]);
  const texts = (message: Message) => message.entries.map(({ data }) => Buffer.from(data).toString());
  assert.deepEqual(texts(again), texts(first));
  // It has the time of one that was sent now.
  follower.tick(TICKS.answerTicks - 1);
  for (const message of [again, first]) follower.answer(accepted(message, 6));
  for (const index of [6, 7, 8]) follower.apply(2, index);
  assert.deepEqual(await follower.settled(), { a: "2/6 done", b: "2/7 done", c: "2/8 done" });
});

test("who leads no more says what it did with what it was sent, over the next connection: applied, or for the next leader", async () => {
  const follower = new Follower();
  const { forwards, raw } = follower;
  const last = raw.raft.raftLog.lastIndex();
  follower.propose("appended").propose("lost on the way");
  const [first, second] = follower.sent.splice(0);
  forwards.peerChanged(2, false);
  raw.raft.becomeFollower(3, 3);
  forwards.leaderChanged(raw.raft);
  forwards.peerChanged(2, true);
  forwards.pathOpened(2);
  follower.askAgain();
  assert.deepEqual(
    follower.sent.splice(0).map(({ to, term, context }) => ({ to, term, context })),
    [first, second].map(({ context }) => ({ to: 2, term: 2, context })),
  );
  follower.answer(accepted(first, last + 1), last);
  follower.apply(2, last + 1);
  follower.answer(refused(second, NotLeading), last + 1);
  forwards.peerChanged(3, true);
  forwards.heardLeader(3);
  follower.send();
  assert.deepEqual([follower.sent[0].to, follower.sent[0].term], [3, 3]);
  assert.deepEqual(await follower.settled(), { appended: `2/${last + 1} done` });
});

test("an answer that comes behind an entry of a later term, for a place that the log may never reach, says that it is lost", async () => {
  const follower = new Follower();
  const { network, forwards, raw } = follower;
  follower.propose("a");
  network.elect(3);
  forwards.leaderChanged(raw.raft);
  const { applied } = raw.raft.raftLog;
  follower.answer(accepted(follower.sent[0], applied + 5), applied);
  assert.deepEqual(await follower.settled(), { a: "RAFT_PROPOSAL_DROPPED false" });
});

test("a request goes again as a whole, whatever of it is given up; not to another leader, nor one that is given up", async () => {
  const follower = new Follower();
  const abort = new AbortController();
  follower.proposals.add(Buffer.from("a"), { signal: abort.signal }).catch(() => {});
  follower.propose("b").propose("c");
  abort.abort();
  follower.sent.splice(0);
  follower.forwards.pathOpened(3);
  follower.tick();
  assert.equal(follower.sent.length, 0);
  follower.forwards.pathOpened(2);
  follower.tick();
  assert.deepEqual(
    follower.sent.splice(0).map(({ entries }) => entries.length),
    [2, 1],
  );
  follower.tick(TICKS.answerTicks + 1);
  follower.forwards.pathOpened(2);
  follower.tick();
  assert.equal(follower.sent.length, 0);
});

test("connections that open one after the other have little asked again for each, and no more than a window in a tick", () => {
  const follower = new Follower(6 * (1 + ENTRY_OVERHEAD_BYTES));
  const opened = (): number => {
    follower.sent.splice(0);
    follower.forwards.pathOpened(2);
    follower.askAgain();
    return follower.sent.length;
  };
  follower.propose("a").propose("b");
  assert.deepEqual([opened(), opened(), opened(), opened()], [2, 2, 2, 0]);
  follower.tick();
  assert.equal(follower.sent.length, 2);
  for (const name of "cdef") follower.propose(name);
  follower.tick();
  assert.deepEqual([opened(), opened()], [6, 0]);
});

test("requests whose answers were lost do not take up the window for ever", async () => {
  const follower = new Follower(60);
  const long = "x".repeat(60);
  follower.propose(long);
  follower.tick(TICKS.answerTicks + 1);
  follower.propose("b");
  assert.equal(follower.sent.length, 1);
  // Another connection: what was under way on the one before fills none.
  follower.forwards.pathOpened(2);
  follower.tick();
  follower.send();
  assert.equal(follower.sent.length, 2);
  const patient = new Follower(60).propose(long);
  patient.tick(TICKS.answerTicks + 1 + TICKS.timeoutTicks + 1);
  patient.propose("b");
  assert.equal(patient.sent.length, 2);
});

test("a leader that comes back has to be heard before it is sent anything, and is asked for a sign once; no tick is waited for", () => {
  const follower = new Follower();
  const { forwards } = follower;
  const { raft } = follower.raw;
  forwards.peerChanged(2, false);
  // Over what is left of the connection before.
  forwards.heardLeader(2);
  forwards.peerChanged(2, true);
  assert.equal(forwards.wantsSign(raft), false);
  follower.propose("a");
  follower.tick(3);
  follower.send();
  assert.equal(follower.sent.length, 0);
  assert.deepEqual([forwards.wantsSign(raft), forwards.wantsSign(raft)], [true, false]);
  // It, or the answer, may have been on the way over another one.
  forwards.pathOpened(2);
  assert.equal(forwards.wantsSign(raft), true);
  forwards.heardLeader(2);
  follower.send();
  assert.equal(follower.sent.length, 1);
  follower.propose("b");
  assert.deepEqual([follower.sent.length, forwards.wantsSign(raft)], [2, false]);
});

test("a leader is heard by what nobody else says in its term: no vote, and no word on proposals, of a life that never led", () => {
  const { raw } = new Follower();
  const forwarding = forwardingOf(1);
  const hears = (fields: Partial<Message>): boolean => {
    forwarding.forwards.peerChanged(2, true);
    forwarding.stepped(Object.assign(new Message(MsgApp), { from: 2, to: 1, term: 2 }, fields), raw.raft);
    return forwarding.canSend(raw.raft);
  };
  for (const type of [MsgApp, MsgHeartbeat, MsgReadIndexResp] as const) {
    assert.ok(hears({ type }));
    assert.ok(!hears({ type, from: 3 }) && !hears({ type, term: 1 }));
  }
  for (const type of [MsgProp, MsgVoteResp, MsgPreVoteResp, MsgReadIndex] as const)
    assert.ok(!hears({ type }));
});

test("no more is under way than the window holds, with what entries cost besides", () => {
  const follower = new Follower(3 * (1 + ENTRY_OVERHEAD_BYTES));
  for (const name of "abcdefgh") follower.propose(name);
  assert.equal(follower.sent.length, 3);
  follower.answer(accepted(follower.sent[0], 6));
  follower.send();
  assert.equal(follower.sent.length, 4);
});

test("what ends with the node may commit if it was sent", async () => {
  const follower = new Follower(1);
  follower.propose("placed");
  follower.answer(accepted(follower.sent[0], 6));
  follower.propose("sent").propose("waits");
  const closed = new RaftmarkError("RAFT_CLOSED", "closed");
  follower.proposals.end(closed);
  follower.forwards.end(closed);
  assert.deepEqual(await follower.settled(), {
    placed: "RAFT_CLOSED true",
    sent: "RAFT_CLOSED true",
    waits: "RAFT_CLOSED false",
  });
  assert.equal(follower.proposals.openCount, 0);
});
