// One node of the service in this process: the engine, the state, the HTTP server; opened together and closed in order.
import { createServer, type RequestListener, type Server } from "node:http";
import { type AddressInfo, Server as NetServer, type Socket } from "node:net";
import { type Logger, RaftmarkError, RaftNode, registerMetrics } from "../index.js";
import { splitAddress } from "../link/address.js";
import { descriptorLimit } from "../link/descriptors.js";
import { Bodies } from "./bodies.js";
import { CertificatesSeen } from "./certificates.js";
import { checkDataDir } from "./check.js";
import { fieldOf, openError, type ServiceConfig } from "./config.js";
import { errorAt } from "./config-error.js";
import { engineOptions } from "./engine-options.js";
import { Registry, requestMetrics, single } from "./exposition.js";
import { KvStore } from "./kv.js";
import { RequestLoad } from "./load.js";
import type { Parts } from "./parts.js";
import { Pipelines } from "./pipelines.js";
import { Router } from "./router.js";

/** A client that sends its request this slowly is cut off. */
const REQUEST_MS_MAX = 60_000;
/**
 * An idle connection is closed after it: later than a proxy in front gives its up (nginx 60 s). What that sends as it is closed
 * would be lost, and a POST is not asked again.
 */
const IDLE_MS_MAX = 75_000;
const HEADER_BYTES_MAX = 16 * 1024;
const CONNECT_REFUSED = "HTTP/1.1 405 Method Not Allowed\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
/** Answers that are on their way when the node is closed. */
const LAST_ANSWERS_MS = 1000;
/**
 * File descriptors that clients leave to log and links, or half of all if that is less: what those have, and the part of
 * which the link takes the lack for a flood of strangers (SPARE_DESCRIPTORS in link/acceptor.ts).
 */
const DESCRIPTORS_KEPT = 512;
/** That connections are dropped is told so often at most. */
const DROPS_TOLD_MS = 60_000;

/** Why a node has nothing left to do. */
export interface Over {
  readonly why: "fault" | "removed";
  readonly error: Error;
}

export class Service {
  /**
   * Resolves when there is nothing left to do: the node fenced itself, and answers 503 from then on, or is no member any
   * more. A promise, as that may come while the rest still opens.
   */
  readonly over: Promise<Over>;
  readonly node: RaftNode;
  /** Where the server listens, host:port: with the port that it got where the configuration has 0. */
  readonly http: string;
  private readonly config: ServiceConfig;
  private readonly server: Server;
  private readonly closing: AbortController;
  private readonly seen: CertificatesSeen | null;
  private closed: Promise<void> | null = null;

  /**
   * Opens the node, then listens for clients. Rejects with ConfigError for what the configuration is to blame for, and with
   * the errors of RaftNode.open, of which RAFT_ADDRESS_IN_USE and RAFT_LINK are of either address; nothing is left open then.
   */
  static async open(config: ServiceConfig, logger: Logger): Promise<Service> {
    const store = new KvStore();
    let node: RaftNode;
    try {
      await checkDataDir(config);
      node = await RaftNode.open(engineOptions(config, store, logger));
    } catch (error) {
      throw openError(error, config);
    }
    const over = overOf(node);
    try {
      const closing = new AbortController();
      const parts = partsOf(config, node, store, closing.signal);
      const seen = await CertificatesSeen.of(config, logger);
      if (seen !== null) parts.registry.registerMetric(seen.metric());
      const router = new Router(parts, logger);
      const pipelines = new Pipelines(closing.signal);
      const serve: RequestListener = (request, response) =>
        pipelines.add(request, response, () => void router.serve(request, response));
      const server = createServer(
        { requestTimeout: REQUEST_MS_MAX, keepAliveTimeout: IDLE_MS_MAX, maxHeaderSize: HEADER_BYTES_MAX },
        serve,
      );
      // Their bytes are bounded. Node.js drops those behind the first 2,000, a condition among them.
      server.maxHeadersCount = 0;
      // Else Node.js answers by itself, or with nothing: the router refuses in a sentence, and asks for no body that it
      // does not read.
      server.on("checkExpectation", serve);
      server.on("checkContinue", serve);
      server.on("clientError", (error, socket) => pipelines.fail(socket as Socket, error));
      server.on("connect", (_, socket) => socket.on("error", () => {}).end(CONNECT_REFUSED));
      limitClients(server, descriptorLimit(), logger);
      // A client that sends no more may still wait for its answer; behind the last one Node.js closes the connection.
      Object.assign(server, { httpAllowHalfOpen: true });
      const http = await listen(server, config);
      return new Service(config, node, over, server, http, closing, seen);
    } catch (error) {
      await node.close({ timeoutMs: 0 });
      throw error;
    }
  }

