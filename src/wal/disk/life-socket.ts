// How the owner of a lock is known to live where its process id says nothing, in another pid namespace: it listens on a
// socket in the file system, and connect() finds the listener by the file's inode, in all namespaces of one kernel.
// The kernel answers, also for a process that is stopped, until the last thread of the owner is gone, one inside a write
// included; what a dead one leaves of the socket refuses. Main thread.
import fs from "node:fs";
import net from "node:net";
import { basename, dirname } from "node:path";
import { isNoDescriptor, systemCode } from "./errors.js";

/** Of an address, where it may be shortest (macOS). A longer one is cut off by libuv before 1.47, without a word. */
const ADDRESS_BYTES_MAX = 103;

export interface LifeSocket {
  close(): void;
}

/**
 * Listens at `path`, whose last part is short; costs nothing and holds no process up. Null where the system or the file
 * system has no such sockets.
 */
export async function listenAt(path: string): Promise<LifeSocket | null> {
  const server = net.createServer((socket) => socket.destroy()).unref();
  const close = () => {
    server.close();
    // Node removes it by its address, which may have been another one.
    fs.rmSync(path, { force: true });
  };
  try {
    await atAddress(path, (address) => listening(server, address));
    if (await answers(path)) return { close };
    close();
    return null;
  } catch (error) {
    close();
    if (isNoDescriptor(error)) throw error;
    return null;
  }
}

/** Whether somebody listens at `path`, whose last part is short. Throws if that cannot be told. */
export async function answers(path: string): Promise<boolean> {
  try {
    await atAddress(path, connected);
    return true;
  } catch (error) {
    const code = systemCode(error);
    // EAGAIN: more have connected than a listener that is stopped may leave waiting.
    if (code === "EAGAIN") return true;
    if (["ECONNREFUSED", "ENOENT", "ENOTSOCK"].includes(code)) return false;
    throw error;
  }
}

async function atAddress(path: string, use: (address: string) => Promise<void>): Promise<void> {
  if (Buffer.byteLength(path) <= ADDRESS_BYTES_MAX) return await use(path);
  const fd = fs.openSync(dirname(path), "r");
  try {
    await use(`/proc/self/fd/${fd}/${basename(path)}`);
  } finally {
    fs.closeSync(fd);
  }
}

function listening(server: net.Server, address: string): Promise<void> {
  return new Promise((resolve, reject) => {
    // Also later, when there is no descriptor to accept with: the kernel has answered before.
    server.on("error", reject);
    // Exclusive: in a worker of node:cluster its primary would listen, which outlives it.
    server.listen({ path: address, exclusive: true }, resolve);
  });
}

function connected(address: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ path: address });
    socket.on("error", reject);
    socket.on("connect", () => {
      socket.destroy();
      resolve();
    });
  });
}
