// Changes of members over sockets, under load: links to new members open and those to removed ones close while the group
// runs; who comes back is told by a coded close.
import assert from "node:assert/strict";
import { test } from "node:test";
import { freePeers } from "../listen.js";
import { until } from "../process/support.js";
import { tempDir } from "../temp-dir.js";
import { type Given, leaderOf, openNode, type Running, WAIT_MS } from "./nodes.js";

function those(at: Record<number, string>, ...ids: number[]): Record<number, string> {
  return Object.fromEntries(ids.map((id) => [id, at[id]!]));
}

test("members are replaced one by one under load, until none of the first is left; nothing acknowledged is lost", async (t) => {
  const dir = tempDir(t);
  const at = await freePeers(6);
  const open = (id: number, ids: number[], more: Given = {}): Promise<Running> =>
    openNode(t, dir, id, 1, { listen: at[id]!, peers: those(at, ...ids), ...more });
  const running = new Map<number, Running>();
  for (const id of [1, 2, 3]) running.set(id, await open(id, [1, 2, 3]));
  const voters = (): Running[] =>
    [...running.values()].filter(({ node }) => {
      const { state, id, members } = node.status();
      return state !== "StateRemoved" && members.some((one) => one.id === id && one.role === "voter");
    });
  await leaderOf(voters());

  const acknowledged: string[] = [];
  let loads = true;
  const load = (async () => {
    for (let i = 0; loads; i++) {
      const [any] = voters();
      const text = `entry ${i}`;
      const answer = any!.node.propose(Buffer.from(text), { timeoutMs: 5000 });
      await answer.then(
        () => acknowledged.push(text),
        () => new Promise((resolve) => setImmediate(resolve)),
      );
    }
  })();
  // Whoever leads takes it; a leader that was just deposed or elected does not.
  const change = async (ask: (leader: Running) => Promise<unknown>): Promise<void> => {
    for (;;) {
      try {
        await ask(await leaderOf(voters()));
        return;
      } catch (error) {
        const { code } = error as { code: string };
        if (!["RAFT_NOT_LEADER", "RAFT_PROPOSAL_DROPPED"].includes(code)) throw error;
      }
    }
  };

  // The first goes while it is down.
  await running.get(1)!.node.close();
  running.delete(1);
  let ids = [2, 3];
  for (const [lost, fresh] of [
    [1, 4],
    [2, 5],
    [3, 6],
  ] as const) {
    const newest = await open(fresh, [...ids, fresh], { initialClusterState: "existing" });
    await until(
      "it is told that it is no member yet",
      WAIT_MS,
      () => newest.lines.matching(/refuses this node: unknown peer .*changeMembership/).length > 0,
    );
    const learner = { id: fresh, address: at[fresh]!, learner: true };
    await change(({ node }) => node.changeMembership({ add: [learner] }));
    running.set(fresh, newest);
    const leader = await leaderOf(voters());
    await until("it has caught up", WAIT_MS, () => {
      const { progress, commit } = leader.node.status();
      const match = progress.find(({ id }) => id === fresh)?.match ?? 0;
      return match > 0.99 * commit || leader.node.status().state !== "StateLeader";
    });
    await change(({ node }) => node.changeMembership({ promote: [fresh], remove: [lost] }));
    ids = [...ids.filter((id) => id !== lost), fresh];
    const old = running.get(lost);
    if (old !== undefined) await until("it stops", WAIT_MS, () => old.node.status().state === "StateRemoved");
    running.delete(lost);
  }
  loads = false;
  await load;
  const all = [4, 5, 6].map((id) => running.get(id)!);
  await until("all know", WAIT_MS, () =>
    all.every(
      ({ node }) =>
        node
          .status()
          .members.map(({ id, role }) => `${id} ${role}`)
          .join() === "4 voter,5 voter,6 voter",
    ),
  );
  assert.ok(acknowledged.length > 0);
  await until("all have all", WAIT_MS, () =>
    all.every(({ machine }) => machine.log.includes(acknowledged[acknowledged.length - 1]!)),
  );
  for (const { machine } of all) {
    const log = new Set(machine.log);
    assert.deepEqual(
      acknowledged.filter((text) => !log.has(text)),
      [],
    );
  }

  // What was down all the time knows of nobody who is a member now, until one of its old peers is one again.
  const stale = await open(4, [1, 2, 3, 4]).catch((error: { code: string }) => error.code);
  assert.equal(stale, "WAL_LOCKED");
  await running.get(4)!.node.close();
  const again = await open(4, [1, 2, 3, 4]);
  running.set(4, again);
  const leader = await leaderOf([5, 6].map((id) => running.get(id)!));
  await leader.node.propose(Buffer.from("to all"));
  await until("it hears the others", WAIT_MS, () => again.machine.log.includes("to all"));
  await until(
    "it tells of them",
    WAIT_MS,
    () => again.lines.matching(/are nodes 4, 5, 6: the log/).length > 0,
  );
});

