// The program of a member of three, for a test that stops one: proposes while it is told to, and says how far it is.
// Arguments: id, directory, addresses by id as JSON. Messages: "load", "tell"; answers Told.
import { fileURLToPath } from "node:url";
import { RaftNode } from "../../src/index.js";

const IN_FLIGHT = 64;
const PAYLOAD_BYTES = 4096;
export const CACHE_BYTES = 1 << 20;

export interface Told {
  readonly leads: boolean;
  readonly term: number;
  readonly commit: number;
  readonly applied: number;
  readonly rssBytes: number;
}

async function main(id: number, dir: string, peers: Record<number, string>): Promise<void> {
  const node = await RaftNode.open({
    id,
    dir,
    listen: peers[id]!,
    peers,
    secret: "member",
    // Elections after 3 s: the machine may be busy.
    tickMs: 300,
    logCacheBytes: CACHE_BYTES,
    segmentBytes: 8 << 20,
    stateMachine: { apply: () => undefined },
  });
  const client = async (): Promise<never> => {
    for (;;) await node.propose(new Uint8Array(PAYLOAD_BYTES));
  };
  process.on("message", (message) => {
    if (message === "load") {
      for (let i = 0; i < IN_FLIGHT; i++) void client();
      return;
    }
    const { state, term, commit, applied } = node.status();
    const told: Told = {
      leads: state === "StateLeader",
      term,
      commit,
      applied,
      rssBytes: process.memoryUsage.rss(),
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
