// A follower that stops, comes back when the log has grown by so much, and has to catch up while the load goes on: how
// long that takes, and what the group's callers notice of it. The load ends when it is over. Runs in the harness.
import {
  driftOf,
  EventToItsEnd,
  followerOf,
  type Measures,
  measure,
  share,
  sleep,
  took,
} from "./event-parts.js";
import { RECORD_OVERHEAD_BYTES } from "./payload.js";
import type { LoadResult } from "./protocol.js";

/** Commits over some time. */
interface Stretch {
  readonly ms: number;
  readonly commits: number;
}

interface Told {
  readonly before: Stretch;
  readonly away: Stretch;
  readonly opening: Stretch;
  readonly catching: Stretch;
  readonly after: Stretch;
  readonly behind: number;
}

export class CatchUp extends EventToItsEnd<Told> {
  /** In 2 s a machine of two cores is a quarter faster or slower than in the next. */
  protected override readonly calmMsMax = 7500;

  protected async act(): Promise<Told> {
    const { cluster, leader, variant } = this.plan;
    const { logMb, entryBytes } = variant.settings;
    const follower = followerOf(cluster, leader);
    const before = await this.stretch(() => sleep(this.calmMs));
    this.happened.add("a follower stops");
    const { applied } = await cluster.call(follower, "status", {});
    const last = applied + Math.ceil((logMb * 1e6) / (entryBytes + RECORD_OVERHEAD_BYTES));
    await cluster.stopOne(follower);
    const away = await this.stretch(() => this.growth(`a log that grows by ${logMb} MB`, last));
    this.happened.add("it starts again");
    const behind = (await this.commit()) - applied;
    const opening = await this.stretch(() => cluster.restart(follower));
    const catching = await this.stretch(() =>
      this.until("a follower that was away to catch up", () => this.isLevel(follower)),
    );
    this.happened.add("it has caught up");
    this.checkUnderLoad("a follower that was away to catch up");
    const after = await this.stretch(() => sleep(this.calmMs));
    return { before, away, opening, catching, after, behind };
  }

  private async stretch(during: () => Promise<void>): Promise<Stretch> {
    const begun = performance.now();
    const first = await this.commit();
    await during();
    const commits = (await this.commit()) - first;
    return { ms: performance.now() - begun, commits };
  }

  protected tell({ before, away, opening, catching, after, behind }: Told, load: LoadResult): Measures {
    const { cluster, leader, variant, durationMs } = this.plan;
    const bytes = variant.settings.entryBytes + RECORD_OVERHEAD_BYTES;
    const { openMs } = cluster.openedAs(followerOf(cluster, leader));
    const perS = ({ ms, commits }: Stretch) => commits / ms;
    // A machine's speed drifts meanwhile. Of the time after nothing is known if the load was over first.
    const isWhole = load.windowMs < durationMs;
    const calm = isWhole ? (perS(before) + perS(after)) / 2 : perS(before);
    const ofCalm = (stretch: Stretch) => (100 * perS(stretch)) / calm;
    const catchUpMs = opening.ms + catching.ms;
    return {
      behindMB: measure(
        (behind * bytes) / 1e6,
        "MB",
        "higher",
        "log that the follower lacked when it started again",
      ),
      openMs: took(openMs, "RaftNode.open: the log found, checked and ready"),
      catchUpMs: took(
        catchUpMs,
        "from the start of its process until it had applied what was committed by then",
      ),
      catchUpMBPerS: measure(
        ((behind + opening.commits + catching.commits) * bytes) / 1e3 / catchUpMs,
        "MB/s",
        "higher",
        "log that it lacked, and that came meanwhile, by that time",
      ),
      ...(isWhole ? driftOf(perS(before), perS(after)) : {}),
      rateWhileAway: share(ofCalm(away), "commits a second while it was away, of those before and after"),
      rateWhileOpening: share(
        ofCalm(opening),
        "commits a second while its process started and opened its log, of those before and after",
      ),
      rateWhileCatchingUp: share(
        ofCalm(catching),
        "commits a second while it caught up, its log open, of those before and after",
      ),
    };
  }
}
