// The program of a loaded single node, to be killed: proposes without end, and says on stdout, a line each, what it was
// told is durable and applied: index, sequence number and CRC-32C of the payload.
// Arguments: directory, round, bytes of a segment.
import { fileURLToPath } from "node:url";
import { RaftNode } from "../../src/index.js";
import { crc32c } from "../../src/wal/index.js";
import { payload } from "./payloads.js";

const IN_FLIGHT = 64;

async function main(dir: string, round: number, segmentBytes: number): Promise<void> {
  // Alone in its cluster, it never dials; port 0 is any free one.
  const address = "127.0.0.1:0";
  const node = await RaftNode.open({
    id: 1,
    dir,
    listen: address,
    peers: { 1: address },
    secret: "loaded node",
    writer: "pool-wasm",
    durability: "o_dsync",
    segmentBytes,
    stateMachine: { apply: () => undefined },
  });
  node.campaign();
  await node.readBarrier();
  let seq = 0;
  const client = async (): Promise<void> => {
    for (;;) {
      const mine = seq++;
      const bytes = payload(round, mine);
      const sum = crc32c(0, bytes);
      const { index } = await node.propose(bytes);
      await new Promise((resolve) => process.stdout.write(`${index} ${mine} ${sum}\n`, resolve));
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, client));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [dir, round, segmentBytes] = process.argv.slice(2);
  await main(dir, Number(round), Number(segmentBytes));
}
