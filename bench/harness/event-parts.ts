// What the events of a run are made of: what they are told, what they tell, and waiting. Runs in the harness.
import { median } from "simple-statistics";
import type { Run } from "../report/result-schema.js";
import { BenchError } from "./bench-error.js";
import type { Cluster } from "./cluster.js";
import { SERIES_STEP_MS } from "./load.js";
import { NodeRefusal } from "./node-process.js";
import type { LoadResult } from "./protocol.js";
import type { Variant } from "./scenario.js";

export type Measures = Run["measures"];

export interface EventPlan {
  readonly cluster: Cluster;
  readonly leader: number;
  readonly variant: Variant;
  readonly durationMs: number;
  readonly runId: number;
  /** Ends the load, and with it the window. */
  readonly haltLoad: () => Promise<unknown>;
}

/** How fine the times are that are found by asking. */
const ASK_EVERY_MS = 2;
/** What takes long need not be known as finely: each answer takes the leader's time, and the harness's. */
const ASK_SHARE = 1 / 200;
export const RECOVERY_MS_MAX = 30_000;
const CALM_SHARE = 0.1;

/** When what happened, in milliseconds from the window's begin. */
export class Marks {
  readonly all: NonNullable<Run["marks"]> = [];
  private begunAt = 0;

  begin(): void {
    this.begunAt = performance.now();
  }

  add(what: string): void {
    this.all.push({ atMs: Math.round(performance.now() - this.begunAt), what });
  }
}

/** What an event tells. `faults`: why it came to no end, which leaves its run void; then it measured nothing. */
export interface EventOutcome {
  readonly measures: Measures;
  readonly faults: readonly string[];
}

/**
 * One run's event. `opened` and `closed` are called when the window does so, `finish` after the load; then `marks` are
 * whole.
 */
export interface RunEvent {
  readonly marks: NonNullable<Run["marks"]>;
  opened(): void;
  closed(): void;
  finish(load: LoadResult): Promise<EventOutcome>;
}

/** What was waited for did not come. */
class NeverCame extends BenchError {
  constructor(what: string, why: string) {
    super("failed", `${what}: ${why}.`);
  }
}

/** What a node refuses, or is not done in time, ends the event; a process that ends or stands still is its cluster's fault. */
export async function outcomeOf(told: Promise<Measures>): Promise<EventOutcome> {
  try {
    return { measures: await told, faults: [] };
  } catch (error) {
    if (!(error instanceof NeverCame || error instanceof NodeRefusal)) throw error;
    return { measures: {}, faults: [`what was to befall it came to no end: ${error.message}`] };
  }
}

/** An event that runs beside the load, from when the window opens. */
export abstract class EventUnderLoad<Told> implements RunEvent {
  protected readonly plan: EventPlan;
  protected readonly happened = new Marks();
  private under: Promise<Told> | null = null;

  constructor(plan: EventPlan) {
    this.plan = plan;
  }

  protected abstract run(): Promise<Told>;

  protected abstract tell(told: Told, load: LoadResult): Measures;

  get marks(): NonNullable<Run["marks"]> {
    return this.happened.all;
  }

  opened(): void {
    this.happened.begin();
    this.under = this.run();
    this.under.catch(() => {}); // finish() tells.
  }

  /** Told to `run` while it goes on: nothing that waits for proposals will come any more. */
  protected isLoadOver = false;

  closed(): void {
    this.isLoadOver = true;
  }

  async finish(load: LoadResult): Promise<EventOutcome> {
    this.isLoadOver = true;
    if (this.under === null) return { measures: {}, faults: [] };
    return outcomeOf(this.under.then((told) => this.tell(told, load)));
  }
}

/** One that ends the load, and with it the window, when it is over. */
export abstract class EventToItsEnd<Told> extends EventUnderLoad<Told> {
  protected abstract act(): Promise<Told>;

  protected run(): Promise<Told> {
    return this.act().finally(() => this.plan.haltLoad());
  }

  /** Of calmMs; in a short window it is less. */
  protected readonly calmMsMax: number = 2000;

  /** How long the group is watched undisturbed, before and after. */
  protected get calmMs(): number {
    return Math.min(this.calmMsMax, this.plan.durationMs * CALM_SHARE);
  }

  /** Waits for what may take as long as a window. */
  protected until(what: string, holds: () => Promise<boolean>): Promise<void> {
    return until(what, holds, Math.max(RECOVERY_MS_MAX, this.plan.durationMs));
  }

  /** Waits until the load has brought the log to `index`. */
  protected growth(what: string, index: number): Promise<void> {
    return this.until(what, async () => {
      if ((await this.commit()) >= index) return true;
      this.checkUnderLoad(what);
      return false;
    });
  }

