// A member that is replaced while the load goes on: a new, empty node joins as a learner and catches up; then one joint
// change promotes it and removes a follower, which is stopped. The load ends when it is over. Runs in the harness.
import { median } from "simple-statistics";
import type { Run } from "../report/result-schema.js";
import {
  type EventPlan,
  followerOf,
  Marks,
  type Measures,
  measure,
  RECOVERY_MS_MAX,
  type RunEvent,
  sleep,
  until,
} from "./event-parts.js";
import { SERIES_STEP_MS } from "./load.js";
import { RECORD_OVERHEAD_BYTES } from "./payload.js";
import type { LoadResult } from "./protocol.js";

/** How long the group is watched undisturbed, before and after. */
const CALM_MS_MAX = 2000;
const CALM_SHARE = 0.1;
/** Each question takes the leader's time. */
const ASK_EVERY_MS = 10;

interface Told {
  /** Of the window. */
  readonly addedAt: number;
  readonly changedAt: number;
  readonly addMs: number;
  readonly catchUpMs: number;
  readonly changeMs: number;
  /** Entries that it lacked. */
  readonly behind: number;
}

export class MemberReplaced implements RunEvent {
  private readonly plan: EventPlan;
  private readonly happened = new Marks();
  private under: Promise<Told> | null = null;

  constructor(plan: EventPlan) {
    this.plan = plan;
  }

  get marks(): NonNullable<Run["marks"]> {
    return this.happened.all;
  }

  opened(): void {
    this.happened.begin();
    this.under = this.run().finally(() => this.plan.haltLoad());
    this.under.catch(() => {}); // finish() tells.
  }

  private async run(): Promise<Told> {
    const { cluster, leader, variant, durationMs } = this.plan;
    const { logMb, entryBytes } = variant.settings;
    const opened = performance.now();
    const waiting = { maxMs: Math.max(RECOVERY_MS_MAX, durationMs), everyMs: ASK_EVERY_MS };
    const calmMs = Math.min(CALM_MS_MAX, durationMs * CALM_SHARE);
    await sleep(calmMs);
    const entries = Math.ceil((logMb * 1e6) / (entryBytes + RECORD_OVERHEAD_BYTES));
    await until(`a log of ${logMb} MB`, async () => (await this.commit()) >= entries, waiting);
    const leaving = followerOf(cluster, leader);
    const { id, address } = await cluster.join();
    const addedAt = performance.now();
    this.happened.add("a new member is added");
    const behind = await this.commit();
    await this.change({ add: [{ id, address, learner: true }] });
    const inAt = performance.now();
    const caughtUp = async (): Promise<boolean> => {
      const commit = await this.commit();
      return (await cluster.call(id, "status", {})).applied >= commit;
    };
    await until("a new member to catch up", caughtUp, waiting);
    const caughtUpAt = performance.now();
    this.happened.add("it has caught up");
    await this.change({ promote: [id], remove: [leaving] });
    const changedAt = performance.now();
    this.happened.add("it votes, and another is removed");
    await cluster.part(leaving);
    await sleep(calmMs);
    return {
      addedAt: addedAt - opened,
      changedAt: changedAt - opened,
      addMs: inAt - addedAt,
      catchUpMs: caughtUpAt - inAt,
      changeMs: changedAt - caughtUpAt,
      behind,
    };
  }

  private async commit(): Promise<number> {
    const { cluster, leader } = this.plan;
    return (await cluster.call(leader, "status", {})).commit;
  }

  private async change(change: Parameters<EventPlan["cluster"]["changeMembership"]>[1]): Promise<void> {
    await this.plan.cluster.changeMembership(this.plan.leader, change);
  }

  async finish({ series, seriesP99Ms }: LoadResult): Promise<Measures> {
    if (this.under === null) return {};
    const { addedAt, changedAt, addMs, catchUpMs, changeMs, behind } = await this.under;
    const { entryBytes } = this.plan.variant.settings;
    const starts = series.map((_, i) => i * SERIES_STEP_MS);
    const meanwhile = starts.filter((at) => at + SERIES_STEP_MS > addedAt && at < changedAt);
    const before = starts.filter((at) => at + SERIES_STEP_MS <= addedAt);
    const mean = (of: readonly number[]) =>
      of.reduce((sum, at) => sum + series[at / SERIES_STEP_MS]!, 0) / of.length;
    const p99 = (of: readonly number[]) => {
      const known = of.flatMap((at) => seriesP99Ms[at / SERIES_STEP_MS] ?? []);
      return known.length === 0 ? null : median(known);
    };
    const [inside, outside] = [p99(meanwhile), p99(before)];
    const MBytes = (behind * (entryBytes + RECORD_OVERHEAD_BYTES)) / 1e6;
    return {
      behindMB: measure(MBytes, "MB", "higher", "log that there was when the new member came, empty"),
      addMs: measure(addMs, "ms", "lower", "changeMembership({ add }) of a learner, until it is in force"),
      catchUpMs: measure(
        catchUpMs,
        "ms",
        "lower",
        "from then until the new member had applied what was committed by then",
      ),
      changeMs: measure(changeMs, "ms", "lower", "one joint change that promotes it and removes another"),
      ...(meanwhile.length === 0 || before.length === 0
        ? {}
        : {
            rateMeanwhile: measure(
              (100 * mean(meanwhile)) / mean(before),
              "%",
              "higher",
              "commits a second from the addition to the end of the change, of those before",
            ),
          }),
      ...(inside === null || outside === null
        ? {}
        : {
            p99MeanwhileMs: measure(inside, "ms", "lower", "p99 of 100 ms meanwhile, median"),
            p99OtherwiseMs: measure(outside, "ms", "lower", "p99 of 100 ms before, median"),
          }),
    };
  }
}
