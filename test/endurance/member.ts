// The program of a member: proposes while it is told to, and says how far it is. Its argument: MemberConfig as JSON.
// Messages: a Command; each is answered by Told.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { RaftNode, type RaftNodeOptions } from "../../src/index.js";
import { TableMachine } from "./table-machine.js";

export const SECRET = "an endurance test's";

export interface MemberConfig {
  readonly id: number;
  readonly dir: string;
  readonly peers: Record<number, string>;
  readonly rows: number;
  readonly rowBytes: number;
  readonly options: Partial<RaftNodeOptions>;
}

export interface Command {
  /** Left out: as before. 0: nothing. */
  readonly inFlight?: number;
  readonly hash?: boolean;
  readonly close?: boolean;
}

export interface Told {
  readonly id: number;
  readonly leads: boolean;
  readonly leader: number;
  readonly term: number;
  readonly commit: number;
  readonly applied: number;
  readonly lastIndex: number;
  readonly firstIndex: number;
  readonly logBytes: number;
  /** Proposals of this process that were acknowledged, and that failed. */
  readonly acked: number;
  readonly failed: number;
  /** Bytes of a snapshot that are here; -1: none is fetched. */
  readonly fetching: number;
  readonly snapshotsTaken: number;
  readonly snapshotsReceived: number;
  readonly rssBytes: number;
  readonly cpuMs: number;
  /** From when it was told to open until the node was open, and until it had applied all that it knew committed then. */
  readonly openMs: number;
  readonly replayMs: number;
  /** Without what its thread waited for a core meanwhile, which says nothing of the node. */
  readonly ownReplayMs: number;
  /** What opening read of the log. */
  readonly recoveredRecords: number;
  readonly hash: string;
  readonly fault: string | null;
}

async function main({ id, dir, peers, rows, rowBytes, options }: MemberConfig): Promise<void> {
  const machine = new TableMachine(rows, rowBytes);
  const begun = performance.now();
  const waitedMs = waitedForCoreMs();
  const node = await RaftNode.open({
    id,
    dir,
    listen: peers[id]!,
    peers,
    secret: SECRET,
    stateMachine: machine,
    ...options,
  });
  const openMs = performance.now() - begun;
  const { commit } = node.status();
  while (node.status().applied < commit) await new Promise((resolve) => setImmediate(resolve));
  const replayMs = performance.now() - begun;
  const ownReplayMs = replayMs - (waitedForCoreMs() - waitedMs);
  let wanted = 0;
  let running = 0;
  let acked = 0;
  let failed = 0;
  let next = id;
  const client = async (): Promise<void> => {
    running++;
    const bytes = new Uint8Array(rowBytes);
    while (running <= wanted) {
      next = (Math.imul(next, 1664525) + 1013904223) >>> 0;
      for (let i = 0; i < 4; i++) bytes[i] = next >>> (8 * (3 - i));
      try {
        await node.propose(bytes);
        acked++;
      } catch {
        failed++;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
    running--;
  };
  process.on("message", async ({ inFlight = wanted, hash, close }: Command) => {
    wanted = inFlight;
    for (let i = running; i < wanted; i++) void client();
    // What is under way gets its outcome first.
    while (running > wanted) await new Promise((resolve) => setTimeout(resolve, 1));
    if (close === true) await node.close();
    const status = node.status();
    const { metrics } = node;
    const cpu = process.cpuUsage();
    const told: Told = {
      id,
      leads: status.state === "StateLeader",
      leader: status.leader,
      term: status.term,
      commit: status.commit,
      applied: status.applied,
      lastIndex: status.lastIndex,
      firstIndex: status.log.firstIndex,
      logBytes: status.log.bytes,
      acked,
      failed,
      fetching: status.receivingSnapshot?.bytes ?? -1,
      snapshotsTaken: metrics.snapshotsTaken,
      snapshotsReceived: metrics.snapshotsReceived,
      rssBytes: process.memoryUsage.rss(),
      cpuMs: (cpu.user + cpu.system) / 1000,
      openMs,
      replayMs,
      ownReplayMs,
      recoveredRecords: node.recovered.records,
      hash: hash === true ? machine.hash : "",
      fault: status.fault,
    };
    process.send!(told);
    if (close === true) process.exit();
  });
  process.once("disconnect", () => process.exit());
  process.send!("open");
}

/** This thread, since it began, while it could run; 0 where the system does not say. */
function waitedForCoreMs(): number {
  try {
    return Number(readFileSync("/proc/thread-self/schedstat", "utf8").split(" ")[1]) / 1e6;
  } catch {
    return 0;
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await main(JSON.parse(process.argv[2]!) as MemberConfig);
}
