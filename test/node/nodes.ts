// Nodes of one cluster in this process, over a network in memory or over sockets, for tests of RaftNode itself.
import assert from "node:assert/strict";
import path from "node:path";
import type { TestContext } from "node:test";
import {
  type Entry,
  type Logger,
  type RaftmarkError,
  RaftNode,
  type RaftNodeOptions,
} from "../../src/index.js";
import { MemoryNetwork } from "../../src/link/index.js";
import { until } from "../process/support.js";
import { atEnd, tempDir } from "../temp-dir.js";

export const WAIT_MS = 60_000;

/** Remembers what it applied. */
export class Machine {
  readonly log: string[] = [];

  apply(entries: readonly Entry[]): undefined {
    for (const { data } of entries) this.log.push(Buffer.from(data).toString());
  }

  async restore(): Promise<void> {}
}

/** "warn RAFT_LOG_LOST: ...": level and text of each line. */
export class Lines implements Logger {
  readonly all: string[] = [];
  debug = (): void => {};
  info = (_: object, text: string): unknown => this.all.push(`info ${text}`);
  warn = (_: object, text: string): unknown => this.all.push(`warn ${text}`);
  error = (_: object, text: string): unknown => this.all.push(`error ${text}`);

  matching(pattern: RegExp): string[] {
    return this.all.filter((line) => pattern.test(line));
  }
}

export interface Running {
  readonly node: RaftNode;
  readonly machine: Machine;
  readonly lines: Lines;
}

/** Options, of which undefined undoes a default of the tests. */
export type Given = { [K in keyof RaftNodeOptions]?: RaftNodeOptions[K] | undefined };

/** Opens node `id` of a cluster of `n` in `dir`/id; it is closed when the test ends. */
export async function openNode(
  t: TestContext,
  dir: string,
  id: number,
  n: number,
  more: Given,
): Promise<Running> {
  const machine = new Machine();
  const lines = new Lines();
  const peers: Record<number, string> = {};
  for (let peer = 1; peer <= n; peer++) peers[peer] = `127.0.0.1:${7000 + peer}`;
  const node = await RaftNode.open({
    id,
    dir: path.join(dir, String(id)),
    listen: peers[id]!,
    peers,
    secret: "of the test",
    stateMachine: machine,
    logger: lines as Logger,
    writer: "inline-wasm",
    durability: "none",
    segmentBytes: 1 << 20,
    tickMs: 40,
    ...more,
  } as RaftNodeOptions);
  atEnd(t, () => node.close());
  return { node, machine, lines };
}

/** Nodes 1 to `n` of one cluster, over a network in memory where `moreOf` names no other link. */
export async function openNodes(
  t: TestContext,
  n: number,
  moreOf: (id: number) => Given = () => ({}),
  dir = tempDir(t),
): Promise<{ network: MemoryNetwork; running: Running[] }> {
  const network = new MemoryNetwork();
  const running: Running[] = [];
  for (let id = 1; id <= n; id++)
    running.push(await openNode(t, dir, id, n, { link: network.link(id), ...moreOf(id) }));
  return { network, running };
}

/** Who leads, once all of `running` know it. */
export async function leaderOf(running: readonly Running[]): Promise<Running> {
  const leads = (): Running | undefined => {
    const found = running.find(({ node }) => node.status().state === "StateLeader");
    const id = found?.node.status().id;
    return running.every(({ node }) => node.status().leader === id) ? found : undefined;
  };
  await until("a leader that all know", WAIT_MS, () => leads() !== undefined);
  return leads()!;
}

/** The last entry that was proposed is applied by all of `running`. */
export async function allApplied(running: readonly Running[], text: string): Promise<void> {
  await until(`all have ${text}`, WAIT_MS, () => running.every(({ machine }) => machine.log.includes(text)));
}

/** Addresses of a cluster of one. */
export const SOLE = { listen: "127.0.0.1:0", peers: { 1: "127.0.0.1:0" } };

/** The only member of its cluster; it leads. */
export async function sole(t: TestContext, more: Given = {}, dir = tempDir(t)): Promise<Running> {
  const running = await openNode(t, dir, 1, 1, { ...SOLE, ...more });
  running.node.campaign();
  await running.node.whenLeader();
  return running;
}

/** What it rejects with. */
export async function rejection(promise: Promise<unknown>): Promise<RaftmarkError> {
  return await promise.then(
    () => assert.fail("not rejected"),
    (error: RaftmarkError) => error,
  );
}
