// A follower that stops, comes back when the log has grown by so much, and has to catch up while the load goes on: how
// long that takes, and what the group's callers notice of it. The load ends when it is over. Runs in the harness.
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
import { RECORD_OVERHEAD_BYTES } from "./payload.js";

/** How long the group is watched with all its members, before and after. */
const CALM_MS_MAX = 2000;
const CALM_SHARE = 0.1;
/** Asked less often than for events of milliseconds: each question takes the leader's time. */
const ASK_EVERY_MS = 10;

/** Commits over some time. */
interface Stretch {
  readonly ms: number;
  readonly commits: number;
}

interface Told {
  readonly before: Stretch;
  readonly away: Stretch;
  readonly catching: Stretch;
  readonly behind: number;
}

export class CatchUp implements RunEvent {
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
    const follower = followerOf(cluster, leader);
    const calmMs = Math.min(CALM_MS_MAX, durationMs * CALM_SHARE);
    const before = await this.stretch(() => sleep(calmMs));
    this.happened.add("a follower stops");
    const { applied } = await cluster.call(follower, "status", {});
    const last = applied + Math.ceil((logMb * 1e6) / (entryBytes + RECORD_OVERHEAD_BYTES));
    await cluster.stopOne(follower);
    const waiting = { maxMs: Math.max(RECOVERY_MS_MAX, durationMs), everyMs: ASK_EVERY_MS };
    const away = await this.stretch(() =>
      until(`a log that grows by ${logMb} MB`, async () => (await this.commit()) >= last, waiting),
    );
    this.happened.add("it starts again");
    const behind = (await this.commit()) - applied;
    const catching = await this.stretch(async () => {
      await cluster.restart(follower);
      const caughtUp = async (): Promise<boolean> => {
        const commit = await this.commit();
        return (await cluster.call(follower, "status", {})).applied >= commit;
      };
      await until("a follower that was away to catch up", caughtUp, waiting);
    });
    this.happened.add("it has caught up");
    await sleep(calmMs);
    return { before, away, catching, behind };
  }

  private async commit(): Promise<number> {
    const { cluster, leader } = this.plan;
    return (await cluster.call(leader, "status", {})).commit;
  }

  private async stretch(during: () => Promise<void>): Promise<Stretch> {
    const begun = performance.now();
    const first = await this.commit();
    await during();
    const commits = (await this.commit()) - first;
    return { ms: performance.now() - begun, commits };
  }

  async finish(): Promise<Measures> {
    if (this.under === null) return {};
    const { before, away, catching, behind } = await this.under;
    const { cluster, leader, variant } = this.plan;
    const bytes = variant.settings.entryBytes + RECORD_OVERHEAD_BYTES;
    const { openMs } = cluster.openedAs(followerOf(cluster, leader));
    const perS = ({ ms, commits }: Stretch) => commits / ms;
    const share = (stretch: Stretch) => (100 * perS(stretch)) / perS(before);
    return {
      behindMB: measure(
        (behind * bytes) / 1e6,
        "MB",
        "higher",
        "log that the follower lacked when it started again",
      ),
      openMs: measure(openMs, "ms", "lower", "RaftNode.open: the log found, checked and ready"),
      catchUpMs: measure(
        catching.ms,
        "ms",
        "lower",
        "from the start of its process until it had applied what was committed by then",
      ),
      catchUpMBPerS: measure(
        ((behind + catching.commits) * bytes) / 1e3 / catching.ms,
        "MB/s",
        "higher",
        "log that it lacked, and that came meanwhile, by that time",
      ),
      rateWhileAway: measure(
        share(away),
        "%",
        "higher",
        "commits a second while it was away, of those before",
      ),
      rateWhileCatchingUp: measure(
        share(catching),
        "%",
        "higher",
        "commits a second while it caught up, of those before it stopped",
      ),
    };
  }
}
