// What befalls a cluster of the service under load, one step after another: each leaves it whole. A step has its faults
// in force until something was acknowledged meanwhile, where a majority is left that can.
import assert from "node:assert/strict";
import type { Prng } from "../../src/base/prng.js";
import type { PathState } from "../relay.js";
import type { FaultyCluster, Status } from "./faulty-cluster.js";
import type { KvHistory } from "./kv-history.js";
import { pause } from "./nemesis-clients.js";

/** Acknowledged changes that show that the group goes on. */
const SIGN_OF_LIFE = 20;
const STOPPED_MS = 10_000;
const LEADERS_KILLED = 10;

export interface Scene {
  readonly cluster: FaultyCluster;
  readonly history: KvHistory;
  readonly random: Prng;
  /** How long a cut lasts, at least. */
  readonly spanMs: number;
}

export interface Step {
  readonly name: string;
  run(scene: Scene): Promise<void>;
}

export const STEPS: readonly Step[] = [
  { name: "each killed and started again in turn", run: killInTurn },
  { name: "the leader killed ten times", run: killLeaders },
  { name: "a follower stands still for 10 s", run: stopFollower },
  { name: "the leader sees nobody, and nobody sees it", run: isolateLeader },
  { name: "a cut one way", run: cutOneWay },
  { name: "two do not see each other, and the third sees both", run: bridge },
];

/** Behind the others: paths to a member that is added lead through no relay. */
export const MEMBER_STEPS: readonly Step[] = [
  { name: "a member is replaced", run: replaceMember },
  { name: "a member loses its disk, and joins again as a new one", run: wipeMember },
  { name: "the members that are there now killed and started again in turn", run: killInTurn },
];

async function killInTurn(scene: Scene): Promise<void> {
  const { cluster, random } = scene;
  for (const id of shuffled(cluster.ids, random)) {
    await pause(random.below(500));
    await cluster.kill(id);
    await signOfLife(scene, `node ${id} is killed`);
    await cluster.startNode(id);
    await cluster.caughtUp(id);
  }
}

async function killLeaders(scene: Scene): Promise<void> {
  const { cluster, random } = scene;
  for (let i = 1; i <= LEADERS_KILLED; i++) {
    const leader = await cluster.leader();
    await pause(random.below(300));
    await cluster.kill(leader);
    await signOfLife(scene, `leader ${leader} is killed, the ${i}th`);
    await cluster.startNode(leader);
  }
}

async function stopFollower(scene: Scene): Promise<void> {
  const { cluster, random } = scene;
  const leader = await cluster.leader();
  const follower = some(without(cluster.ids, leader), random);
  cluster.stopNode(follower);
  await pause(STOPPED_MS);
  await signOfLife(scene, `node ${follower} is stopped`);
  cluster.goOn(follower);
  await cluster.caughtUp(follower);
}

async function isolateLeader(scene: Scene): Promise<void> {
  const { cluster, random } = scene;
  const leader = await cluster.leader();
  const state = kindOfCut(random);
  for (const id of without(cluster.ids, leader)) cluster.setBothWays(leader, id, state);
  await last(scene, `leader ${leader} is isolated (${state})`, (all) => commitOf(all, leader));
}

/** A member does not hear the others, or is not heard by them. */
async function cutOneWay(scene: Scene): Promise<void> {
  const { cluster, random } = scene;
  const leader = await cluster.leader();
  const member = random.below(2) === 0 ? leader : some(without(cluster.ids, leader), random);
  const isDeaf = random.below(2) === 0;
  const state = kindOfCut(random);
  for (const id of without(cluster.ids, member)) {
    if (isDeaf) cluster.setPath(member, id, state);
    else cluster.setPath(id, member, state);
  }
  const what = isDeaf ? "does not hear the others" : "is not heard";
  // Who is not heard may hear what is new, but nobody learns that it does.
  const knownOf = (all: readonly Status[]) => (isDeaf ? commitOf(all, member) : matchOf(all, member));
  await last(scene, `node ${member} ${what} (${state}; leader ${leader})`, knownOf);
}

