// The program of a member of three, for a test that kills them: takes snapshots all the time, proposes while it is told
// to, and says how far it is. Arguments: id, directory, addresses by id as JSON. Messages: "load", "rest", "tell".
import { fileURLToPath } from "node:url";
import { RaftNode } from "../../src/index.js";
import { SlotMachine } from "../node/snapshot-machine.js";

const IN_FLIGHT = 32;
const PAYLOAD_BYTES = 1000;

export interface Told {
  readonly id: number;
  readonly leads: boolean;
  readonly leader: number;
  readonly applied: number;
  /** Proposals in the state. */
  readonly count: number;
  readonly hash: string;
  readonly firstIndex: number;
  readonly lastIndex: number;
  /** Proposals of this process that were acknowledged. */
  readonly acked: number;
  readonly taken: number;
  readonly received: number;
  readonly failed: number;
  readonly receiving: number;
  readonly fault: string | null;
}

async function main(id: number, dir: string, peers: Record<number, string>): Promise<void> {
  const machine = new SlotMachine(64, 1 << 20);
  const node = await RaftNode.open({
    id,
    dir,
    listen: peers[id]!,
    peers,
    secret: "member",
    tickMs: 50,
    segmentBytes: 256 << 10,
    snapshotEveryBytes: 512 << 10,
    snapshotCatchUpBytes: 128 << 10,
    snapshotSendBytesPerS: 8 << 20,
    stateMachine: machine,
  });
  let loads = false;
  let acked = 0;
  const client = async (): Promise<void> => {
    while (loads) {
      try {
        await node.propose(new Uint8Array(PAYLOAD_BYTES).fill(acked & 255));
        acked++;
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  };
  process.on("message", (message) => {
    if (message === "load" && !loads) {
      loads = true;
      for (let i = 0; i < IN_FLIGHT; i++) void client();
    }
    if (message === "rest") loads = false;
    const status = node.status();
    const told: Told = {
      id,
      leads: status.state === "StateLeader",
      leader: status.leader,
      applied: status.applied,
      count: machine.applied,
      hash: machine.hash,
      firstIndex: status.log.firstIndex,
      lastIndex: status.lastIndex,
      acked,
      taken: node.metrics.snapshotsTaken,
      received: node.metrics.snapshotsReceived,
      failed: node.metrics.snapshotsFailed,
      receiving: status.receivingSnapshot?.bytes ?? -1,
      fault: status.fault,
    };
    process.send!(told);
  });
  process.once("disconnect", () => process.exit());
  process.send!("open");
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [id, dir, peers] = process.argv.slice(2);
  await main(Number(id), dir!, JSON.parse(peers!) as Record<number, string>);
}
