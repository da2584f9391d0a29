// Constant load: the log of every member stays within what the options say, the leader's memory too while a member is
// away, and a member that comes back reads no more the longer the group has run.
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { Group, type Member, STARTS_MAX } from "./group.js";
import type { Told } from "./member.js";

export interface BoundsPlan {
  /** In all; a member is away for `awayMs` of it, and each in turn is started again once in `restartEveryMs`. */
  readonly loadMs: number;
  readonly awayMs: number;
  readonly restartEveryMs: number;
  readonly inFlight: number;
  readonly rowBytes: number;
  readonly stateBytes: number;
  readonly snapshotEveryBytes: number;
  readonly segmentBytes: number;
  /** What the leader's memory may grow by from when a member goes away first, until the end, bytes. */
  readonly growthMax: number;
  /** Restarts may take so many times as long as the first two, whatever else the machine does; Infinity: not looked at. */
  readonly slowerMax: number;
  readonly timeoutMs: number;
  /** See GroupPlan. */
  readonly dir?: string | undefined;
  readonly say: (line: string) => void;
}

/** Prepared segments, and one that is being filled. */
const SEGMENTS_MORE = 3;
/** Snapshots that are kept, and one that is being written. */
const SNAPSHOTS = 3;
/**
 * Intervals of log: two that are kept, and what comes until the next snapshot is written, which is that much where the disk
 * has as much to do with a snapshot as with the log between two.
 */
const INTERVALS = 3;
/** And while a member catches up behind its snapshot, for which the log is held: see HOLD_FACTOR of the engine. */
const INTERVALS_HELD = 8;
const LOOK_MS = 500;
const LOOKS_LEVEL = 2;

interface Peak {
  logBytes: number;
  heldBytes: number;
  diskBytes: number;
  rssBytes: number;
}

export async function bounds(plan: BoundsPlan): Promise<{ commits: number; restarts: number }> {
  const { say, rowBytes, snapshotEveryBytes, segmentBytes, inFlight } = plan;
  const rows = Math.ceil(plan.stateBytes / rowBytes);
  const group = await Group.make({
    members: 3,
    dir: plan.dir,
    rows,
    rowBytes,
    options: { snapshotEveryBytes, snapshotCatchUpBytes: snapshotEveryBytes, segmentBytes },
  });
  const interval = Math.max(snapshotEveryBytes, plan.stateBytes);
  const logMax = INTERVALS * interval;
  const filesMore = SEGMENTS_MORE * segmentBytes + SNAPSHOTS * (plan.stateBytes + 1024);
  const peak: Peak = { logBytes: 0, heldBytes: 0, diskBytes: 0, rssBytes: 0 };
  try {
    for (const member of group.members) await member.start();
    const leader = await group.leader();
    await leader.say({ inFlight });
    const others = group.members.filter((member) => member !== leader);
    const begun = performance.now();
    // Looks in a row, since the last start of a member, that found everybody as far as the leader: what it holds for who is
    // not goes with the next snapshot.
    let looksLevel = 0;
    let rssMax = Infinity;
    const look = async (): Promise<void> => {
      await sleep(LOOK_MS);
      const told = await leader.say();
      peak.rssBytes = Math.max(peak.rssBytes, told.rssBytes);
      assert.ok(told.rssBytes <= rssMax, `leader's memory: ${mib(told.rssBytes)}, above ${mib(rssMax)}`);
      let isLevel = true;
      for (const member of group.up) {
        const { logBytes, leads, lastIndex } = await member.say();
        const { diskBytes } = member;
        const isHeld = member === leader && looksLevel < LOOKS_LEVEL;
        const most = isHeld ? INTERVALS_HELD * interval : logMax;
        assert.ok(logBytes <= most, `node ${member.id}: ${mib(logBytes)} of log, above ${mib(most)}`);
        assert.ok(
          diskBytes <= most + filesMore,
          `node ${member.id}: ${mib(diskBytes)} of files, above ${mib(most + filesMore)}`,
        );
        if (isHeld) peak.heldBytes = Math.max(peak.heldBytes, logBytes);
        else peak.logBytes = Math.max(peak.logBytes, logBytes);
        if (!isHeld) peak.diskBytes = Math.max(peak.diskBytes, diskBytes);
        assert.equal(leads, member === leader);
        isLevel &&= lastIndex >= told.lastIndex - inFlight;
      }
      looksLevel = isLevel ? looksLevel + 1 : 0;
    };
    const lookFor = async (ms: number): Promise<void> => {
      const from = performance.now();
      while (performance.now() - from < ms) await look();
    };
    /** How long each took. */
    const restarts: number[] = [];
    while (performance.now() - begun < plan.loadMs) {
      await lookFor(plan.restartEveryMs);
      const member = others[restarts.length % others.length]!;
      await member.close();
      if (restarts.length === 0) {
        const level = peak.rssBytes;
        rssMax = level + plan.growthMax;
        await lookFor(plan.awayMs);
        say(`leader's memory: ${mib(level)}, and ${mib(peak.rssBytes)} at most with a member away`);
      }
      const msMax = restarts.length < 2 ? Infinity : plan.slowerMax * Math.max(restarts[0]!, restarts[1]!);
      const told = await restarted(member, msMax, begun, say);
      looksLevel = 0;
      restarts.push(told.ownReplayMs);
      // No record of an entry is smaller than its data.
      const { recoveredRecords } = told;
      assert.ok(
        recoveredRecords * rowBytes <= 2 * logMax,
        `${recoveredRecords} records were read at opening`,
      );
    }
    const { acked, failed } = await leader.say({ inFlight: 0 });
    assert.equal(failed, 0);
    await group.level(plan.timeoutMs);
    say(
      `${acked} commits (${mib(acked * rowBytes)}) in ${Math.round((performance.now() - begun) / 1000)} s; ` +
        `at most ${mib(peak.logBytes)} of log (bound ${mib(logMax)}), ${mib(peak.diskBytes)} of files ` +
        `(${mib(logMax + filesMore)}); ${mib(peak.heldBytes)} of log while one caught up; ` +
        `leader's memory ${mib(peak.rssBytes)} (${mib(rssMax)})`,
    );
    return { commits: acked, restarts: restarts.length };
  } finally {
    await group.end();
  }
}

/** Starts `member`, within `msMax`. */
async function restarted(
  member: Member,
  msMax: number,
  begun: number,
  say: (line: string) => void,
): Promise<Told> {
  for (let starts = 1; ; starts++) {
    await member.start();
    const told = await member.say();
    const { recoveredRecords, openMs, replayMs, ownReplayMs } = told;
    say(
      `${Math.round((performance.now() - begun) / 1000)} s: node ${member.id} read ${recoveredRecords} records, ` +
        `open after ${Math.round(openMs)} ms, applied after ${Math.round(replayMs)} ms (${Math.round(ownReplayMs)} its own)`,
    );
    if (ownReplayMs <= msMax) return told;
    assert.ok(starts < STARTS_MAX, `${starts} starts took more than ${Math.round(msMax)} ms each`);
    await member.close();
  }
}

export function mib(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(bytes < 10 * 2 ** 20 ? 1 : 0)} MiB`;
}
