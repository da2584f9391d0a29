// A member that is replaced while the load goes on: a new, empty node joins as a learner and catches up; then one joint
// change promotes it and removes a follower, which is stopped. The load ends when it is over. Runs in the harness.
import {
  driftOf,
  type EventPlan,
  EventToItsEnd,
  followerOf,
  type Measures,
  meanwhileOf,
  measure,
  rateOf,
  sleep,
  took,
} from "./event-parts.js";
import { SERIES_STEP_MS } from "./load.js";
import { RECORD_OVERHEAD_BYTES } from "./payload.js";
import type { LoadResult } from "./protocol.js";

interface Told {
  /** Of the window. */
  readonly addedAt: number;
  readonly changedAt: number;
  /** Nothing is done to the group from here on. */
  readonly partedAt: number;
  readonly addMs: number;
  readonly catchUpMs: number;
  readonly changeMs: number;
  /** Entries that it lacked. */
  readonly behind: number;
}

export class MemberReplaced extends EventToItsEnd<Told> {
  protected async act(): Promise<Told> {
    const { cluster, leader, variant } = this.plan;
    const { logMb, entryBytes } = variant.settings;
    const opened = performance.now();
    await sleep(this.calmMs);
    const entries = Math.ceil((logMb * 1e6) / (entryBytes + RECORD_OVERHEAD_BYTES));
    await this.growth(`a log of ${logMb} MB`, entries);
    const leaving = followerOf(cluster, leader);
    const { id, address } = await cluster.join();
    const addedAt = performance.now();
    this.happened.add("a new member is added");
    const behind = await this.commit();
    await this.change({ add: [{ id, address, learner: true }] });
    const inAt = performance.now();
    await this.until("a new member to catch up", () => this.isLevel(id));
    const caughtUpAt = performance.now();
    this.happened.add("it has caught up");
    await this.change({ promote: [id], remove: [leaving] });
    const changedAt = performance.now();
    this.happened.add("it votes, and another is removed");
    this.checkUnderLoad("a member to be replaced");
    await cluster.part(leaving);
    const partedAt = performance.now();
    await sleep(this.calmMs);
    return {
      addedAt: addedAt - opened,
      changedAt: changedAt - opened,
      partedAt: partedAt - opened,
      addMs: inAt - addedAt,
      catchUpMs: caughtUpAt - inAt,
      changeMs: changedAt - caughtUpAt,
      behind,
    };
  }

  private async change(change: Parameters<EventPlan["cluster"]["changeMembership"]>[1]): Promise<void> {
    await this.plan.cluster.changeMembership(this.plan.leader, change);
  }

  protected tell(told: Told, load: LoadResult): Measures {
    const { addedAt, changedAt, partedAt, addMs, catchUpMs, changeMs, behind } = told;
    const { entryBytes } = this.plan.variant.settings;
    const MBytes = (behind * (entryBytes + RECORD_OVERHEAD_BYTES)) / 1e6;
    const isBefore = (at: number) => at + SERIES_STEP_MS <= addedAt;
    return {
      behindMB: measure(MBytes, "MB", "higher", "log that there was when the new member came, empty"),
      addMs: took(addMs, "changeMembership({ add }) of a learner, until it is in force"),
      catchUpMs: took(catchUpMs, "from then until the new member had applied what was committed by then"),
      changeMs: took(changeMs, "one joint change that promotes it and removes another"),
      ...meanwhileOf(load, (at) => at + SERIES_STEP_MS > addedAt && at < changedAt, isBefore, {
        rate: "commits a second from the addition to the end of the change, of those before",
        inside: "meanwhile",
        outside: "before",
      }),
      ...driftOf(
        rateOf(load, isBefore),
        rateOf(load, (at) => at >= partedAt),
      ),
    };
  }
}
