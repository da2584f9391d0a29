// Snapshots that a leader sends: a member behind the leader's log gets one, over sockets and in memory, whatever happens to
// the connection, and nothing that is not whole and sound replaces anything.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { type Entry, RaftNode, type RaftNodeOptions } from "../../src/index.js";
import { type Link, type LinkHandler, MemoryNetwork, type SnapshotLane } from "../../src/link/index.js";
import { END, PIECE, PIECE_HEAD_BYTES } from "../../src/node/snapshot-wire.js";
import { type Message, MsgAppResp, MsgReadIndexResp, MsgSnap } from "../../src/raft/index.js";
import { freePeers } from "../listen.js";
import { Command, until } from "../process/support.js";
import { atEnd, tempDir } from "../temp-dir.js";
import { snapFiles } from "../wal/helpers.js";
import { Lines, leaderOf, type Running, WAIT_MS } from "./nodes.js";
import { SlotMachine } from "./snapshot-machine.js";

const KiB = 1 << 10;
const MiB = 1 << 20;

type More = Partial<RaftNodeOptions>;

interface Member {
  readonly id: number;
  readonly node: RaftNode;
  readonly machine: SlotMachine;
  readonly lines: Lines;
}

/** A cluster of three, whose members can be stopped and started. */
class Cluster {
  readonly members = new Map<number, Member>();
  readonly dir: string;
  private readonly t: TestContext;
  private readonly peers: Record<number, string>;
  private readonly more: (id: number) => More;
  /** Bytes that each state has beside what was proposed. */
  ballast = 0;
  private next = 0;

  constructor(t: TestContext, peers: Record<number, string>, more: (id: number) => More) {
    this.t = t;
    this.dir = tempDir(t);
    this.peers = peers;
    this.more = more;
  }

  async start(id: number, more: More = {}): Promise<Member> {
    const machine = new SlotMachine(64, this.ballast);
    const lines = new Lines();
    const node = await RaftNode.open({
      id,
      dir: path.join(this.dir, String(id)),
      listen: this.peers[id]!,
      peers: this.peers,
      secret: "of the test",
      writer: "inline-wasm",
      durability: "none",
      segmentBytes: 64 * KiB,
      tickMs: 40,
      snapshotEveryBytes: 64 * KiB,
      snapshotCatchUpBytes: 16 * KiB,
      stateMachine: machine,
      logger: lines,
      ...this.more(id),
      ...more,
    });
    atEnd(this.t, () => node.close());
    const member = { id, node, machine, lines };
    this.members.set(id, member);
    return member;
  }

  async stop(id: number): Promise<void> {
    await this.members.get(id)!.node.close();
    this.members.delete(id);
  }

  get all(): Member[] {
    return [...this.members.values()];
  }

  async leader(): Promise<Member> {
    const { node } = await leaderOf(this.all as unknown as Running[]);
    return this.all.find((member) => member.node === node)!;
  }

  /** Applied by the leader when it resolves. */
  async load(leader: Member, count: number, bytes = 1000): Promise<void> {
    const end = this.next + count;
    const client = async (): Promise<void> => {
      while (this.next < end) {
        const payload = Buffer.alloc(bytes);
        payload.writeUInt32LE(this.next++);
        await leader.node.propose(payload);
      }
    };
    await Promise.all(Array.from({ length: 16 }, client));
  }

  /** All have the same state. */
  async level(): Promise<void> {
    const total = Math.max(...this.all.map(({ machine }) => machine.applied));
    await until("all are level", WAIT_MS, () => this.all.every(({ machine }) => machine.applied >= total));
    const [{ machine }] = this.all as [Member];
    for (const other of this.all) assert.equal(other.machine.hash, machine.hash, `node ${other.id}`);
  }
}

/** Starts three, and stops one of the followers until the leader's log has not what it needs any more. */
async function behind(cluster: Cluster): Promise<{ leader: Member; lost: number }> {
  for (const id of [1, 2, 3]) await cluster.start(id);
  const leader = await cluster.leader();
  await cluster.load(leader, 20);
  await cluster.level();
  const lost = (leader.id % 3) + 1;
  const { lastIndex } = cluster.members.get(lost)!.node.status();
  await cluster.stop(lost);
  while (leader.node.status().log.firstIndex <= lastIndex + 1) await cluster.load(leader, 100);
  return { leader, lost };
}

