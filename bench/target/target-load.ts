// The load of one client process: so many callers, each with a key of its own, which it writes again and again, and reads.
// At the end every key is read back: it must hold what was acknowledged last, or what was sent after that.
import { LatencyCounts } from "../harness/latency.js";
import { SERIES_STEP_MS, within } from "../harness/load.js";
import { type Target, TargetClient } from "./target-client.js";

export interface TargetLoadPlan {
  readonly targets: readonly Target[];
  /** Names this run's keys. */
  readonly run: string;
  /** Which of the processes this is. */
  readonly client: number;
  readonly callers: number;
  readonly valueBytes: number;
  readonly readsPerWrite: number;
  readonly warmupMs: number;
  readonly durationMs: number;
  /** How long a request is tried again. */
  readonly patienceMs: number;
}

export interface TargetLoadResult {
  readonly windowMs: number;
  /** Writes acknowledged in the window, and reads answered in it. */
  readonly writesDone: number;
  readonly readsDone: number;
  /** Of those under way in it, whenever they were answered. */
  readonly writes: LatencyCounts;
  readonly reads: LatencyCounts;
  /** Writes acknowledged in each whole step of the window. */
  readonly series: readonly number[];
  /** Acknowledged, warm-up included. */
  readonly acknowledged: number;
  /** Requests that were tried again, and what was said then, by how often. */
  readonly again: number;
  readonly said: Readonly<Record<string, number>>;
  /** Requests that had no outcome, by what was said last. */
  readonly failed: Readonly<Record<string, number>>;
  /** What is not as it was acknowledged, a sentence each. */
  readonly findings: readonly string[];
  /** Keys that were read back, and a sentence for those that could not be. */
  readonly keysChecked: number;
  readonly unread: readonly string[];
  /** Callers that gave up before the load was over. */
  readonly gaveUp: number;
}

/** The shortest that names a write. */
export const VALUE_BYTES_MIN = 16;
const FINDINGS_MAX = 5;
const UNREAD_MAX = 5;

/** One caller and its key. */
interface Caller {
  readonly path: string;
  /** Of the writes, from 1: the last that was sent, and the last that was acknowledged. */
  sent: number;
  acknowledged: number;
  /** The revision that it got. */
  revision: number;
}

export class TargetLoad {
  private readonly plan: TargetLoadPlan;
  private readonly client: TargetClient;
  private readonly callers: Caller[];
  private readonly filler: Buffer;
  private readonly writes = new LatencyCounts();
  private readonly reads = new LatencyCounts();
  private readonly series: number[];
  private readonly said: Record<string, number> = {};
  private readonly failed: Record<string, number> = {};
  private readonly findings: string[] = [];
  private readonly unread: string[] = [];
  private gaveUp = 0;
  private writesDone = 0;
  private readsDone = 0;
  private again = 0;
  private acknowledged = 0;
  private windowStart = Infinity;
  private windowEnd = Infinity;
  private stopping = false;

  constructor(plan: TargetLoadPlan) {
    this.plan = plan;
    this.client = new TargetClient(plan.targets, plan.callers, plan.client);
    this.callers = Array.from({ length: plan.callers }, (_, i) => ({
      path: `/kv/bench-${plan.run}-${plan.client}-${i}`,
      sent: 0,
      acknowledged: 0,
      revision: 0,
    }));
    this.filler = Buffer.alloc(plan.valueBytes, "raftmark ");
    // A rest of a step is none: it would count as a step in which less was done.
    this.series = new Array<number>(Math.floor(plan.durationMs / SERIES_STEP_MS)).fill(0);
  }

  /** Loads, reads back, and takes its keys away again. */
  async run(onWindow: (open: boolean) => void): Promise<TargetLoadResult> {
    const { warmupMs, durationMs } = this.plan;
    const calling = Promise.all(this.callers.map((caller) => this.call(caller)));
    const over = calling.then(() => {});
    await within(warmupMs, over);
    this.windowStart = performance.now();
    onWindow(true);
    await within(durationMs, over);
    this.windowEnd = performance.now();
    onWindow(false);
    const windowMs = this.windowEnd - this.windowStart;
    // Whole steps: also without the callers that gave up, and where a timer comes early, by less than a millisecond.
    const steps = this.stopping ? Math.floor(windowMs / SERIES_STEP_MS) : this.series.length;
    this.stopping = true;
    await calling;
    let keysChecked = 0;
    await Promise.all(
      this.callers.map(async (caller) => {
        const checked = await this.check(caller);
        if (checked) keysChecked++;
        await this.client.ask("DELETE", caller.path, null, checked ? this.plan.patienceMs : 0);
      }),
    );
    this.client.close();
    return {
      windowMs,
      writesDone: this.writesDone,
      readsDone: this.readsDone,
      writes: this.writes,
      reads: this.reads,
      series: this.series.slice(0, steps),
      acknowledged: this.acknowledged,
      again: this.again,
      said: this.said,
      failed: this.failed,
      findings: this.findings,
      keysChecked,
      unread: this.unread,
      gaveUp: this.gaveUp,
    };
  }

