// From a request to the route that answers it, and from whatever that throws to an answer. Every answer is true: what
// is not known is said to be not known.
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Logger } from "../index.js";
import { PAGE_POLICY, readAssets } from "./assets.js";
import { refuseCrossSite } from "./cross-site.js";
import { CONTENT_TYPE } from "./exposition.js";
import { checkQuery, flagOf, isRead, refuseUnknown, send, sendJson, type Target, targetOf } from "./http.js";
import { HttpError, toHttpError } from "./http-error.js";
import { serveKey } from "./kv-routes.js";
import { MemberRoutes } from "./member-routes.js";
import type { Parts } from "./parts.js";
import { Readiness, standingOf } from "./readiness.js";
import { ClusterWatch, statusOf } from "./status.js";
import { WATCH_QUERY, Watches } from "./watch.js";

type Handler = (request: IncomingMessage, response: ServerResponse, target: Target) => Promise<void> | void;

interface Route {
  readonly methods: readonly string[];
  /**
   * Parameters of the query that it takes: what asks for something else is not done as if it did not. Null: it looks for
   * itself, or at none, and says the same whatever a probe or a link to the page has there.
   */
  readonly query: readonly string[] | null;
  readonly handle: Handler;
}

const READ = ["GET", "HEAD"];
const KEY_METHODS = ["GET", "HEAD", "PUT", "DELETE"];
const ROUTES_TEXT =
  "there is /kv/KEY (GET, PUT, DELETE), /members (GET, POST), /members/ID (DELETE), /sessions (POST), /watch, /status, /cluster, /metrics, /livez, /readyz and / (GET)";

export class Router {
  private readonly parts: Parts;
  private readonly logger: Logger;
  private readonly watches = new Watches();
  private readonly cluster = new ClusterWatch();
  private readonly readiness = new Readiness();
  private readonly members = new MemberRoutes();
  private readonly routes: ReadonlyMap<string, Route>;
  private readonly key: Route;
  private readonly member: Route;

  constructor(parts: Parts, logger: Logger) {
    this.parts = parts;
    this.logger = logger;
    this.key = {
      methods: KEY_METHODS,
      // By the method.
      query: null,
      handle: (request, response, target) => this.measured(request, response, target),
    };
    this.member = {
      methods: ["DELETE"],
      query: [],
      handle: (_, response, target) => this.members.remove(parts, response, target),
    };
    this.routes = new Map<string, Route>([
      ...pageRoutes(),
      ["/watch", get((_, response, target) => this.watches.serve(parts, response, target), WATCH_QUERY)],
      ["/status", get((_, response, target) => this.status(response, target), ["hash"])],
      ["/cluster", get(async (_, response) => sendJson(response, 200, await this.cluster.view(parts)))],
      [
        "/members",
        {
          methods: [...READ, "POST"],
          query: [],
          handle: (request, response) => this.members.serve(parts, request, response),
        },
      ],
      [
        "/metrics",
        get(async (_, response) => send(response, 200, CONTENT_TYPE, await parts.registry.metrics())),
      ],
      ["/sessions", { methods: ["POST"], query: [], handle: (_, response) => openSession(parts, response) }],
      ["/livez", get((_, response) => this.alive(response))],
      ["/readyz", get((_, response) => this.ready(response))],
    ]);
  }

  /** Answers one request; never throws. */
  async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      refuseUnknown(request);
      refuseCrossSite(request);
      const target = targetOf(request);
      const route = this.routeOf(target.path);
      if (route === undefined) {
        const text = `there is nothing at ${target.path.slice(0, 100)}: ${ROUTES_TEXT}`;
        throw new HttpError(404, "KV_NO_ROUTE", text);
      }
      const { methods, query } = route;
      if (!methods.includes(request.method!)) {
        const text = `${request.method} is not possible at ${target.path.slice(0, 100)}: ${methods.join(", ")} is`;
        throw new HttpError(405, "KV_NO_METHOD", text, {}, { allow: methods.join(", ") });
      }
      if (query !== null) checkQuery(target.query, query);
      await route.handle(request, response, target);
    } catch (error) {
      this.fail(response, error);
    }
  }

  private routeOf(path: string): Route | undefined {
    if (path.startsWith("/kv/")) return this.key;
    return path.startsWith("/members/") ? this.member : this.routes.get(path);
  }

  private fail(response: ServerResponse, error: unknown): void {
    const { status, body, headers } = this.errorOf(error);
    if (status === 500) this.logger.error({ error }, `a request failed: ${(error as Error).message}`);
    sendJson(response, status, { error: body }, headers);
  }

  /** That its time is over says nothing of why. */
  private errorOf(error: unknown): HttpError {
    const { node, httpOf } = this.parts;
    const told = toHttpError(error, httpOf);
    const { status, body } = told;
    if (status !== 504) return told;
    const message = `${body.message}; ${standingOf(node)}`;
    return new HttpError(status, body.code, message, { ...body, message });
  }

  private async measured(request: IncomingMessage, response: ServerResponse, target: Target): Promise<void> {
    const load = isRead(request) ? this.parts.loads.read : this.parts.loads.write;
    const begun = performance.now();
    try {
      await serveKey(this.parts, request, response, target);
      load.answered(performance.now() - begun);
    } catch (error) {
      if (toHttpError(error).status >= 500) load.refused();
      else load.answered(performance.now() - begun);
      throw error;
    }
  }

  private async status(response: ServerResponse, { query }: Target): Promise<void> {
    sendJson(response, 200, await statusOf(this.parts, flagOf(query, "hash")));
  }

  /** Not alive: only a restart helps. A log that is lost is no matter for that. */
  private alive(response: ServerResponse): void {
    const { fault } = this.parts.node.status();
    if (fault !== null) throw new HttpError(503, "RAFT_FENCED", fault);
    sendJson(response, 200, { alive: true });
  }

  private async ready(response: ServerResponse): Promise<void> {
    sendJson(response, 200, { ready: true, leader: await this.readiness.check(this.parts) });
  }
}

/** A session: changes that carry its id and a number are applied once. */
async function openSession({ node, config }: Parts, response: ServerResponse): Promise<void> {
  const { id } = await node.openSession({ timeoutMs: config.requestTimeoutMs });
  sendJson(response, 200, { session: id });
}

function pageRoutes(): [string, Route][] {
  return [...readAssets()].map(([path, { type, body }]) => {
    const headers = { "content-security-policy": PAGE_POLICY, "referrer-policy": "no-referrer" };
    return [path, get((_, response) => send(response, 200, type, body, headers))];
  });
}

function get(handle: Handler, query: readonly string[] | null = null): Route {
  return { methods: READ, query, handle };
}
