// What a run has on the machine is gone when the run ends, and when the process does before it.
import { killAllNow } from "./cluster.js";
import { RunDir } from "./run-dir.js";
import { killTruthChecksNow } from "./truth-process.js";

/**
 * Does `work` in a fresh RunDir.create(dir, keep). Then the directory goes; if the process ends meanwhile, the nodes
 * and truth checks, too.
 */
export async function withRunDir<T>(
  dir: string | null,
  keep: boolean,
  work: (runDir: RunDir) => Promise<T>,
): Promise<T> {
  const runDir = await RunDir.create(dir, keep);
  const lastMoments = () => {
    killAllNow();
    killTruthChecksNow();
    runDir.removeSync();
  };
  process.once("exit", lastMoments);
  try {
    return await work(runDir);
  } finally {
    process.removeListener("exit", lastMoments);
    await runDir.remove();
  }
}
