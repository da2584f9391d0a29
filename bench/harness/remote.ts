// A client of one node over a WebSocket, for loads that come from another process: what a remote caller sees. Not a
// public protocol. Requests of one turn of the event loop go in one frame, answers of one turn too; calls are
// pipelined and answered in any order. Both ends little endian.
//
// Request: call u32, length u32, bytes; length 0 is a read. Answer: call u32, code u32; code 0: index f64, term f64;
// otherwise the length of a JSON text {code, message, mayCommit} that follows.
import { type WebSocket, WebSocketServer } from "ws";
import { type NodeMetrics, type NodeStatus, type Proposed, RaftmarkError } from "../../src/index.js";
import type { Engine } from "./engine.js";
import { NO_METRICS } from "./null-engine.js";
import { HOST } from "./ports.js";

const REQUEST_HEAD = 8;
const ANSWER_HEAD = 8;
const APPLIED_BYTES = 16;
const PAYLOAD_BYTES_MAX = 64 * 1024 * 1024;

/** Bytes put together and sent once a turn. */
class Outgoing {
  private readonly socket: WebSocket;
  private parts: Uint8Array[] = [];
  private bytes = 0;

  constructor(socket: WebSocket) {
    this.socket = socket;
  }

  add(part: Uint8Array): void {
    if (this.parts.length === 0) setImmediate(this.flush);
    this.parts.push(part);
    this.bytes += part.length;
  }

  private readonly flush = (): void => {
    const { parts, bytes } = this;
    this.parts = [];
    this.bytes = 0;
    if (this.socket.readyState === this.socket.OPEN) this.socket.send(Buffer.concat(parts, bytes));
  };
}

/** Serves `engine` on a free port of loopback, to who knows the token. */
export class RemoteServer {
  private readonly engine: Engine;
  private readonly server: WebSocketServer;

  private constructor(engine: Engine, token: string) {
    this.engine = engine;
    this.server = new WebSocketServer({
      host: HOST,
      port: 0,
      path: `/${token}`,
      perMessageDeflate: false,
      maxPayload: PAYLOAD_BYTES_MAX,
    });
    this.server.on("connection", (socket) => this.accept(socket));
  }

  static async listen(engine: Engine, token: string): Promise<RemoteServer> {
    const remote = new RemoteServer(engine, token);
    await new Promise<void>((resolve, reject) => {
      remote.server.once("listening", resolve);
      remote.server.once("error", reject);
    });
    return remote;
  }

  get port(): number {
    return (this.server.address() as { port: number }).port;
  }

  private accept(socket: WebSocket): void {
    const outgoing = new Outgoing(socket);
    socket.on("error", () => {}); // "close" follows; the client sees it too.
    socket.on("message", (data: Buffer) => {
      let at = 0;
      while (at < data.length) {
        const call = data.readUInt32LE(at);
        const length = data.readUInt32LE(at + 4);
        at += REQUEST_HEAD;
        this.serve(outgoing, call, data.subarray(at, at + length));
        at += length;
      }
    });
  }

  private serve(outgoing: Outgoing, call: number, bytes: Buffer): void {
    const refused = (error: unknown) => outgoing.add(refusal(call, error));
    if (bytes.length === 0) {
      this.engine.readBarrier().then(() => outgoing.add(applied(call, 0, 0)), refused);
    } else {
      this.engine.propose(bytes).then(({ index, term }) => outgoing.add(applied(call, index, term)), refused);
    }
  }

  close(): void {
    for (const socket of this.server.clients) socket.terminate();
    this.server.close();
  }
}

function applied(call: number, index: number, term: number): Uint8Array {
  const answer = Buffer.allocUnsafe(ANSWER_HEAD + APPLIED_BYTES);
  answer.writeUInt32LE(call, 0);
  answer.writeUInt32LE(0, 4);
  answer.writeDoubleLE(index, 8);
  answer.writeDoubleLE(term, 16);
  return answer;
}

