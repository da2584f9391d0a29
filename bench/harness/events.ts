// What befalls a cluster in the middle of a run, and what only that run can tell: a follower that stands still, a
// leader that is killed, a node that starts again. Runs in the harness; times are the harness's clock.
import type { Settings } from "./axes.js";
import { CatchUp } from "./catch-up-event.js";
import {
  driftOf,
  type EventPlan,
  EventUnderLoad,
  followerOf,
  type Measures,
  measure,
  outcomeOf,
  RECOVERY_MS_MAX,
  type RunEvent,
  share,
  sleep,
  took,
  until,
  untilApplied,
} from "./event-parts.js";
import { SERIES_STEP_MS } from "./load.js";
import { MemberReplaced } from "./member-change-event.js";
import { Payloads } from "./payload.js";
import type { LoadResult } from "./protocol.js";
import { SnapshotsTaken } from "./snapshot-event.js";

/** Of the window: when a follower is paused or the leader killed, and how long the pause is. */
const PAUSE_AT = 0.4;
const PAUSE_SHARE = 0.2;
const KILL_AT = 0.25;
/**
 * The load goes on behind a kill: the window has room for an election, which starts after 10 to 19 ticks, and for what
 * comes after it.
 */
const KILL_WINDOW_TICKS = 40;

/** How long the window is: as long as asked, or as the event needs. */
export function windowMs(askedMs: number, { event, tickMs }: Settings): number {
  return event === "kill-leader" ? Math.max(askedMs, KILL_WINDOW_TICKS * tickMs) : askedMs;
}

export function eventFor(plan: EventPlan): RunEvent {
  switch (plan.variant.settings.event) {
    case "none":
      return eventAfterLoad(async () => ({}));
    case "pause-follower":
      return new PauseFollower(plan);
    case "kill-leader":
      return new KillLeader(plan);
    case "restart":
      return eventAfterLoad(() => restart(plan));
    case "catch-up":
      return new CatchUp(plan);
    case "replace-member":
      return new MemberReplaced(plan);
    case "snapshots":
      return new SnapshotsTaken(plan);
  }
}

function eventAfterLoad(tell: () => Promise<Measures>): RunEvent {
  return { marks: [], opened() {}, closed() {}, finish: () => outcomeOf(tell()) };
}

interface Paused {
  readonly pausedMs: number;
  readonly catchUpMs: number;
}

class PauseFollower extends EventUnderLoad<Paused> {
  protected async run(): Promise<Paused> {
    const { cluster, leader, durationMs } = this.plan;
    const follower = followerOf(cluster, leader);
    await sleep(durationMs * PAUSE_AT);
    const from = performance.now();
    cluster.node(follower).pause();
    this.happened.add("a follower stands still");
    await sleep(durationMs * PAUSE_SHARE);
    cluster.node(follower).resume();
    this.happened.add("it goes on");
    const to = performance.now();
    const { commit } = await cluster.call(leader, "status", {});
    await untilApplied("a follower that was paused to catch up", cluster, follower, commit);
    this.happened.add("it has caught up");
    return { pausedMs: to - from, catchUpMs: performance.now() - to };
  }

  protected tell({ pausedMs, catchUpMs }: Paused, load: LoadResult): Measures {
    const { durationMs } = this.plan;
    return {
      pausedMs: took(pausedMs, "how long one follower stood still (SIGSTOP to SIGCONT)"),
      catchUpMs: took(catchUpMs, "from SIGCONT until it had applied what was committed then"),
      ...rateWhilePaused(load.series, durationMs),
    };
  }
}

