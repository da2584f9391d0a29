// STAND-IN, to be overwritten at merge: something of RaftNode's shape that lets the harness run before the driver
// lands. Node 1 leads and writes; the others copy its file. It is no Raft.
import {
  appendFileSync,
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readSync,
  writeSync,
} from "node:fs";
import { createServer, type Server } from "node:net";
import { dirname, join } from "node:path";
import { RaftmarkError } from "./base/errors.js";
import type { NodeMetrics, NodeStatus, Proposed, RaftNodeOptions } from "./node/api.js";
import { Entry } from "./raft/raftpb/index.js";

export { type ErrorCode, RaftmarkError } from "./base/errors.js";
export type * from "./node/api.js";
export type { Entry } from "./raft/raftpb/index.js";

export class RaftNode {
  onFault: (error: RaftmarkError) => void = () => {};
  private queue: { bytes: Uint8Array; resolve: (value: Proposed) => void }[] = [];
  private scheduled = false;
  private index = 0;
  private offset = 0;
  private syncs = 0;
  private fd = -1;
  private timer: NodeJS.Timeout | null = null;
  private server: Server | null = null;

  private constructor(private readonly options: RaftNodeOptions) {}

  static async open(options: RaftNodeOptions): Promise<RaftNode> {
    const node = new RaftNode(options);
    const port = Number(options.listen.split(":")[1]);
    const server = createServer();
    await new Promise<void>((resolve, reject) => {
      server.once("error", () =>
        reject(new RaftmarkError("RAFT_ADDRESS_IN_USE", `node ${options.id}: ${options.listen} is in use`)),
      );
      server.listen(port, "127.0.0.1", resolve);
    });
    node.server = server;
    const dir = join(options.dir, "wal");
    mkdirSync(dir, { recursive: true });
    node.fd = openSync(join(dir, "standin.log"), "a+");
    if (options.id !== 1) node.timer = setInterval(() => node.copy(), 10);
    return node;
  }

  propose(bytes: Uint8Array): Promise<Proposed> {
    if (this.options.id !== 1) return Promise.reject(new RaftmarkError("RAFT_NOT_LEADER", "node 1 leads"));
    return new Promise((resolve) => {
      this.queue.push({ bytes, resolve });
      if (!this.scheduled) setImmediate(this.turn);
      this.scheduled = true;
    });
  }

  private readonly turn = (): void => {
    this.scheduled = false;
    const batch = this.queue;
    this.queue = [];
    const parts: Uint8Array[] = [];
    const entries: Entry[] = [];
    for (const { bytes } of batch) {
      const head = new Uint8Array(4);
      new DataView(head.buffer).setUint32(0, bytes.length, true);
      parts.push(head, bytes);
      entries.push(new Entry(0, 1, ++this.index, bytes));
    }
    writeSync(this.fd, Buffer.concat(parts));
    fsyncSync(this.fd);
    this.syncs++;
    this.options.stateMachine.apply(entries);
    batch.forEach(({ resolve }, i) => {
      resolve({ index: entries[i].index, term: 1, result: undefined });
    });
  };

  private copy(): void {
    const path = join(dirname(this.options.dir), "node-1", "wal", "standin.log");
    if (!existsSync(path)) return;
    const from = openSync(path, "r");
    const chunk = Buffer.alloc(16 << 20);
    const read = readSync(from, chunk, 0, chunk.length, this.offset);
    closeSync(from);
    let at = 0;
    const entries: Entry[] = [];
    while (at + 4 <= read) {
      const length = chunk.readUInt32LE(at);
      if (at + 4 + length > read) break;
      entries.push(new Entry(0, 1, ++this.index, chunk.subarray(at + 4, at + 4 + length)));
      at += 4 + length;
    }
    appendFileSync(this.fd, chunk.subarray(0, at));
    this.offset += at;
    this.options.stateMachine.apply(entries);
  }

  campaign(): void {}
  transferLeadership(_id: number): void {}

  status(): NodeStatus {
    const state = this.options.id === 1 ? "StateLeader" : "StateFollower";
    const { index } = this;
    return {
      id: this.options.id,
      term: 1,
      vote: 1,
      commit: index,
      applied: index,
      lastIndex: index,
      state,
      leader: 1,
      fault: null,
    };
  }

  get metrics(): NodeMetrics {
    const zero = { turns: 0, readies: 0, messagesSent: 0, messagesReceived: 0, framesSent: 0, bytesSent: 0 };
    const more = {
      bytesReceived: 0,
      framesDropped: 0,
      walWrites: this.syncs,
      walBytes: 0,
      walEntries: this.index,
    };
    return {
      ...zero,
      ...more,
      proposals: this.index,
      applied: this.index,
      walSyncs: this.syncs,
      link: "stand-in",
    };
  }

  async close(): Promise<void> {
    if (this.timer !== null) clearInterval(this.timer);
    this.server?.close();
    if (this.fd >= 0) closeSync(this.fd);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
