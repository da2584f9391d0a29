// Option storageWrites "sync" as a driver takes it: a gate in front of the next Ready. The disk answers when the test
// says so.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { RaftmarkError } from "../../src/base/errors.js";
import { MemoryNetwork } from "../../src/link/index.js";
import { CommittedFeeds } from "../../src/node/committed.js";
import { Driver } from "../../src/node/driver.js";
import { Forwarding } from "../../src/node/forwarding.js";
import { MemberBook } from "../../src/node/member-book.js";
import { Members } from "../../src/node/members.js";
import { resolveOptions } from "../../src/node/options.js";
import { Proposals } from "../../src/node/proposals.js";
import { Reads } from "../../src/node/reads.js";
import { Sessions } from "../../src/node/sessions.js";
import { SnapshotService } from "../../src/node/snapshot-service.js";
import { Teller } from "../../src/node/teller.js";
import { type Entry, RawNode, StateLeader } from "../../src/raft/index.js";
import { EMPTY_CONF_STATE } from "../../src/raft/raftpb/index.js";
import { MemoryWal } from "./memory-wal.js";
import { SOLE } from "./nodes.js";

const CLOSED = new RaftmarkError("RAFT_CLOSED", "the test is over");

/** A sole voter. */
class Sole {
  readonly given: string[] = [];
  /** Of each call of apply, in order; null: none is at work. */
  resolve: (() => void) | null = null;
  private readonly wal: MemoryWal;
  private readonly asked: (() => void)[] = [];
  private readonly rawNode: RawNode;
  private readonly proposals: Proposals;
  readonly driver: Driver;

  constructor(waits: boolean) {
    const confState = { ...EMPTY_CONF_STATE, voters: [1] };
    const wal = new MemoryWal(confState, (done) => this.asked.push(done));
    const link = new MemoryNetwork().link(1);
    const stateMachine = { apply: (entries: readonly Entry[]) => this.apply(entries) };
    const options = resolveOptions({ id: 1, dir: "-", ...SOLE, secret: "of the test", link, stateMachine });
    const { electionTicks, heartbeatTicks, proposalBatchBytes, diskTimeoutMs, tickMs } = options;
    this.wal = wal;
    this.rawNode = new RawNode({
      id: 1,
      electionTick: electionTicks,
      heartbeatTick: heartbeatTicks,
      storage: wal.storage,
      maxSizePerMsg: options.maxSizePerMsg,
      maxInflightMsgs: options.maxInflightMsgs,
      asyncStorageWrites: true,
      random: () => 0,
    });
    const { rawNode } = this;
    this.proposals = new Proposals(options);
    const teller = new Teller(1, null);
    const sessions = new Sessions();
    const group = 0;
    this.driver = new Driver({
      group,
      id: 1,
      rawNode,
      wal,
      link,
      stateMachine,
      proposals: this.proposals,
      forwarding: new Forwarding(options, this.proposals, 0),
      sessions,
      reads: new Reads(1, { ...options, retryTicks: electionTicks }),
      snapshots: new SnapshotService({
        group,
        options,
        wal,
        link,
        rawNode,
        sessions,
        teller,
        restored: null,
        announce: () => {},
        control: (call) => this.driver.control(call),
        whenApplied: (call) => this.driver.whenApplied(call),
      }),
      feeds: new CommittedFeeds(rawNode, () => this.driver.applied),
      members: new Members({
        ...options,
        rawNode,
        book: new MemberBook(new Map([[1, SOLE.listen]]), null),
        teller,
        secret: null,
        lingerTicks: 0,
        isConnected: () => false,
        logs: () => new Map(),
        onChanged: () => {},
        onRemoved: () => {},
      }),
      proposalBatchBytes,
      maxBacklogBytes: options.maxQueuedBytes,
      waitsForStorage: waits,
      diskTimeoutMs,
      tickMs,
      trace: null,
      onDisk: () => {},
      onLeader: () => {},
      onFault: (error) => {
        throw error;
      },
    });
  }

  private apply(entries: readonly Entry[]): Promise<undefined> {
    for (const { data } of entries) this.given.push(Buffer.from(data).toString());
    return new Promise((resolve) => {
      this.resolve = () => {
        this.resolve = null;
        resolve(undefined);
      };
    });
  }

  async lead(): Promise<void> {
    this.driver.campaign();
    while (this.driver.applied === 0) await this.answer();
    assert.equal(this.rawNode.raft.state, StateLeader);
  }

  async propose(text: string): Promise<void> {
    this.proposals.add(Buffer.from(text)).catch(() => {});
    this.driver.wake();
    await this.turns();
  }

  /** The disk answers all that it was asked. */
  async answer(): Promise<void> {
    for (const done of this.asked.splice(0)) done();
    await this.turns();
  }

  async turns(): Promise<void> {
    for (let i = 0; i < 8; i++) await turn();
  }

  /** What the disk has. */
  get stored(): string[] {
    return this.wal.entries.map(({ data }) => Buffer.from(data).toString());
  }
}

for (const waits of [false, true])
  test(`no other Ready before what the last one wants is durable, and applied: ${waits}`, async () => {
    const sole = new Sole(waits);
    await sole.lead();
    const { driver } = sole;
    const before = driver.readies;
    await sole.propose("a");
    await sole.propose("b");
    assert.equal(driver.readies, before + (waits ? 1 : 2));
    // Then "b" is on its way to the disk, with the news that "a" is committed.
    await sole.answer();
    assert.deepEqual(sole.stored.slice(1), ["a"]);
    assert.deepEqual(sole.given, waits ? [] : ["a"]);
    const onItsWay = driver.readies;
    await sole.answer();
    assert.deepEqual(sole.stored.slice(1), ["a", "b"]);
    assert.deepEqual(sole.given, ["a"]);
    await sole.propose("c");
    await sole.answer();
    assert.equal(sole.stored.length, waits ? 3 : 4);
    assert.equal(driver.readies === onItsWay, waits);
    sole.resolve!();
    await sole.turns();
    for (let i = 0; i < 4; i++) await sole.answer();
    assert.deepEqual(sole.stored.slice(1), ["a", "b", "c"]);
    driver.end(CLOSED, null);
  });

test("what the state machine is not asked for after the end keeps nothing else waiting", async () => {
  const sole = new Sole(true);
  await sole.lead();
  const { driver } = sole;
  await sole.propose("a");
  await sole.answer();
  await sole.answer();
  assert.equal(driver.isApplying, true);
  driver.endApplying();
  sole.resolve!();
  await sole.turns();
  for (const text of ["b", "c", "d"]) {
    await sole.propose(text);
    await sole.answer();
    await sole.answer();
  }
  assert.deepEqual(sole.stored.slice(1), ["a", "b", "c", "d"]);
  assert.deepEqual([sole.given, driver.isApplying], [["a"], false]);
  driver.end(CLOSED, null);
});