const ADDRESSES = { 1: "127.0.0.1:7001", 2: "127.0.0.1:7002", 3: "127.0.0.1:7003" };

function inMemory(
  t: TestContext,
  more: (id: number) => More = () => ({}),
): { cluster: Cluster; network: MemoryNetwork } {
  const network = new MemoryNetwork();
  const cluster = new Cluster(t, ADDRESSES, (id) => ({ link: network.link(id), ...more(id) }));
  return { cluster, network };
}

async function overSockets(t: TestContext, more: More = {}): Promise<Cluster> {
  const peers = await freePeers(3);
  return new Cluster(t, peers, () => more);
}

async function comesBack(cluster: Cluster, more: () => Promise<void> = async () => {}): Promise<Member> {
  const { leader, lost } = await behind(cluster);
  const events: { from: number; error: unknown }[] = [];
  const member = await cluster.start(lost);
  member.node.on("snapshot", (event) => events.push(event));
  await more();
  await until("it has one", WAIT_MS, () => member.machine.restored.length > 0);
  await cluster.load(leader, 50);
  await cluster.level();
  const { snapshotsReceived, snapshotBytesReceived } = member.node.metrics;
  assert.ok(snapshotsReceived >= 1);
  assert.ok(snapshotBytesReceived > 2000);
  await until("the leader knows", WAIT_MS, () => leader.node.metrics.snapshotsSent >= 1);
  await until("nobody waits", WAIT_MS, () => leader.node.status().waitingForSnapshot.length === 0);
  assert.ok(events.some(({ from, error }) => from === leader.id && error === null));
  assert.equal(member.lines.matching(/fetches its snapshot at index/).length >= 1, true);
  assert.equal(
    leader.lines.matching(/needs entries that this node's log has no more: it gets/).length >= 1,
    true,
  );
  // It starts from what it was sent.
  await cluster.stop(lost);
  const verify = new Command(cluster.dir, "wal", "verify", path.join(cluster.dir, String(lost)));
  assert.equal(await verify.end(WAIT_MS), 0, verify.stdout);
  await cluster.start(lost);
  await cluster.load(await cluster.leader(), 5);
  await cluster.level();
  return cluster.members.get(leader.id)!;
}

test("in memory: a member behind the leader's log gets a snapshot, and then what follows", async (t) => {
  await comesBack(inMemory(t).cluster);
});

test("the same with one Ready after the other", async (t) => {
  await comesBack(inMemory(t, () => ({ storageWrites: "sync" })).cluster);
});

for (const more of [{}, { acceptor: "ws", frameTags: false }] as const) {
  test(`over sockets ${JSON.stringify(more)}`, async (t) => {
    await comesBack(await overSockets(t, more));
  });
}

test("under load, of a state of several MiB, at a capped pace: the group goes on, and so does the member", async (t) => {
  const cluster = await overSockets(t, { snapshotEveryBytes: 256 * KiB, snapshotSendBytesPerS: 8 * MiB });
  cluster.ballast = 5 * MiB;
  const { leader, lost } = await behind(cluster);
  const member = await cluster.start(lost);
  let proposed = 0;
  const begun = performance.now();
  while (member.machine.restored.length === 0) {
    await cluster.load(leader, 20);
    proposed += 20;
    assert.ok(performance.now() - begun < WAIT_MS, "it never gets one");
  }
  const seconds = (performance.now() - begun) / 1000;
  const { snapshotBytesSent } = leader.node.metrics;
  assert.ok(snapshotBytesSent >= 5 * MiB);
  // A second's worth ahead at most.
  assert.ok(snapshotBytesSent <= (seconds + 1) * 8 * MiB, `${snapshotBytesSent} bytes in ${seconds} s`);
  assert.ok(proposed > 20, "the group went on meanwhile");
  await cluster.level();
});

test("a connection that is cut again and again: it goes on where it was", async (t) => {
  const { cluster, network } = inMemory(t, () => ({ snapshotSendBytesPerS: 16 * MiB }));
  cluster.ballast = 4 * MiB;
  const { leader, lost } = await behind(cluster);
  const member = await cluster.start(lost);
  let cuts = 0;
  let seen = 0;
  await until("it has one", WAIT_MS, async () => {
    const progress = member.node.status().receivingSnapshot;
    if (progress !== null && progress.bytes > seen + 700 * KiB && cuts < 4) {
      seen = progress.bytes;
      cuts++;
      network.partition([leader.id], [lost]);
      await new Promise((resolve) => setTimeout(resolve, 30));
      network.heal();
    }
    return member.machine.restored.length > 0;
  });
  assert.ok(cuts >= 3, `${cuts} cuts`);
  const { snapshotBytesSent } = leader.node.metrics;
  // What was under way when it was cut was sent again: less than the window for each.
  assert.equal(member.node.metrics.snapshotsReceived, 1);
  assert.ok(snapshotBytesSent < 4 * MiB + cuts * MiB + 200 * KiB, `${snapshotBytesSent} bytes sent`);
  await cluster.load(leader, 20);
  await cluster.level();
});

test("a member whose word that it has its snapshot is lost says so again when it is connected again", async (t) => {
  const network = new MemoryNetwork();
  let muted = 0;
  const cluster = new Cluster(t, ADDRESSES, (id) => ({ link: mute(network.link(id), () => id === muted) }));
  const { leader, lost } = await behind(cluster);
  muted = lost;
  const member = await cluster.start(lost);
  await until("it has one", WAIT_MS, () => member.node.metrics.snapshotsReceived === 1);
  muted = 0;
  network.partition([leader.id], [lost]);
  network.heal();
  await cluster.load(leader, 20);
  await cluster.level();
  assert.deepEqual(leader.lines.matching(/did not get the snapshot/), []);
});

test("a member that never heard of its snapshot, as that was lost with a connection, is told of it at the next", async (t) => {
  const network = new MemoryNetwork();
  let isLost = true;
  const cluster = new Cluster(t, ADDRESSES, (id) => ({
    link: losing(network.link(id), ({ type }) => isLost && type === MsgSnap),
  }));
  const { leader, lost } = await behind(cluster);
  await cluster.start(lost);
  await until("one is sent", WAIT_MS, () => leader.node.status().sendingSnapshots.length === 1);
  isLost = false;
  network.partition([leader.id], [lost]);
  network.heal();
  await cluster.load(leader, 20);
  await cluster.level();
  assert.deepEqual(leader.lines.matching(/did not get the snapshot/), []);
});

/** A link that sends nothing of what `isLost`. */
function losing(link: Link, isLost: (message: Message) => boolean): Link {
  return {
    ...meddling(link, () => {}),
    send: (group, messages) =>
      link.send(
        group,
        messages.filter((message) => !isLost(message)),
      ),
  };
}

/** A link that, while it is to be, says nothing of what this node stored, nor of a snapshot but what it wants. */
function mute(link: Link, isMute: () => boolean): Link {
  return {
    ...losing(link, ({ type }) => isMute() && type === MsgAppResp),
    openSnapshotLane: (peer, events): SnapshotLane => {
      const lane = link.openSnapshotLane!(peer, events);
      const send = (bytes: Uint8Array): boolean => (isMute() && bytes[0] === END ? true : lane.send(bytes));
      return { send, close: () => lane.close() };
    },
  };
}

/** A link that changes what of a snapshot comes to this node. */
function meddling(link: Link, change: (piece: Uint8Array) => void): Link {
  return {
    start: (handler) => link.start(handler),
    send: (group, messages) => link.send(group, messages),
    setPeer: (peer, address) => link.setPeer(peer, address),
    stats: () => link.stats(),
    close: () => link.close(),
    implementation: link.implementation,
    openSnapshotLane: (peer, events): SnapshotLane =>
      link.openSnapshotLane!(peer, {
        onOpen: () => events.onOpen(),
        onMessage: (bytes) => {
          if (bytes[0] === PIECE) change(bytes);
          return events.onMessage(bytes);
        },
      }),
  };
}

test("a piece that is damaged is refused, and asked for again", async (t) => {
  const network = new MemoryNetwork();
  let damaged = 0;
  const cluster = new Cluster(t, ADDRESSES, (id) => ({
    link: meddling(network.link(id), (piece) => {
      if (damaged++ % 3 === 0) piece[PIECE_HEAD_BYTES + (damaged % 100)]! ^= 1;
    }),
  }));
  cluster.ballast = 2 * MiB;
  const { leader, lost } = await behind(cluster);
  const member = await cluster.start(lost);
  await until("it has one", WAIT_MS, () => member.machine.restored.length > 0);
  assert.ok(damaged >= 3);
  await cluster.load(leader, 20);
  await cluster.level();
});

test("however slow the pace, a piece comes several times a second", async (t) => {
  const network = new MemoryNetwork();
  const sizes: number[] = [];
  const bytesPerS = 32 * KiB;
  const cluster = new Cluster(t, ADDRESSES, (id) => ({
    link: meddling(network.link(id), (piece) => sizes.push(piece.length - PIECE_HEAD_BYTES)),
    snapshotSendBytesPerS: bytesPerS,
  }));
  cluster.ballast = 20 * KiB;
  const { lost } = await behind(cluster);
  const member = await cluster.start(lost);
  await until("it has one", WAIT_MS, () => member.machine.restored.length > 0);
  assert.ok(sizes.length > 1 && Math.max(...sizes) <= bytesPerS / 4, `${sizes}`);
});

for (const isIdle of [false, true])
  test(`a file that is not sound changes nothing: the leader takes another, and that is taken${isIdle ? ", though nothing was applied since" : ""}`, async (t) => {
    const { cluster } = inMemory(t);
    const { leader, lost } = await behind(cluster);
    // So that none comes by itself before the member asks.
    await leader.node.takeSnapshot();
    await until(
      "none is under way",
      WAIT_MS,
      () => leader.machine.asked === leader.node.metrics.snapshotsTaken,
    );
    // The leader's disk: one bit of the state of each of its snapshots.
    const snap = path.join(cluster.dir, String(leader.id));
    const damaged = snapFiles(snap);
    for (const name of damaged) {
      const file = path.join(snap, "snap", name);
      const bytes = fs.readFileSync(file);
      bytes[1000]! ^= 16;
      fs.writeFileSync(file, bytes);
    }
    const indexes = damaged.map((name) => Number.parseInt(name.slice(17, 33), 16));
    if (!isIdle) await leader.node.propose(Buffer.from("something for the next one to have"));
    const member = await cluster.start(lost);
    let appliedBefore = -1;
    const restore = member.machine.restore.bind(member.machine);
    member.machine.restore = async (stream) => {
      appliedBefore = member.machine.applied;
      await restore(stream);
    };
    await until("it has one", WAIT_MS, () => member.machine.restored.length > 0);
    assert.ok(!indexes.includes(member.machine.restored[0]!), "it took a damaged one");
    assert.ok(member.node.metrics.snapshotsRefused >= 1);
    assert.ok(member.lines.matching(/WAL_CORRUPT|is not the one that was sent/).length >= 1);
    // Until then it had what its own log has.
    assert.ok(appliedBefore >= 0 && appliedBefore <= 20, `${appliedBefore}`);
    await cluster.load(leader, 20);
    await cluster.level();
  });

test("a member without restore() stays behind and says so; the group goes on", async (t) => {
  const { cluster } = inMemory(t);
  const { leader, lost } = await behind(cluster);
  const applied: number[] = [];
  const apply = (entries: readonly Entry[]): undefined => {
    for (const { index } of entries) applied.push(index);
  };
  const none = { snapshotEveryBytes: undefined, snapshotCatchUpBytes: undefined };
  const member = await cluster.start(lost, { stateMachine: { apply }, ...none });
  await until("it was sent one", WAIT_MS, () => member.node.metrics.snapshotsRefused >= 1);
  assert.ok(member.lines.matching(/stays behind: option stateMachine has no restore\(stream\)/).length >= 1);
  assert.deepEqual(leader.node.status().waitingForSnapshot, [lost]);
  await cluster.load(leader, 20);
  assert.equal(leader.node.status().fault, null);
  assert.equal(member.node.status().fault, null);
});

test("a leader of old whose log a snapshot replaces: what it had proposed may have been committed, or not", async (t) => {
  const { cluster, network } = inMemory(t, () => ({ leaderlessTimeoutMs: 100_000 }));
  for (const id of [1, 2, 3]) await cluster.start(id);
  const old = await cluster.leader();
  await cluster.load(old, 20);
  await cluster.level();
  const others = cluster.all.filter((member) => member !== old);
  network.partition(
    [old.id],
    others.map(({ id }) => id),
  );
  const pending = old.node.propose(Buffer.from("of the old leader"));
  const outcome = assert.rejects(pending, { code: "RAFT_LEADERSHIP_LOST", mayCommit: true });
  const isLeader = ({ node }: Member): boolean => node.status().state === "StateLeader";
  await until("another leads", WAIT_MS, () => others.some(isLeader));
  const leader = others.find(isLeader)!;
  const { lastIndex } = old.node.status();
  while (leader.node.status().log.firstIndex <= lastIndex + 1) await cluster.load(leader, 100);
  network.heal();
  await until("it has one", WAIT_MS, () => old.machine.restored.length > 0);
  await outcome;
  await cluster.load(leader, 20);
  await cluster.level();
});

test("leadership goes to and fro while one is on its way: it comes on from who began to send it", async (t) => {
  const { cluster } = inMemory(t, () => ({ snapshotSendBytesPerS: 2 * MiB }));
  cluster.ballast = 3 * MiB;
  const { leader, lost } = await behind(cluster);
  const member = await cluster.start(lost);
  const others = cluster.all.filter(({ id }) => id !== lost);
  const sent = (): number => others.reduce((sum, { node }) => sum + node.metrics.snapshotBytesSent, 0);
  let changes = 0;
  await until("it has one", WAIT_MS, async () => {
    if (sent() > (changes + 1) * 512 * KiB) {
      const from = await cluster.leader();
      const heir = others.find(({ id }) => id !== from.id)!;
      from.node.transferLeadership(heir.id);
      await until("another leads", WAIT_MS, () => heir.node.status().state === "StateLeader");
      await cluster.load(heir, 20);
      changes++;
    }
    return member.machine.restored.length > 0;
  });
  assert.ok(changes >= 3, `${changes} changes`);
  assert.ok(sent() < 3 * MiB + 200 * KiB, `${sent()} bytes sent`);
  assert.equal(member.node.metrics.snapshotsReceived, 1);
  assert.deepEqual(
    others.map(({ node }) => node.metrics.snapshotsSent),
    others.map(({ id }) => Number(id === leader.id)),
  );
  await cluster.load(await cluster.leader(), 20);
  await cluster.level();
  assert.equal(member.node.metrics.snapshotsReceived, 1);
});

test("the leader that sends one is cut off: another's is taken", async (t) => {
  const { cluster, network } = inMemory(t, () => ({ snapshotSendBytesPerS: 2 * MiB }));
  cluster.ballast = 1 * MiB;
  const { leader, lost } = await behind(cluster);
  const member = await cluster.start(lost);
  const heir = cluster.all.find(({ id }) => id !== leader.id && id !== lost)!;
  await until(
    "it is on its way",
    WAIT_MS,
    () => (member.node.status().receivingSnapshot?.bytes ?? 0) > 256 * KiB,
  );
  network.partition([leader.id], [heir.id, lost]);
  await until("it has one", WAIT_MS, () => member.machine.restored.length > 0);
  assert.deepEqual([leader.node.metrics.snapshotsSent, heir.node.metrics.snapshotsSent], [0, 1]);
  network.heal();
  await cluster.load(heir, 20);
  await cluster.level();
});

test("a state machine at work is done with what it was handed before a snapshot takes its state's place", async (t) => {
  const events: string[] = [];
  let letGo = (): void => {};
  let isHeld = false;
  class Slow extends SlotMachine {
    override apply(entries: readonly Entry[]): never {
      const later = isHeld ? new Promise<void>((resolve) => (letGo = resolve)) : Promise.resolve();
      return later.then(() => {
        events.push(`apply ${entries.at(-1)!.index}`);
        return super.apply(entries);
      }) as never;
    }

    override async restore(stream: Parameters<SlotMachine["restore"]>[0]): Promise<void> {
      events.push("restore");
      await super.restore(stream);
    }
  }
  const slow = new Slow();
  const { cluster, network } = inMemory(t, (id) => (id === 3 ? { stateMachine: slow } : {}));
  for (const id of [1, 2, 3]) await cluster.start(id);
  cluster.members.get(1)!.node.campaign();
  await until("node 1 or 2 leads", WAIT_MS, async () => {
    const { id, node } = await cluster.leader();
    if (id === 3) node.transferLeadership(1);
    return id !== 3;
  });
  const leader = await cluster.leader();
  const { node } = cluster.members.get(3)!;
  await cluster.load(leader, 10);
  await until("level", WAIT_MS, () => slow.applied === leader.machine.applied);
  isHeld = true;
  await cluster.load(leader, 1);
  await until("it is at work, and more waits", WAIT_MS, () => node.status().commit > node.status().applied);
  await cluster.load(leader, 3);
  network.partition([3], [1, 2]);
  const lastIndex = node.status().lastIndex;
  await until("the leader's log begins behind", WAIT_MS, async () => {
    await cluster.load(leader, 50);
    return leader.node.status().log.firstIndex > lastIndex + 1;
  });
  network.heal();
  await until("it has come", WAIT_MS, () => node.metrics.snapshotsReceived > 0);
  const { messagesReceived } = node.metrics;
  await until("the leader goes on", WAIT_MS, async () => {
    await cluster.load(leader, 1);
    return node.metrics.messagesReceived > messagesReceived + 10;
  });
  assert.equal(events.includes("restore"), false, "its state was replaced under its hands");
  assert.equal(node.metrics.snapshotsReceived, 1, "it was sent the same again");
  isHeld = false;
  letGo();
  await until("it is level", WAIT_MS, () => slow.applied >= leader.machine.applied);
  assert.equal(slow.hash, leader.machine.hash);
  const at = events.indexOf("restore");
  assert.ok(at > 0 && events.lastIndexOf("restore") === at, events.slice(-5).join());
});

/** A link that keeps back the answers to reads. */
function withoutAnswers(link: Link, held: Message[]): { link: Link; answer: (message: Message) => void } {
  let handler: LinkHandler | null = null;
  return {
    answer: (message) => void handler!.onMessages(0, message.from, [message]),
    link: {
      ...meddling(link, () => {}),
      start: (given) => {
        handler = given;
        return link.start({
          ...given,
          get hello() {
            return given.hello;
          },
          onMessages: (group, from, messages) => {
            for (const one of messages) if (one.type === MsgReadIndexResp) held.push(one);
            return given.onMessages(
              group,
              from,
              messages.filter(({ type }) => type !== MsgReadIndexResp),
            );
          },
        } as LinkHandler);
      },
    },
  };
}

test("while the state is being replaced no read is let through to it, and close() waits for it", async (t) => {
  const network = new MemoryNetwork();
  const held: Message[] = [];
  const own = withoutAnswers(network.link(3), held);
  let letGo = (): void => {};
  let restoring = false;
  class Slow extends SlotMachine {
    override async restore(stream: Parameters<SlotMachine["restore"]>[0]): Promise<void> {
      restoring = true;
      await new Promise<void>((resolve) => (letGo = resolve));
      await super.restore(stream);
      restoring = false;
    }
  }
  const cluster = new Cluster(t, ADDRESSES, (id) => ({
    link: id === 3 ? own.link : network.link(id),
    electionTicks: id === 3 ? 200 : 10,
    requestTimeoutMs: 10 * WAIT_MS,
    leaderlessTimeoutMs: 10 * WAIT_MS,
    ...(id === 3 ? { stateMachine: new Slow() } : {}),
  }));
  for (const id of [1, 2, 3]) await cluster.start(id);
  cluster.members.get(1)!.node.campaign();
  const leader = await cluster.leader();
  const { node } = cluster.members.get(3)!;
  await cluster.load(leader, 10);
  await until("it has all", WAIT_MS, () => node.status().applied === leader.node.status().applied);
  let isRead = false;
  const giveUp = new AbortController();
  const read = node.readBarrier({ signal: giveUp.signal }).then(() => {
    isRead = true;
  });
  await until("an answer", WAIT_MS, () => held.length > 0);
  assert.ok(held[0]!.index <= node.status().applied);
  network.partition([3], [1, 2]);
  const { lastIndex } = node.status();
  await until("the leader's log begins behind", WAIT_MS, async () => {
    await cluster.load(leader, 50);
    return leader.node.status().log.firstIndex > lastIndex + 1;
  });
  network.heal();
  await until("it is being replaced", WAIT_MS, () => restoring);
  own.answer(held[0]!);
  await cluster.load(leader, 50);
  await until(
    "what follows is in its log",
    WAIT_MS,
    () => node.status().lastIndex >= leader.node.status().applied,
  );
  assert.equal(isRead, false, "it was let through to a state that was being replaced");
  giveUp.abort();
  await assert.rejects(read, { code: "RAFT_ABORTED" });
  const closing = node.close({ timeoutMs: 10 * WAIT_MS }).then(() => restoring);
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
  letGo();
  assert.equal(await closing, false, "closed while the state machine was at work");
});
