// Ends an opening by its AbortSignal: between its steps, or in one that is somebody else's.
import { RaftmarkError } from "../../base/errors.js";

function abortedError(signal: AbortSignal): RaftmarkError {
  return new RaftmarkError("RAFT_ABORTED", "the opening was aborted", { cause: signal.reason });
}

/** Throws RAFT_ABORTED once `signal` is aborted. */
export function endIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw abortedError(signal);
}

/** What `work` comes to; RAFT_ABORTED as soon as `signal` is aborted, whatever `work` does then. */
export async function unlessAborted<T>(signal: AbortSignal | undefined, work: Promise<T>): Promise<T> {
  if (signal === undefined) return await work;
  let stop = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(abortedError(signal));
    if (signal.aborted) stop();
    else listen(signal, stop);
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    try {
      signal.removeEventListener("abort", stop);
    } catch {
      // A library's: what came of the work counts.
    }
  }
}

function listen(signal: AbortSignal, stop: () => void): void {
  try {
    signal.addEventListener("abort", stop, { once: true });
  } catch (cause) {
    throw new RaftmarkError("RAFT_BAD_OPTION", "option signal: its addEventListener failed", { cause });
  }
}