  /** Ends the load early; what was acknowledged is read back. */
  stop(): void {
    this.stopping = true;
  }

  private async call(caller: Caller): Promise<void> {
    const { readsPerWrite } = this.plan;
    while (!this.stopping) {
      let goesOn = await this.write(caller);
      for (let i = 0; goesOn && i < readsPerWrite && !this.stopping; i++) goesOn = await this.read(caller);
      if (goesOn) continue;
      this.gaveUp++;
      return;
    }
  }

  /** False: there was no outcome, and this caller gives up: what its key has is not known any more. */
  private async write(caller: Caller): Promise<boolean> {
    const seq = ++caller.sent;
    const value = Buffer.from(this.filler);
    value.write(seq.toString(16).padStart(VALUE_BYTES_MIN - 1, "0"), "latin1");
    const begun = performance.now();
    const revision = await this.put(caller, seq, value);
    if (revision === null) return false;
    const now = performance.now();
    this.acknowledged++;
    caller.acknowledged = seq;
    if (revision <= caller.revision)
      this.find(
        `${caller.path}: write ${seq} got revision ${revision}, the one before it ${caller.revision}`,
      );
    caller.revision = revision;
    if (this.counts(begun, now)) this.writes.record(now - begun);
    if (!this.isInWindow(now)) return true;
    this.writesDone++;
    const step = Math.floor((now - this.windowStart) / SERIES_STEP_MS);
    if (step < this.series.length) this.series[step]!++;
    return true;
  }

  /**
   * The revision that it got; null: it is not known. Each write names the revision that it replaces, so that a try that was
   * given up for lost cannot come through later, over a newer one.
   */
  private async put({ path, revision }: Caller, seq: number, value: Buffer): Promise<number | null> {
    const { status, body, tries } = await this.ask("PUT", `${path}?cas=${revision}`, value);
    if (status === 200) return (JSON.parse(body.toString()) as { revision: number }).revision;
    if (status !== 412) return null;
    // An earlier try of its own came through, unless somebody else writes to this key.
    const { error } = JSON.parse(body.toString()) as { error: { revision: number } };
    const read = await this.ask("GET", path, null);
    if (read.status !== 200) return null;
    if (tries > 0 && seqOf(read.body) === seq) return error.revision;
    this.find(
      `${path}: write ${seq} was refused, as its revision is not ${revision} any more but ${error.revision}`,
    );
    return null;
  }

  private async read(caller: Caller): Promise<boolean> {
    const begun = performance.now();
    const { status, body } = await this.ask("GET", caller.path, null);
    if (status !== 200 && status !== 404) return false;
    const now = performance.now();
    this.judge(caller, status, body);
    if (this.counts(begun, now)) this.reads.record(now - begun);
    if (this.isInWindow(now)) this.readsDone++;
    return true;
  }

  private isInWindow(now: number): boolean {
    return now >= this.windowStart && now < this.windowEnd;
  }

  /** Also what the window's edges cut: a stall over either is in the latencies of all it held up. */
  private counts(begun: number, now: number): boolean {
    return now >= this.windowStart && begun < this.windowEnd;
  }

  private async check(caller: Caller): Promise<boolean> {
    const { status, body } = await this.client.ask("GET", caller.path, null, this.plan.patienceMs);
    if (status !== 200 && status !== 404) {
      const why = status === 0 ? "nobody answered" : status;
      if (this.unread.length < UNREAD_MAX) this.unread.push(`${caller.path} could not be read back: ${why}`);
      return false;
    }
    this.judge(caller, status, body);
    return true;
  }

  /** A linearizable read has the last write that was acknowledged, or one that was sent later. */
  private judge({ path, acknowledged, sent }: Caller, status: number, body: Buffer): void {
    const seq = status === 404 ? 0 : seqOf(body);
    const isWhole = status === 404 || body.length === this.plan.valueBytes;
    if (seq >= acknowledged && seq <= sent && isWhole) return;
    const what = status === 404 ? "nothing" : `write ${seq} (${body.length} bytes)`;
    this.find(`${path} has ${what}: write ${acknowledged} was acknowledged last, and ${sent} sent`);
  }

  private async ask(method: string, path: string, body: Buffer | null) {
    const outcome = await this.client.ask(method, path, body, this.plan.patienceMs);
    if (outcome.tries > 0) {
      this.again++;
      this.said[outcome.failure] = (this.said[outcome.failure] ?? 0) + 1;
    }
    const { status } = outcome;
    const isAnswer =
      status === 200 || (method === "GET" && status === 404) || (method === "PUT" && status === 412);
    if (!isAnswer) {
      const why = outcome.failure === "" ? String(status) : outcome.failure;
      this.failed[why] = (this.failed[why] ?? 0) + 1;
    }
    return outcome;
  }

  private find(text: string): void {
    if (this.findings.length < FINDINGS_MAX) this.findings.push(text);
  }
}

/** Which write a value is of. */
function seqOf(value: Buffer): number {
  return Number.parseInt(value.toString("latin1", 0, VALUE_BYTES_MIN - 1), 16);
}
