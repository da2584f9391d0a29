// Three processes under load that take snapshots all the time, killed (SIGKILL) at any moment: while one is taken, sent,
// received or installed. Nothing acknowledged is lost, and all states are the same.
import assert from "node:assert/strict";
import { type ChildProcess, fork } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Prng } from "../../src/base/prng.js";
import { freePeers } from "../listen.js";
import type { Told } from "./snapshot-node.js";
import { killChild, nextMessage, scratchDir, until } from "./support.js";

const PROGRAM = fileURLToPath(new URL("./snapshot-node.js", import.meta.url));
const WAIT_MS = 60_000;
const ROUNDS = Number(process.env.SNAPSHOT_ROUNDS ?? 6);
/** Fewer than a round takes, on whatever disk: in each of them a snapshot is taken, and the log before it released. */
const ENTRIES_EACH = 100;

class Member {
  child: ChildProcess | null = null;
  /** What it told last; of the process that ended, too. */
  last: Told | null = null;
  /** Acknowledged by processes that ended, as far as they told. */
  ackedBefore = 0;

  constructor(
    readonly id: number,
    private readonly dir: string,
    private readonly peers: Record<number, string>,
  ) {}

  async start(): Promise<void> {
    const child = fork(PROGRAM, [
      String(this.id),
      join(this.dir, String(this.id)),
      JSON.stringify(this.peers),
    ]);
    this.child = child;
    assert.equal(await nextMessage(child), "open");
  }

  async say(what: "load" | "rest" | "tell"): Promise<Told> {
    const told = nextMessage(this.child!);
    this.child!.send(what);
    this.last = (await told) as Told;
    assert.equal(this.last.fault, null);
    return this.last;
  }

  async kill(): Promise<void> {
    const { child } = this;
    this.ackedBefore += this.last?.acked ?? 0;
    this.last = null;
    this.child = null;
    await killChild(child!);
  }
}

test("killed at any moment of a snapshot's life, here or on its way: nothing is lost, all states are equal", async (t) => {
  const seed = Number(process.env.SEED ?? 1);
  const prng = new Prng(seed);
  const dir = scratchDir("snapshots");
  const peers = await freePeers(3);
  const members = [1, 2, 3].map((id) => new Member(id, dir.path, peers));
  t.after(async () => {
    for (const member of members) if (member.child !== null) await member.kill();
    dir.remove();
  });
  t.diagnostic(`SEED=${seed} SNAPSHOT_ROUNDS=${ROUNDS} node --test dist/test/process/snapshots.test.js`);
  for (const member of members) await member.start();
  const up = (): Member[] => members.filter(({ child }) => child !== null);
  /** Who leads, loaded. */
  const leader = async (): Promise<Member> => {
    let found: Member | undefined;
    await until("a leader", WAIT_MS, async () => {
      for (const member of up()) if ((await member.say("tell")).leads) found = member;
      return found !== undefined;
    });
    await found!.say("load");
    return found!;
  };
  let received = 0;
  let interrupted = 0;
  for (let round = 0; round < ROUNDS; round++) {
    let leads = await leader();
    const victim = round % 3 === 0 ? leads : up().find((member) => member !== leads)!;
    const { lastIndex } = await victim.say("tell");
    await sleep(prng.below(300));
    await victim.kill();
    leads = await leader();
    const gone = async (): Promise<boolean> => (await leads.say("tell")).firstIndex > lastIndex + 1;
    await until("what it lacks is released", WAIT_MS, gone);
    await victim.start();
    if (round % 2 === 0) {
      // And again, while it receives, or a moment later.
      await until("it receives", WAIT_MS, async () => {
        const { receiving, received } = await victim.say("tell");
        return receiving > prng.below(1 << 20) || received > 0;
      });
      await sleep(prng.below(40));
      await victim.kill();
      interrupted++;
      await victim.start();
    }
    // Of what it lacks of that, the first part is in no log any more.
    const { applied } = await (await leader()).say("tell");
    await until("it catches up under load", WAIT_MS, async () => {
      await leader();
      return (await victim.say("tell")).applied >= applied;
    });
    received += (await victim.say("tell")).received;
    t.diagnostic(`round ${round}: node ${victim.id} is back`);
  }
  for (const member of members) await member.say("rest");
  await sleep(200);
  let told: Told[] = [];
  await until("all are level", WAIT_MS, async () => {
    told = [];
    for (const member of members) told.push(await member.say("tell"));
    return (
      told.every(({ applied }) => applied === told[0]!.applied) && told.every(({ leader }) => leader !== 0)
    );
  });
  assert.equal(new Set(told.map(({ hash }) => hash)).size, 1, "the states differ");
  const acked = members.reduce((sum, { ackedBefore, last }) => sum + ackedBefore + last!.acked, 0);
  assert.ok(told[0]!.count >= acked, `${acked} acknowledged, ${told[0]!.count} in the state`);
  assert.ok(acked > ROUNDS * ENTRIES_EACH, `${acked} acknowledged`);
  assert.ok(received >= ROUNDS / 4, `${received} snapshots received`);
  assert.equal(
    told.reduce((sum, { failed }) => sum + failed, 0),
    0,
  );
  t.diagnostic(
    `${acked} acknowledged, ${received} snapshots received in the end, ${interrupted} cut off by a kill`,
  );
});
