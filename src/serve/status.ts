// What a node says of itself at /status, and of all members, as it reaches them, at /cluster: for the page and for programs.
import type { NodeStatus } from "../index.js";
import type { Parts } from "./parts.js";
import type { ClusterView, MemberStatus, MemberView } from "./views.js";

/** The answer of /status: the engine's status, and the service's own. */
export type ServiceStatus = NodeStatus & MemberStatus;

export async function statusOf(parts: Parts, withHash: boolean): Promise<ServiceStatus> {
  const { node, store, config, loads, since } = parts;
  const hash = withHash ? await store.hash() : { index: store.lastIndex };
  return {
    ...node.status(),
    http: parts.httpOf(config.id) ?? config.http,
    uptimeMs: Math.round(performance.now() - since),
    kv: { keys: store.keys, bytes: store.bytes, ...hash },
    requests: { read: loads.read.read(), write: loads.write.read() },
  };
}

const ASK_MS = 1000;
/** Whoever asks within that time of another gets the same answer: many lookers-on cost the members no more than one. */
const SHARED_MS = 400;
const STATUS_BYTES_MAX = 256 * 1024;

export class ClusterWatch {
  private shared: Promise<ClusterView> | null = null;
  private sharedAt = 0;

  view(parts: Parts): Promise<ClusterView> {
    const now = performance.now();
    if (this.shared === null || now - this.sharedAt > SHARED_MS) {
      this.sharedAt = now;
      this.shared = ask(parts);
    }
    return this.shared;
  }
}

async function ask(parts: Parts): Promise<ClusterView> {
  const { config, node } = parts;
  const members = await Promise.all(
    node.status().members.map(async ({ id, address: raft, role }): Promise<MemberView> => {
      const http = parts.httpOf(id) ?? "";
      try {
        if (http === "") throw new Error("nobody said where it serves clients");
        const status = id === config.id ? await statusOf(parts, false) : await fetchStatus(http);
        if (status.id !== id) throw new Error(`node ${status.id} answers there`);
        return { id, raft, http, role, status, error: null };
      } catch (error) {
        return { id, raft, http, role, status: null, error: reasonOf(error) };
      }
    }),
  );
  return { self: config.id, members };
}

async function fetchStatus(http: string): Promise<MemberStatus> {
  const response = await fetch(`http://${http}/status`, { signal: AbortSignal.timeout(ASK_MS) });
  const text = await response.text();
  if (!response.ok) throw new Error(`it answers ${response.status}`);
  if (text.length > STATUS_BYTES_MAX) throw new Error("its answer is too long");
  return JSON.parse(text) as MemberStatus;
}

function reasonOf(error: unknown): string {
  const { name, message, cause } = error as Error & { cause?: { code?: string } };
  if (name === "TimeoutError") return `no answer within ${ASK_MS} ms`;
  return cause?.code ?? message;
}
