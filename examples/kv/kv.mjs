// A replicated map in three processes, on the package's public API: `npm ci && npm run build && node examples/kv/kv.mjs`.
// Without an argument it starts one process for each of ids 1, 2 and 3, and ends them at Ctrl-C. PORT is the first of six ports.
import { fork } from "node:child_process";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";
import { RaftNode } from "raftmark";

const port = Number(process.env.PORT ?? 7001);
const ids = [1, 2, 3];
const peers = Object.fromEntries(ids.map((id) => [id, `127.0.0.1:${port + id - 1}`]));
const httpPort = (id) => port + 2 + id;

if (process.argv[2] === undefined) startAll();
else await member(Number(process.argv[2]));

function startAll() {
  const children = ids.map((id) => fork(fileURLToPath(import.meta.url), [String(id)]));
  // Ctrl-C reaches them by itself.
  process.on("SIGINT", () => {});
  process.on("SIGTERM", () => {
    for (const child of children) child.kill("SIGTERM");
  });
  console.log(
    `curl -X PUT 127.0.0.1:${httpPort(1)}/greeting -d hello; curl 127.0.0.1:${httpPort(2)}/greeting`,
  );
}

async function member(id) {
  const map = new Map();
  const node = await RaftNode.open({
    id,
    dir: process.env.DIR ? `${process.env.DIR}/${id}` : `./examples/kv/data/${id}`,
    listen: peers[id],
    peers,
    secret: "an example's; yours comes from elsewhere",
    stateMachine: {
      // An entry is a change: [key, value], or [key] to delete it.
      apply: (entries) => {
        for (const { data } of entries) {
          const [key, value] = JSON.parse(Buffer.from(data).toString());
          if (value === undefined) map.delete(key);
          else map.set(key, value);
        }
      },
      snapshot: () => Buffer.from(JSON.stringify([...map])),
      restore: async (stream) => {
        const chunks = [];
        for await (const chunk of stream) chunks.push(Buffer.from(chunk));
        map.clear();
        for (const [key, value] of JSON.parse(Buffer.concat(chunks).toString())) map.set(key, value);
      },
    },
  });
  const server = createServer(async (request, response) => {
    try {
      const key = request.url.slice(1);
      if (request.method === "GET") {
        await node.readBarrier(); // Whatever was acknowledged anywhere is in `map` now.
        return response.writeHead(map.has(key) ? 200 : 404).end(map.get(key) ?? "");
      }
      const chunks = [];
      for await (const chunk of request) chunks.push(chunk);
      const change = request.method === "DELETE" ? [key] : [key, Buffer.concat(chunks).toString()];
      await node.propose(Buffer.from(JSON.stringify(change))); // Durable on two of three, and applied here.
      response.end("done\n");
    } catch (error) {
      response.writeHead(503).end(`${error.code}: ${error.message} (may commit: ${error.mayCommit})\n`);
    }
  });
  server.listen(httpPort(id), "127.0.0.1");
  const leader = await node.whenLeader();
  console.log(`node ${id}: http://127.0.0.1:${httpPort(id)}/, node ${leader} leads`);
  const end = async () => {
    server.close();
    await node.close(); // Hands leadership over, and lets what is under way end.
    process.exit();
  };
  // "disconnect": whoever started it is gone.
  for (const event of ["SIGINT", "SIGTERM", "disconnect"]) process.once(event, end);
}
