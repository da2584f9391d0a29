// A node that has taken far more proposals than its state is large: what it reads when it starts, and how long that takes.
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { mib } from "./bounds.js";
import { Group, STARTS_MAX } from "./group.js";
import type { Told } from "./member.js";

export interface RestartPlan {
  readonly proposedBytes: number;
  readonly stateBytes: number;
  readonly rowBytes: number;
  readonly inFlight: number;
  readonly snapshotEveryBytes: number;
  readonly segmentBytes: number;
  /** Until it has applied all that it has, whatever else the machine does; Infinity: its time is not looked at. */
  readonly startMsMax: number;
  /** It is killed instead of closed. */
  readonly kill: boolean;
  readonly say: (line: string) => void;
}

const LOOK_MS = 100;

export async function restart(plan: RestartPlan): Promise<{ records: number }> {
  const { rowBytes, proposedBytes, snapshotEveryBytes, segmentBytes, say } = plan;
  const rows = Math.ceil(plan.stateBytes / rowBytes);
  const group = await Group.make({
    members: 1,
    rows,
    rowBytes,
    options: { snapshotEveryBytes, segmentBytes },
  });
  try {
    const [node] = group.members;
    await node!.start();
    await group.leader();
    await node!.say({ inFlight: plan.inFlight });
    while ((await node!.say()).acked * rowBytes < proposedBytes) await sleep(LOOK_MS);
    await node!.say({ inFlight: 0 });
    const hash = await group.level(60_000);
    const { logBytes, acked, applied } = await node!.say();
    let told: Told;
    for (let starts = 1; ; starts++) {
      if (plan.kill) await node!.kill();
      else await node!.close();
      await node!.start();
      // That the last of it is committed, a killed node learns when it leads.
      while ((await node!.say()).applied < applied) await sleep(LOOK_MS);
      told = await node!.say({ hash: true });
      assert.equal(told.hash, hash);
      const { openMs, replayMs, ownReplayMs, recoveredRecords } = told;
      say(
        `${mib(acked * rowBytes)} proposed, ${mib(plan.stateBytes)} of state, ${mib(logBytes)} of log: ${recoveredRecords} ` +
          `records read, open after ${Math.round(openMs)} ms, all applied after ${Math.round(replayMs)} ms ` +
          `(${Math.round(ownReplayMs)} its own)`,
      );
      if (ownReplayMs <= plan.startMsMax) break;
      assert.ok(starts < STARTS_MAX, `${starts} starts took more than ${plan.startMsMax} ms each`);
    }
    const { recoveredRecords } = told;
    // Segments are read as a whole.
    const recordsMax = (3 * Math.max(snapshotEveryBytes, plan.stateBytes) + segmentBytes) / rowBytes;
    assert.ok(recoveredRecords < recordsMax, `${recoveredRecords} records were read, above ${recordsMax}`);
    return { records: recoveredRecords };
  } finally {
    await group.end();
  }
}
