// What the events of a run are made of: what they are told, what they tell, and waiting. Runs in the harness.
import type { Run } from "../report/result-schema.js";
import { BenchError } from "./bench-error.js";
import type { Cluster } from "./cluster.js";
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
export const RECOVERY_MS_MAX = 30_000;

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

/** One run's event. `opened` is called when the window opens, `finish` after the load; then `marks` are whole. */
export interface RunEvent {
  readonly marks: NonNullable<Run["marks"]>;
  opened(): void;
  finish(load: LoadResult): Promise<Measures>;
}

export function measure(
  value: number,
  unit: string,
  better: "lower" | "higher",
  meaning: string,
): Measures[string] {
  return { value, unit, better, meaning };
}

/** The follower that things are done to: the last that does not lead. */
export function followerOf(cluster: Cluster, leader: number): number {
  return cluster.ids.filter((id) => id !== leader).pop()!;
}

/** Asks again and again; throws BenchError if it does not hold within `maxMs`. */
export async function until(
  what: string,
  holds: () => Promise<boolean>,
  { maxMs = RECOVERY_MS_MAX, everyMs = ASK_EVERY_MS } = {},
): Promise<void> {
  const begun = performance.now();
  while (!(await holds())) {
    if (performance.now() - begun > maxMs) {
      throw new BenchError("failed", `${what}: not within ${maxMs / 1000} s.`);
    }
    await sleep(everyMs);
  }
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