  /** Called when all is done that is to be measured under load: without one it was another question. */
  protected checkUnderLoad(what: string): void {
    if (this.isLoadOver) throw new NeverCame(what, "the load was over before");
  }

  protected async commit(): Promise<number> {
    const { cluster, leader } = this.plan;
    return (await cluster.call(leader, "status", {})).commit;
  }

  /** Whether it has applied what is committed. */
  protected async isLevel(id: number): Promise<boolean> {
    const commit = await this.commit();
    return (await this.plan.cluster.call(id, "status", {})).applied >= commit;
  }
}

/**
 * What the rate after an event was, of that before it: `before` and `after` in commits by time. Nothing where there was
 * none.
 */
export function driftOf(before: number, after: number): Measures {
  if (!(before > 0) || !Number.isFinite(after)) return {};
  const meaning = "commits a second after it, of those before: by so much the rate differed without it";
  return { rateAfter: share((100 * after) / before, meaning) };
}

/** Commits a slot in those of `load` that begin at such times; NaN where there are none. */
export function rateOf({ series }: LoadResult, isThen: (slotMs: number) => boolean): number {
  const counts = series.filter((_, i) => isThen(i * SERIES_STEP_MS));
  return counts.reduce((sum, count) => sum + count, 0) / counts.length;
}

/** What three figures of a load mean: its rate meanwhile, and the p99 of 100 ms meanwhile and otherwise. */
interface MeanwhileWords {
  readonly rate: string;
  readonly inside: string;
  readonly outside: string;
}

/** A load meanwhile against otherwise, by the slots of its series that begin then; what either has not is left out. */
export function meanwhileOf(
  load: LoadResult,
  isMeanwhile: (slotMs: number) => boolean,
  isOtherwise: (slotMs: number) => boolean,
  { rate, inside, outside }: MeanwhileWords,
): Measures {
  const slots = load.series.map((_, i) => i);
  const [within, without] = [isMeanwhile, isOtherwise].map((those) =>
    slots.filter((i) => those(i * SERIES_STEP_MS)),
  );
  const [p99Within, p99Without] = [within, without].map((those) => {
    const known = those.flatMap((i) => load.seriesP99Ms[i] ?? []);
    return known.length === 0 ? null : median(known);
  });
  const [first, last] = [within[0] * SERIES_STEP_MS, within[within.length - 1] * SERIES_STEP_MS];
  const before = rateOf(load, (at) => isOtherwise(at) && at < first);
  const after = rateOf(load, (at) => isOtherwise(at) && at > last);
  return {
    ...(within.length === 0 ? {} : driftOf(before, after)),
    ...(within.length === 0 || without.length === 0
      ? {}
      : { rateMeanwhile: share((100 * rateOf(load, isMeanwhile)) / rateOf(load, isOtherwise), rate) }),
    ...(p99Within === null || p99Without === null
      ? {}
      : {
          p99MeanwhileMs: took(p99Within, `p99 of 100 ms ${inside}, median`),
          p99OtherwiseMs: took(p99Without, `p99 of 100 ms ${outside}, median`),
        }),
  };
}

export function measure(
  value: number,
  unit: string,
  better: "lower" | "higher",
  meaning: string,
): Measures[string] {
  return { value, unit, better, meaning };
}

/** Milliseconds. */
export function took(ms: number, meaning: string): Measures[string] {
  return measure(ms, "ms", "lower", meaning);
}

/** Of a rate, in per cent. */
export function share(percent: number, meaning: string): Measures[string] {
  return measure(percent, "%", "higher", meaning);
}

/** The follower that things are done to: the last that does not lead. */
export function followerOf(cluster: Cluster, leader: number): number {
  return cluster.ids.filter((id) => id !== leader).pop()!;
}

/** Asks again and again, the less often the longer it takes; throws BenchError if it does not hold within `maxMs`. */
export async function until(
  what: string,
  holds: () => Promise<boolean>,
  maxMs = RECOVERY_MS_MAX,
): Promise<void> {
  const begun = performance.now();
  while (!(await holds())) {
    const ms = performance.now() - begun;
    if (ms > maxMs) throw new NeverCame(what, `not within ${maxMs / 1000} s`);
    await sleep(Math.max(ASK_EVERY_MS, ms * ASK_SHARE));
  }
}

export function untilApplied(what: string, cluster: Cluster, id: number, index: number): Promise<void> {
  return until(what, async () => (await cluster.call(id, "status", {})).applied >= index);
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
