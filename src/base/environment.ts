// What the engine needs of the process it runs in, and which a bundler or a flag of Node's can take away: said in a
// sentence, at once.
import { RaftmarkError, textOf } from "./errors.js";

function unsupported(text: string, cause?: unknown): RaftmarkError {
  return new RaftmarkError("RAFT_UNSUPPORTED", text, { cause });
}

/**
 * What `find` gives of the package's own file `name`. It throws where the code was taken out of its package, and has
 * `new URL(..., import.meta.url)` in it, in so many words: some bundlers follow that.
 */
export function ownFile<Found>(name: string, find: () => Found): Found {
  try {
    return find();
  } catch (cause) {
    const text =
      `raftmark does not find its file ${name} (${textOf(cause)}). If a bundler put its code elsewhere: mark ` +
      '"raftmark" as external there, and install it where the bundle runs (README, "Bundlers, test runners, flags")';
    throw unsupported(text, cause);
  }
}

/** The bytes of a WebAssembly module of the package. */
export function ownModule(name: string, read: () => Uint8Array): Uint8Array {
  if (typeof WebAssembly === "undefined") {
    throw unsupported("raftmark needs WebAssembly, which --jitless takes away: start Node.js without it");
  }
  return ownFile(name, read);
}

/** V8 reserves some 10 GB of addresses for a memory, whatever its size, so that limits of those end it here. */
export function ownMemory<Memory>(make: () => Memory): Memory {
  try {
    return make();
  } catch (cause) {
    const text =
      `there is no memory for raftmark's WebAssembly (${textOf(cause)}): it wants some 10 GB of addresses each time, ` +
      "though no memory for them; lift the limit on addresses (ulimit -v), and limit the memory itself (a cgroup)";
    throw unsupported(text, cause);
  }
}

/** What `error` is, if it is what a flag of Node's refuses; null: something else. */
export function refusedByFlag(error: unknown): RaftmarkError | null {
  const { code, name } = (error ?? {}) as { code?: unknown; name?: unknown };
  if (code === "ERR_ACCESS_DENIED") {
    const text =
      `Node's permission model refused what raftmark needs (${textOf(error)}). It lets no program sync its files, ` +
      "whichever rights it gives: start Node.js without --permission";
    return unsupported(text, error);
  }
  if (name === "EvalError") {
    const text =
      `raftmark's worker threads cannot start (${textOf(error)}): start Node.js without ` +
      "--disallow-code-generation-from-strings, or take one that can require() ESM (20.19, 22.12)";
    return unsupported(text, error);
  }
  return null;
}

/** Whether setInterval is that of a test's fake clock: of @sinonjs/fake-timers (vitest, jest, sinon), or node:test's. */
export function isClockFake(): boolean {
  const { setInterval } = globalThis as { setInterval?: { readonly name: string } };
  return setInterval !== undefined && ("clock" in setInterval || setInterval.name.startsWith("bound #"));
}