test("a member that was down while it was removed is told so with a coded close, and stops", async (t) => {
  const dir = tempDir(t);
  const peers = await freePeers(3);
  const open = (id: number): Promise<Running> => openNode(t, dir, id, 1, { listen: peers[id]!, peers });
  const running = [await open(1), await open(2), await open(3)];
  const leader = await leaderOf(running);
  const away = leader === running[2] ? 2 : 3;
  await running[away - 1]!.node.close();
  await leader.node.changeMembership({ remove: [away] });
  const codes: unknown[] = [];
  const back = await open(away);
  back.node.on("peer", ({ refusal }) => codes.push(refusal?.code));
  await until("it is told", WAIT_MS, () => back.node.status().state === "StateRemoved");
  await until("with a code", WAIT_MS, () => codes.includes(4014));
  assert.ok(leader.node.status().members.every(({ id }) => id !== away));
});

test("a new member whose options name nobody who is there is reached by those who know it", async (t) => {
  const dir = tempDir(t);
  const at = await freePeers(4);
  const running: Running[] = [];
  for (const id of [1, 2, 3])
    running.push(await openNode(t, dir, id, 1, { listen: at[id]!, peers: those(at, 1, 2, 3) }));
  await running[0]!.node.close();
  const rest = running.slice(1);
  const leader = await leaderOf(rest);
  const four = await openNode(t, dir, 4, 1, {
    listen: at[4]!,
    peers: those(at, 1, 4),
    initialClusterState: "existing",
  });
  await leader.node.changeMembership({ add: [{ id: 4, address: at[4]!, learner: true }], remove: [1] });
  await leader.node.propose(Buffer.from("heard"));
  await until("it has the log", WAIT_MS, () => four.machine.log.includes("heard"));
  assert.deepEqual(
    four.node.status().members.map(({ id, address }) => `${id} ${address}`),
    [2, 3, 4].map((id) => `${id} ${at[id]!}`),
  );
});

test("a member that was away while the others moved is reached by them, and hears them again", async (t) => {
  const dir = tempDir(t);
  const at = await freePeers(5);
  const addresses = those(at, 1, 2, 3);
  const before = { ...addresses };
  const open = (id: number, peers: Record<number, string>): Promise<Running> =>
    openNode(t, dir, id, 1, { listen: peers[id]!, peers: { ...peers } });
  const running = new Map<number, Running>();
  for (const id of [1, 2, 3]) running.set(id, await open(id, before));
  await leaderOf([...running.values()]);
  await running.get(3)!.node.close();
  running.delete(3);
  for (const id of [1, 2]) {
    const leader = await leaderOf([...running.values()]);
    const address = at[id + 3]!;
    await leader.node.changeMembership({ update: [{ id, address }] });
    const knows = ({ node }: Running): boolean =>
      node.status().members.some((one) => one.id === id && one.address === address);
    await until("both know", WAIT_MS, () => [...running.values()].every(knows));
    await running.get(id)!.node.close();
    addresses[id] = address;
    running.set(id, await open(id, addresses));
  }
  const leader = await leaderOf([...running.values()]);
  await leader.node.propose(Buffer.from("at other places"));
  const back = await open(3, before);
  await until("it has the log", WAIT_MS, () => back.machine.log.includes("at other places"));
});

test("a member that needs an entry from when maxFrameBytes was larger stays behind, and the leader says so", async (t) => {
  const dir = tempDir(t);
  const at = await freePeers(3);
  const open = (id: number, more: Given): Promise<Running> =>
    openNode(t, dir, id, 1, { listen: at[id]!, peers: those(at, 1, 2, 3), ...more });
  let running = await Promise.all([1, 2].map((id) => open(id, {})));
  await (await leaderOf(running)).node.propose(new Uint8Array(100_000));
  for (const { node } of running) await node.close();
  running = await Promise.all([1, 2, 3].map((id) => open(id, { maxFrameBytes: 65_536 })));
  const told = () =>
    running.some(
      ({ lines }) => lines.matching(/node 3 needs an entry that is too long for a frame/).length > 0,
    );
  await until("it is told", WAIT_MS, told);
  for (const { node } of running) await node.close();
  running = await Promise.all([1, 2, 3].map((id) => open(id, {})));
  await running[2]!.node.readBarrier();
});