async function bridge(scene: Scene): Promise<void> {
  const { cluster, random } = scene;
  const leader = await cluster.leader();
  const follower = some(without(cluster.ids, leader), random);
  const state = kindOfCut(random);
  const term = leading(await cluster.statuses())?.term;
  cluster.setBothWays(leader, follower, state);
  await last(scene, `leader ${leader} and node ${follower} are apart (${state})`, (all) => {
    const now = leading(all);
    // Both see the third, if that leads by now.
    return now?.id === leader && now.term === term ? commitOf(all, follower) : null;
  });
}

/** One change brings the new one in and the old one, which runs, out; whoever leads. */
async function replaceMember(scene: Scene): Promise<void> {
  const { cluster, random } = scene;
  const old = some(cluster.ids, random);
  const id = Math.max(...cluster.ids) + 1;
  await cluster.join(id);
  await cluster.changeMembers({ add: [{ ...cluster.memberOf(id), learner: true }] });
  await cluster.caughtUp(id);
  await cluster.changeMembers({ promote: [id], remove: [old] });
  const code = await cluster.farewell(old);
  assert.equal(code, 0, `node ${old} was removed, and ended with ${code}`);
  await signOfLife(scene, `node ${id} stands for node ${old}`);
}

/** As docs/operate.md has it ("When a disk is lost"), at the same addresses. */
async function wipeMember(scene: Scene): Promise<void> {
  const { cluster, random } = scene;
  const old = some(cluster.ids, random);
  await cluster.kill(old);
  await signOfLife(scene, `node ${old} is gone`);
  const id = Math.max(...cluster.ids) + 1;
  await cluster.join(id, old);
  await cluster.changeMembers({
    add: [{ ...cluster.memberOf(id), learner: true }],
    remove: [old],
  });
  await cluster.caughtUp(id);
  await cluster.changeMembers({ promote: [id] });
  await signOfLife(scene, `node ${id} stands for node ${old}`);
}

/**
 * The cuts last, and the group goes on; then they are mended. `reached` says how far who is cut off came: less far than the
 * others, or something would lead past the cuts. Null: that cannot be said.
 */
async function last(
  scene: Scene,
  what: string,
  reached: (all: readonly Status[]) => number | null | undefined,
): Promise<void> {
  const { cluster } = scene;
  await pause(scene.spanMs + scene.random.below(scene.spanMs));
  await signOfLife(scene, what);
  await cluster.until(`all to tell how far they are while ${what}`, async () => {
    const all = await cluster.statuses();
    if (all.length < cluster.ids.length) return false;
    const came = reached(all);
    if (came === undefined) return false;
    const most = Math.max(...all.map(({ commit }) => commit));
    assert.ok(came === null || came + SIGN_OF_LIFE <= most, `${what}, and came to ${came} of ${most}`);
    return true;
  });
  await cluster.heal();
}

/** Who leads, in the highest term that anybody knows; undefined: nobody yet. */
function leading(all: readonly Status[]): Status | undefined {
  const newest = Math.max(...all.map(({ term }) => term));
  return all.find(({ id, term, leader }) => term === newest && leader === id);
}

function commitOf(all: readonly Status[], id: number): number | undefined {
  return all.find((one) => one.id === id)?.commit;
}

/** What the leader has heard that `id` has. */
function matchOf(all: readonly Status[], id: number): number | undefined {
  return leading(all)?.progress.find((one) => one.id === id)?.match;
}

/** Changes that were begun after this was called, or not long before it, are acknowledged. */
async function signOfLife({ cluster, history }: Scene, what: string): Promise<void> {
  const goal = history.acknowledged + SIGN_OF_LIFE;
  await cluster.until(`acknowledged changes while ${what}`, () => history.acknowledged >= goal);
}

function kindOfCut(random: Prng): PathState {
  return random.below(2) === 0 ? "stalled" : "closed";
}

function without(ids: readonly number[], id: number): number[] {
  return ids.filter((other) => other !== id);
}

function some<T>(list: readonly T[], random: Prng): T {
  return list[random.below(list.length)]!;
}

export function shuffled<T>(list: readonly T[], random: Prng): T[] {
  const rest = [...list];
  const all: T[] = [];
  while (rest.length > 0) all.push(...rest.splice(random.below(rest.length), 1));
  return all;
}
