// The program of a member: proposes while it is told to, and says how far it is. Its argument: MemberConfig as JSON.
// Messages: a Command; each is answered by Told.
import { cpus } from "node:os";
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
  readonly campaign?: boolean;
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
  /** Of `replayMs`, what its threads ran, and what cores idled: without what it waited for others of a busy machine. */
  readonly ownReplayMs: number;
  /** What opening read of the log. */
  readonly recoveredRecords: number;
  readonly hash: string;
  readonly fault: string | null;
}

async function main({ id, dir, peers, rows, rowBytes, options }: MemberConfig): Promise<void> {
  const machine = new TableMachine(rows, rowBytes);
  const begun = performance.now();
  const cpuBefore = process.cpuUsage();
  const idleBefore = idleMs();
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
  const ownReplayMs = Math.min(replayMs, cpuMsSince(cpuBefore) + idleMs() - idleBefore);
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
  process.on("message", async ({ inFlight = wanted, hash, campaign, close }: Command) => {
    if (campaign === true) node.campaign();
    wanted = inFlight;
    for (let i = running; i < wanted; i++) void client();
    // What is under way gets its outcome first.
    while (running > wanted) await new Promise((resolve) => setTimeout(resolve, 1));
    if (close === true) await node.close();
    const status = node.status();
    const { metrics } = node;
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
      cpuMs: cpuMsSince(),
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

function cpuMsSince(before?: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

/** Of all cores together; those that wait for the disk do not idle. */
function idleMs(): number {
  return cpus().reduce((sum, { times }) => sum + times.idle, 0);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await main(JSON.parse(process.argv[2]!) as MemberConfig);
}
