// Ctrl-C and SIGTERM: asked once, a run ends in order; asked twice, or if it takes too long, at once. Either way the
// process's "exit" handlers take the children and the temporary directory with them.
import { BenchError } from "../../bench/harness/bench-error.js";

/** From the signal to the end of the process, at most. */
const ORDERLY_MS_MAX = 9000;

/** The terminal asks npm as well as what npm runs, and npm passes it on: that is asked once. */
const ONCE_MS = 500;

/**
 * Runs `work`, for `orderlyMsMax` after the signal at most, with a signal that aborts on Ctrl-C, SIGTERM, a closed terminal, or
 * when nobody reads stdout any more. `allow`: so many milliseconds more from now on, asked after the signal.
 */
export async function untilInterrupted<T>(
  work: (signal: AbortSignal, allow: (ms: number) => void) => Promise<T>,
  orderlyMsMax = ORDERLY_MS_MAX,
): Promise<T> {
  const controller = new AbortController();
  let deadline: NodeJS.Timeout | undefined;
  let giveUp = () => {};
  let askedAt = 0;
  const allow = (ms: number) => {
    clearTimeout(deadline);
    deadline = setTimeout(() => giveUp(), ms + orderlyMsMax).unref();
  };
  const interrupt = (kind: "interrupted" | "terminated", why: string) => {
    const error = new BenchError(kind, `${why}: the run was ended, its nodes stopped and its data removed.`);
    if (controller.signal.aborted) {
      if (performance.now() - askedAt > ONCE_MS) process.exit(error.exitCode);
      return;
    }
    askedAt = performance.now();
    giveUp = () => {
      process.stderr.write(`raftmark: ${why}, and it did not end in order: what was done is lost.\n`);
      process.exit(error.exitCode);
    };
    allow(0); // Before those hear of it who ask for more.
    controller.abort(error);
  };
  const onInt = () => interrupt("interrupted", "interrupted");
  const onTerm = () => interrupt("terminated", "terminated by SIGTERM");
  const onHangUp = () => interrupt("terminated", "the terminal was closed");
  const onPipe = () => interrupt("terminated", "nobody reads the output any more");
  process.on("SIGINT", onInt).on("SIGTERM", onTerm).on("SIGHUP", onHangUp);
  process.stdout.once("error", onPipe);
  try {
    return await work(controller.signal, allow);
  } finally {
    // What was done is shown and written yet: the deadline is not for that.
    clearTimeout(deadline);
    process.off("SIGINT", onInt).off("SIGTERM", onTerm).off("SIGHUP", onHangUp);
    process.stdout.off("error", onPipe);
  }
}
