// Callers of the service under faults: puts, compare-and-sets and reads through every member, and what they were told, in a
// history. A caller does not wait long for an answer; its call goes on, and counts as open until it is answered.
import { Agent, request as httpRequest } from "node:http";
import type { Prng } from "../../src/base/prng.js";
import type { FaultyCluster } from "./faulty-cluster.js";
import { ABSENT, type Change, type KvHistory, type Seen } from "./kv-history.js";
import { pause } from "./nemesis-clients.js";

/** Keys that all callers change, so that their calls meet. */
const SHARED_KEYS = 8;
/** A caller goes on with something else then. */
const PATIENCE_MS = 200;
/** A call is given up then: the service itself answers within requestTimeoutMs, unless its process stands still. */
const CALL_MS = 6000;
const THINK_MS = 30;
/** Calls without an answer on one member, beyond which callers go elsewhere. */
const WAITING_MAX = 24;
const CHECKERS = 16;

interface Reply {
  readonly status: number;
  readonly text: string;
  readonly revision: number;
}

/** "refused": nobody listened, so that nothing was sent. "cut": whatever became of it. */
type Told = Reply | "refused" | "cut";

interface Refusal {
  readonly code: string;
  readonly mayCommit: boolean;
  readonly revision?: number;
  readonly leader?: { readonly id: number };
}

export class KvLoad {
  private readonly cluster: FaultyCluster;
  private readonly history: KvHistory;
  private readonly random: Prng;
  private readonly agent = new Agent({ keepAlive: true });
  /** What was last seen of a key, by anybody. */
  private readonly seen = new Map<string, Seen>();
  private readonly waiting = new Map<number, number>();
  private readonly underway = new Set<Promise<void>>();
  private callers: Promise<void>[] = [];
  private isRunning = false;
  private nextOwnKey = 0;
  /** Answers that no fault excuses. */
  readonly surprises: string[] = [];

  constructor(cluster: FaultyCluster, history: KvHistory, random: Prng) {
    this.cluster = cluster;
    this.history = history;
    this.random = random;
  }

  run(callers: number): void {
    this.isRunning = true;
    this.callers = Array.from({ length: callers }, () => this.caller());
  }

  /** Resolves when nobody calls any more, and every call has an answer, or was given up. */
  async rest(): Promise<void> {
    this.isRunning = false;
    await Promise.all(this.callers);
    await Promise.all(this.underway);
  }

  /** Nobody calls any more, whatever becomes of calls that are under way. */
  end(): void {
    this.isRunning = false;
    this.agent.destroy();
  }

  private async caller(): Promise<void> {
    const { random, cluster } = this;
    while (this.isRunning) {
      const id = cluster.ids[random.below(cluster.ids.length)]!;
      if ((this.waiting.get(id) ?? 0) < WAITING_MAX) {
        const call = this.call(id);
        this.underway.add(call);
        void call.finally(() => this.underway.delete(call));
        await Promise.race([call, pause(PATIENCE_MS)]);
      }
      await pause(random.below(2 * THINK_MS));
    }
  }

  private async call(id: number): Promise<void> {
    const { random } = this;
    const key = `shared-${random.below(SHARED_KEYS)}`;
    const what = random.below(20);
    if (what < 9) await this.read(id, key);
    else if (what < 13) await this.change(id, key, null);
    else if (what < 18) await this.change(id, key, this.seen.get(key) ?? ABSENT);
    // Nobody else writes it: where it is lost, nothing covers that.
    else await this.change(id, `own-${++this.nextOwnKey}`, random.below(2) === 0 ? null : ABSENT);
  }

  /** A linearizable read through member `id`. True: it was answered. */
  private async read(id: number, key: string): Promise<boolean> {
    const from = performance.now();
    const told = await this.ask(id, "GET", `/kv/${key}`);
    const to = performance.now();
    if (typeof told === "string") return false;
    let seen: Seen;
    if (told.status === 200) seen = { value: Number(told.text), revision: told.revision };
    else if (told.status === 404) seen = ABSENT;
    else {
      this.refusal(told);
      return false;
    }
    this.history.read(key, seen, from, to, `node ${id}`);
    this.note(key, seen);
    return true;
  }