/** Commits in the slots of the series that lie wholly in the pause, against the others; nothing if there is none. */
function rateWhilePaused(series: readonly number[], durationMs: number): Measures {
  const first = Math.ceil((durationMs * PAUSE_AT) / SERIES_STEP_MS);
  const end = Math.floor((durationMs * (PAUSE_AT + PAUSE_SHARE)) / SERIES_STEP_MS);
  const paused = series.slice(first, end);
  const rest = [...series.slice(0, first), ...series.slice(end)];
  const mean = (counts: readonly number[]) =>
    counts.reduce((sum, count) => sum + count, 0) / Math.max(1, counts.length);
  if (paused.length === 0 || mean(rest) === 0) return {};
  const ofRest = (mean(paused) / mean(rest)) * 100;
  return {
    rateWhilePaused: share(ofRest, "commits a second meanwhile, of those before and after"),
    ...driftOf(mean(series.slice(0, first)), mean(series.slice(end))),
  };
}

interface Killed {
  readonly leaderMs: number;
  readonly commitMs: number;
  readonly restartMs: number;
}

class KillLeader extends EventUnderLoad<Killed> {
  protected async run(): Promise<Killed> {
    const { cluster, leader, durationMs, runId, variant } = this.plan;
    const probes = new Payloads(runId, 0, variant.settings.entryBytes);
    await sleep(durationMs * KILL_AT);
    const killed = performance.now();
    this.happened.add("the leader is killed");
    await cluster.kill(leader);
    let elected = 0;
    let leaderAt = 0;
    await until("a new leader", async () => {
      const all = await Promise.all(cluster.alive.map((id) => cluster.call(id, "status", {})));
      elected = all.find(({ state }) => state === "StateLeader")?.id ?? 0;
      leaderAt = performance.now();
      return elected !== 0;
    });
    this.happened.add("another leads");
    await until("the first commit of a new leader", async () => {
      const refused = () => null; // It lost its place again, or has not won it everywhere yet.
      const answer = await cluster.call(elected, "propose", { bytes: probes.next() }).catch(refused);
      if (answer !== null) return true;
      elected = (await cluster.call(elected, "status", {})).leader || elected;
      return false;
    });
    const commitAt = performance.now();
    await cluster.restart(leader);
    const { commit } = await cluster.call(elected, "status", {});
    // The load goes on meanwhile, so that it may never have all of it at one moment.
    await untilApplied("a leader that was killed to catch up", cluster, leader, commit);
    this.happened.add("the killed node is back");
    return {
      leaderMs: leaderAt - killed,
      commitMs: commitAt - killed,
      restartMs: performance.now() - commitAt,
    };
  }

  protected tell({ leaderMs, commitMs, restartMs }: Killed, load: LoadResult): Measures {
    const { askedAgain, silentMs } = load.failover ?? { askedAgain: 0, silentMs: 0 };
    return {
      newLeaderMs: took(leaderMs, "from kill -9 of the leader until another leads"),
      firstCommitMs: took(commitMs, "from kill -9 of the leader until a proposal commits again"),
      outageMs: took(silentMs, "from a client's last answer before the kill to its next"),
      rejoinedMs: took(
        restartMs,
        "from that commit until the killed node, started again, has applied what was committed then",
      ),
      askedAgain: measure(
        askedAgain,
        "proposals",
        "lower",
        "under way at the kill: the client cannot know their fate, and asks the next leader again",
      ),
    };
  }
}

/** After the load: a follower stops in order and starts again on its log. */
async function restart({ cluster, leader }: EventPlan): Promise<Measures> {
  const follower = followerOf(cluster, leader);
  await cluster.catchUp(RECOVERY_MS_MAX);
  const { metrics } = await cluster.call(follower, "sample", {});
  const { applied } = await cluster.call(follower, "status", {});
  await cluster.stopOne(follower);
  const begun = performance.now();
  await cluster.restart(follower);
  await untilApplied("a node that was restarted to catch up", cluster, follower, applied);
  const caughtUpMs = performance.now() - begun;
  const { openMs } = cluster.openedAs(follower);
  return {
    logMB: measure(metrics.walBytes / 1e6, "MB", "higher", "what the log held that the node started on"),
    openMs: took(openMs, "RaftNode.open: the log found, checked and ready"),
    openGBPerS: measure(metrics.walBytes / 1e6 / openMs, "GB/s", "higher", "bytes of log by time to open"),
    caughtUpMs: took(caughtUpMs, "from the start of its process until it had applied everything"),
  };
}
