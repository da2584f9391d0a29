// `raftmark wal verify` on the pool: one segment a task.

import { systemCode } from "../disk/errors.js";
import { checkSegment, type SegmentReport } from "../inspect/check-segment.js";

export { runMeeting } from "./meeting.js";

export interface CheckTask {
  readonly dir: string;
  readonly name: string;
  /** A BigInt64: bytes checked by all tasks. */
  readonly done: SharedArrayBuffer;
}

/** An error crosses as its code and message: a cloned one loses the code. */
export type CheckResult = SegmentReport | { readonly code: string; readonly message: string };

export function runCheck({ dir, name, done }: CheckTask): CheckResult {
  const counter = new BigInt64Array(done);
  try {
    return checkSegment(dir, name, (bytes) => Atomics.add(counter, 0, BigInt(bytes)));
  } catch (error) {
    const code = systemCode(error);
    if (code === "") throw error;
    return { code, message: (error as Error).message };
  }
}