  private constructor(
    config: ServiceConfig,
    node: RaftNode,
    over: Promise<Over>,
    server: Server,
    http: string,
    closing: AbortController,
    seen: CertificatesSeen | null,
  ) {
    this.config = config;
    this.node = node;
    this.over = over;
    this.server = server;
    this.http = http;
    this.closing = closing;
    this.seen = seen;
  }

  /** Reads the certificates again. Rejects, with ConfigError, where they are not usable: then those in use stay. */
  async reloadTls(): Promise<void> {
    try {
      await this.node.reloadTls();
      await this.seen?.look();
    } catch (error) {
      throw openError(error, this.config);
    }
  }

  /**
   * Takes no new connections, hands leadership over, lets what is under way end, and answers it. Called again with `timeoutMs`
   * 0 it hurries.
   */
  close(options: { timeoutMs?: number } = {}): Promise<void> {
    const closed = this.node.close(options);
    this.seen?.end();
    this.closed ??= this.end(closed);
    return this.closed;
  }

  private async end(closed: Promise<void>): Promise<void> {
    const { server } = this;
    // Not http's close(), which closes connections that seem idle: of some a request is on its way. They get an answer,
    // their last.
    const ended = new Promise<void>((resolve) => NetServer.prototype.close.call(server, () => resolve()));
    this.closing.abort();
    await closed;
    // What is here by now is read.
    await new Promise((resolve) => setImmediate(resolve));
    const timer = setTimeout(() => server.closeAllConnections(), LAST_ANSWERS_MS);
    server.close();
    await ended;
    clearTimeout(timer);
  }
}

function overOf(node: RaftNode): Promise<Over> {
  return new Promise((resolve) => {
    node.once("fault", (error) => resolve({ why: "fault", error }));
    node.once("removed", (error) => resolve({ why: "removed", error }));
    // It may have come while the node opened: what is asked of it then is refused with that.
    const { state } = node.status();
    const why = state === "StateFenced" ? "fault" : "removed";
    if (state === "StateFenced" || state === "StateRemoved")
      node.readBarrier().catch((error: Error) => resolve({ why, error }));
  });
}

function partsOf(config: ServiceConfig, node: RaftNode, store: KvStore, closing: AbortSignal): Parts {
  const loads = { read: new RequestLoad(), write: new RequestLoad() };
  const registry = new Registry({ node: String(config.id) });
  registerMetrics(registry, node);
  for (const metric of requestMetrics(loads)) registry.registerMetric(metric);
  registry.registerMetric(single("gauge", "raftmark_kv_keys", "Keys that there are.", () => store.keys));
  registry.registerMetric(
    single("gauge", "raftmark_kv_bytes", "Bytes of all keys and values.", () => store.bytes),
  );
  const httpOf = (id: number) => store.httpOf(id) ?? config.peers.get(id)?.http ?? null;
  const bodies = new Bodies(config.maxValueBytes);
  return { config, node, store, loads, bodies, registry, since: performance.now(), closing, httpOf };
}

/** Clients must not take the last descriptor. `limit`: of the process, 0 where the system does not tell. */
function limitClients(server: Server, limit: number, logger: Logger): void {
  if (limit === 0) return;
  const most = limit - Math.min(DESCRIPTORS_KEPT, Math.floor(limit / 2));
  server.maxConnections = most;
  let dropped = 0;
  let toldAt = Number.NEGATIVE_INFINITY;
  server.on("drop", () => {
    dropped++;
    const now = performance.now();
    if (now - toldAt < DROPS_TOLD_MS) return;
    const text = `clients have ${most} connections, all that a limit of ${limit} file descriptors leaves them: more are closed as they come; raise the limit (ulimit -n, LimitNOFILE)`;
    logger.warn({ dropped }, text);
    dropped = 0;
    toldAt = now;
  });
}

/** Resolves with the address that the server has. */
function listen(server: Server, { id, http, source }: ServiceConfig): Promise<string> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause: NodeJS.ErrnoException) => {
      const isTaken = cause.code === "EADDRINUSE";
      const why = isTaken ? "something listens there already: stop it, or take another port" : cause.message;
      const { message } = errorAt(source, fieldOf(source, id, "http"), `cannot listen at ${http}: ${why}`);
      // Not the configuration's fault alone: it may pass, as the members' address may.
      reject(new RaftmarkError(isTaken ? "RAFT_ADDRESS_IN_USE" : "RAFT_LINK", message, { cause }));
    });
    const { host, port } = splitAddress(http)!;
    server.listen(port, host, () =>
      resolve(http.replace(/\d+$/, String((server.address() as AddressInfo).port))),
    );
  });
}
