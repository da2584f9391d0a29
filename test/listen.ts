// Servers of tests, on loopback at a port that the system chooses.
import { once } from "node:events";
import type { AddressInfo, Server, Socket } from "node:net";
import type { TestContext } from "node:test";
import { freePorts } from "../bench/harness/ports.js";

/** Where `server` listens from now on; it ends with the test, and whoever is connected then is cut off. */
export async function listen(t: TestContext, server: Server): Promise<string> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  t.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Where nodes 1 to `n` can listen. */
export async function freePeers(n: number): Promise<Record<number, string>> {
  const ports = await freePorts(n);
  return Object.fromEntries(ports.map((port, i) => [i + 1, `127.0.0.1:${port}`]));
}

/** Where nobody listens any more. */
export async function deadAddress(): Promise<string> {
  return (await freePeers(1))[1]!;
}