  /** A put, or a set of what `expected` says, through member `id`; and through the leader, if that is where it is sent. */
  private async change(id: number, key: string, expected: Seen | null): Promise<void> {
    const change = this.history.begin(key, expected, performance.now(), `node ${id}`);
    const condition = expected === null ? "" : `?cas=${expected.revision}`;
    const told = await this.ask(id, "PUT", `/kv/${key}${condition}`, String(change.value));
    const refusal = this.settle(change, told);
    if (refusal?.code !== "RAFT_NOT_LEADER" || refusal.leader === undefined || !this.isRunning) return;
    await this.change(refusal.leader.id, key, expected);
  }

  /** Null: it was made, or it is not known. */
  private settle(change: Change, told: Told): Refusal | null {
    const to = performance.now();
    const { key, value } = change;
    if (told === "cut") return null;
    if (told === "refused") {
      this.history.deny(change);
      return null;
    }
    if (told.status === 200) {
      const { revision } = JSON.parse(told.text) as { revision: number };
      this.history.done(change, revision, to);
      this.note(key, { value, revision });
      return null;
    }
    const refusal = this.refusal(told);
    if (refusal === null) return null;
    if (refusal.code === "KV_CONDITION") this.history.refuse(change, refusal.revision!, to);
    else if (!refusal.mayCommit) this.history.deny(change);
    return refusal;
  }

  /** What the service said of why not; null: nothing that it may say. */
  private refusal({ status, text }: Reply): Refusal | null {
    try {
      const { error } = JSON.parse(text) as { error: Refusal };
      const isKnown = status === 503 || status === 504 || (status === 412 && error.revision !== undefined);
      if (isKnown && typeof error.mayCommit === "boolean") return error;
    } catch {
      // Told below.
    }
    this.surprises.push(`an answer of ${status}: ${text.slice(0, 300)}`);
    return null;
  }

  private note(key: string, seen: Seen): void {
    if (seen.revision >= (this.seen.get(key)?.revision ?? 0)) this.seen.set(key, seen);
  }

  /** Reads each key until that is answered, through any member that runs. */
  async readAll(keys: readonly string[]): Promise<void> {
    const rest = [...keys];
    const reader = async () => {
      for (let key = rest.pop(); key !== undefined; key = rest.pop()) {
        const one = key;
        await this.cluster.until(`key ${key} to be read`, () =>
          this.read(this.cluster.ids[this.random.below(this.cluster.ids.length)]!, one),
        );
      }
    };
    await Promise.all(Array.from({ length: CHECKERS }, reader));
  }

  private async ask(id: number, method: string, path: string, body?: string): Promise<Told> {
    this.waiting.set(id, (this.waiting.get(id) ?? 0) + 1);
    const told = await this.send(id, method, path, body);
    this.waiting.set(id, this.waiting.get(id)! - 1);
    return told;
  }

  private send(id: number, method: string, path: string, body?: string): Promise<Told> {
    return new Promise((resolve) => {
      const headers = body === undefined ? {} : { "content-length": Buffer.byteLength(body) };
      const options = { method, headers, agent: this.agent };
      const request = httpRequest(`${this.cluster.urlOf(id)}${path}`, options, (response) => {
        let text = "";
        response.setEncoding("utf8");
        response.on("data", (piece: string) => {
          text += piece;
        });
        response.once("end", () => {
          const revision = Number(/^"(\d+)"$/.exec(response.headers.etag ?? "")?.[1] ?? 0);
          resolve(response.complete ? { status: response.statusCode!, text, revision } : "cut");
        });
        response.once("error", () => resolve("cut"));
      });
      request.once("error", ({ code }: NodeJS.ErrnoException) =>
        resolve(code === "ECONNREFUSED" ? "refused" : "cut"),
      );
      const timer = setTimeout(() => request.destroy(new Error("no answer")), CALL_MS);
      request.once("close", () => clearTimeout(timer));
      request.end(body);
    });
  }
}
