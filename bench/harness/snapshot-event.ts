// Snapshots of the state, one after the other on every node in the middle of the window, while the load goes on: how long
// one takes, and what callers notice. Nothing is released, so that the logs can be checked as a whole. In the harness.
import { median } from "simple-statistics";
import { EventUnderLoad, type Measures, meanwhileOf, measure, sleep, took } from "./event-parts.js";
import { SERIES_STEP_MS } from "./load.js";
import type { LoadResult } from "./protocol.js";

/** Of the window: when the first begins, and when no other does. */
const FROM = 0.3;
const TO = 0.7;
const SNAPSHOT_MS_MAX = 120_000;

interface Told {
  /** Of the leader's. */
  readonly eachMs: readonly number[];
  /** Of the window. */
  readonly fromMs: number;
  readonly toMs: number;
}

export class SnapshotsTaken extends EventUnderLoad<Told> {
  protected async run(): Promise<Told> {
    const { cluster, leader, durationMs } = this.plan;
    const opened = performance.now();
    await sleep(durationMs * FROM);
    this.happened.add("every node takes snapshots");
    const fromMs = performance.now() - opened;
    const eachMs: number[] = [];
    const takeAll = async (id: number): Promise<void> => {
      do {
        const begun = performance.now();
        await cluster.call(id, "takeSnapshot", {}, { timeoutMs: SNAPSHOT_MS_MAX });
        if (id === leader) eachMs.push(performance.now() - begun);
      } while (performance.now() - opened < durationMs * TO);
    };
    await Promise.all(cluster.ids.map(takeAll));
    const toMs = performance.now() - opened;
    this.happened.add("no more");
    return { eachMs, fromMs, toMs };
  }

  protected tell({ eachMs, fromMs, toMs }: Told, load: LoadResult): Measures {
    const { stateMb } = this.plan.variant.settings;
    const snapshotMs = median([...eachMs]);
    return {
      snapshotMs: took(snapshotMs, "takeSnapshot() on the leader until it is recorded, median"),
      snapshotMBPerS: measure(
        (stateMb * 1000) / snapshotMs,
        "MB/s",
        "higher",
        "bytes of the state by that time, while every node takes one",
      ),
      // Slots that lie wholly in it, against those wholly outside.
      ...meanwhileOf(
        load,
        (at) => at >= fromMs && at + SERIES_STEP_MS <= toMs,
        (at) => at + SERIES_STEP_MS <= fromMs || at >= toMs,
        {
          rate: "commits a second while snapshots are taken, of those before and after",
          inside: "while snapshots are taken",
          outside: "before and after",
        },
      ),
    };
  }
}
