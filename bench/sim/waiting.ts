// A caller of a simulated node that waits for an answer: it is to come, by the caller's own time if it has one, and a
// refusal is one that a caller knows what to do with. What becomes of a call whose process ends nobody knows.
import type { RaftmarkError } from "../../src/base/errors.js";
import type { SimProcess } from "./process.js";
import type { Stage } from "./stage.js";

/** `what`: for whoever reads of it. `done` and `failed` are called as long as that process lives. */
export function waitFor<T>(
  world: Stage,
  process: SimProcess,
  what: string,
  timeoutMs: number | undefined,
  promise: Promise<T>,
  done: (value: T) => void,
  failed: (error: RaftmarkError) => void,
): void {
  const { checker, schedule } = world;
  const call = checker.begin(what, schedule.now);
  const calls = world.calls.get(process.id)!;
  calls.add(call);
  if (timeoutMs !== undefined) world.endsWithin(process, call, timeoutMs);
  const { life } = process;
  const end = (work: () => void): void => {
    if (life !== process.life || !process.isUp || process.isLame) return;
    calls.delete(call);
    work();
  };
  promise.then(
    (value) => end(() => done(value)),
    (error: RaftmarkError) =>
      end(() => {
        checker.refused(call, error);
        failed(error);
      }),
  );
}
