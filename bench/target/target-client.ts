// A client of the key-value service over HTTP, as the load on a running cluster uses it: connections that stay, a leader
// that is followed where the answer names one, and patience while there is none. Runs in a client's process.
import { Agent, request } from "node:http";

/** host and port of a node. */
export interface Target {
  readonly host: string;
  readonly port: number;
}

export interface Answer {
  readonly status: number;
  readonly body: Buffer;
}

/** "127.0.0.1:8081", "[::1]:8081" or "node-1:8081"; null: it is none. */
export function parseTarget(text: string): Target | null {
  const [, bracketed, plain, port] =
    /^(?:http:\/\/)?(?:\[([^\]]+)\]|([^:/[\]]+)):(\d{1,5})\/?$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  if (host === undefined || Number(port) < 1 || Number(port) > 65_535) return null;
  return { host, port: Number(port) };
}

export function targetText({ host, port }: Target): string {
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** A node that took a request and is silent for so long is given up. */
export const SILENT_MS = 10_000;
/** Between two tries where nobody leads. */
const RETRY_MS = 20;

/** What a request came to after all its tries. */
export interface Outcome {
  /** 0: no node answered within the time that was given. */
  readonly status: number;
  readonly body: Buffer;
  /** Beyond the first. */
  readonly tries: number;
  /** What the last try that failed said. */
  readonly failure: string;
}

export class TargetClient {
  private readonly targets: readonly Target[];
  private readonly agent: Agent;
  /** Who is asked next. */
  private current: Target;

  /** At most so many requests at a time; `first` says with whom it begins. */
  constructor(targets: readonly Target[], inFlight: number, first: number) {
    this.targets = targets;
    this.agent = new Agent({ keepAlive: true, maxSockets: inFlight, noDelay: true });
    this.current = targets[first % targets.length]!;
  }

  /** Asks, and asks again, elsewhere where that may help, until there is an answer or `patienceMs` have passed. */
  async ask(method: string, path: string, body: Buffer | null, patienceMs: number): Promise<Outcome> {
    const begun = performance.now();
    let failure = "";
    for (let tries = 0; ; tries++) {
      const { current } = this;
      const answer = await this.once(current, method, path, body).catch((cause: Error) => cause);
      if (!(answer instanceof Error) && answer.status < 500) return { ...answer, tries, failure };
      failure = answer instanceof Error ? `${targetText(current)}: ${answer.message}` : failureOf(answer);
      if (performance.now() - begun > patienceMs) {
        const [status, text] = answer instanceof Error ? [0, Buffer.alloc(0)] : [answer.status, answer.body];
        return { status, body: text, tries, failure };
      }
      // Another caller may have found a better one meanwhile.
      if (this.current === current) this.current = leaderIn(answer) ?? this.next(current);
      if (this.current === current || tries >= this.targets.length)
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }

  private next(current: Target): Target {
    const at = this.targets.findIndex(({ host, port }) => host === current.host && port === current.port);
    return this.targets[(at + 1) % this.targets.length]!;
  }

  private once({ host, port }: Target, method: string, path: string, body: Buffer | null): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const { agent } = this;
      const headers = body === null ? {} : { "content-length": body.length };
      const sent = request({ host, port, method, path, agent, headers, timeout: SILENT_MS }, (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.once("end", () =>
          resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks) }),
        );
        response.once("error", reject);
      });
      sent.once("timeout", () => sent.destroy(new Error(`no answer within ${SILENT_MS / 1000} s`)));
      sent.once("error", reject);
      sent.end(body ?? undefined);
    });
  }

  close(): void {
    this.agent.destroy();
  }
}

/** Where an answer says that the leader is; null: it does not. */
function leaderIn(answer: Answer | Error): Target | null {
  if (answer instanceof Error) return null;
  const http = errorIn(answer)?.leader?.http;
  return typeof http === "string" ? parseTarget(http) : null;
}

/** "503 RAFT_NO_LEADER". */
function failureOf(answer: Answer): string {
  return `${answer.status} ${errorIn(answer)?.code ?? ""}`.trim();
}

function errorIn({ body }: Answer): { code?: string; leader?: { http?: unknown } } | null {
  try {
    return (JSON.parse(body.toString()) as { error?: object }).error ?? null;
  } catch {
    return null;
  }
}