function refusal(call: number, error: unknown): Uint8Array {
  const { code = "ERROR", message = "", mayCommit = false } = error as Partial<RaftmarkError>;
  const text = Buffer.from(JSON.stringify({ code, message, mayCommit }));
  const head = Buffer.allocUnsafe(ANSWER_HEAD);
  head.writeUInt32LE(call, 0);
  head.writeUInt32LE(text.length, 4);
  return Buffer.concat([head, text]);
}

interface Waiting {
  readonly resolve: (value: Proposed) => void;
  readonly reject: (reason: Error) => void;
}

/** The error of calls that were under way when the node went away: whether they took effect is not known. */
export const CONNECTION_LOST = "CONNECTION_LOST";

class ConnectionLost extends Error {
  readonly code = CONNECTION_LOST;
}

/** A node somewhere else, as an Engine: it proposes and reads, and tells nothing of its inside. */
export class RemoteEngine implements Engine {
  onFault: (error: RaftmarkError) => void = () => {};
  readonly metrics: NodeMetrics = { ...NO_METRICS, link: "WebSocket client" };
  private readonly socket: WebSocket;
  private readonly outgoing: Outgoing;
  private readonly waiting = new Map<number, Waiting>();
  private calls = 0;

  private constructor(socket: WebSocket) {
    this.socket = socket;
    this.outgoing = new Outgoing(socket);
    socket.on("message", (data: Buffer) => this.receive(data));
    socket.on("error", () => {}); // "close" follows.
    socket.on("close", () => {
      for (const { reject } of this.waiting.values()) reject(new ConnectionLost("the connection was lost"));
      this.waiting.clear();
    });
  }

  static async connect(url: string): Promise<RemoteEngine> {
    const { WebSocket: Client } = await import("ws");
    const socket = new Client(url, { perMessageDeflate: false, maxPayload: PAYLOAD_BYTES_MAX });
    await new Promise<void>((resolve, reject) => {
      socket.once("open", resolve);
      socket.once("error", reject);
    });
    return new RemoteEngine(socket);
  }

  propose(bytes: Uint8Array): Promise<Proposed> {
    return this.call(bytes);
  }

  async readBarrier(): Promise<void> {
    await this.call(NO_BYTES);
  }

  private call(bytes: Uint8Array): Promise<Proposed> {
    if (this.socket.readyState !== this.socket.OPEN) {
      return Promise.reject(new ConnectionLost("the connection was lost"));
    }
    const call = (this.calls = (this.calls + 1) >>> 0);
    // Sent at the end of the turn, when `bytes` may be the next call's.
    const request = Buffer.allocUnsafe(REQUEST_HEAD + bytes.length);
    request.writeUInt32LE(call, 0);
    request.writeUInt32LE(bytes.length, 4);
    request.set(bytes, REQUEST_HEAD);
    this.outgoing.add(request);
    return new Promise((resolve, reject) => this.waiting.set(call, { resolve, reject }));
  }

  private receive(data: Buffer): void {
    let at = 0;
    while (at < data.length) {
      const call = data.readUInt32LE(at);
      const length = data.readUInt32LE(at + 4);
      at += ANSWER_HEAD;
      const waiting = this.waiting.get(call);
      this.waiting.delete(call);
      if (length === 0) {
        waiting?.resolve({
          index: data.readDoubleLE(at),
          term: data.readDoubleLE(at + 8),
          result: undefined,
        });
        at += APPLIED_BYTES;
      } else {
        const { code, message, mayCommit } = JSON.parse(data.toString("utf8", at, at + length));
        waiting?.reject(new RaftmarkError(code, message, { mayCommit }));
        at += length;
      }
    }
  }

  campaign(): void {}

  transferLeadership(): void {}

  status(): NodeStatus {
    throw new Error("a remote engine tells nothing of its inside");
  }

  async close(): Promise<void> {
    this.socket.terminate();
  }
}

const NO_BYTES = new Uint8Array(0);
