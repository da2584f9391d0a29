// Runs the truth check in a fresh process: the logs are judged by one that never saw the run.
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { BenchError } from "./bench-error.js";
import { TruthReport, type TruthRequest } from "./truth.js";

const PROGRAM = fileURLToPath(new URL("./truth-main.js", import.meta.url));
const Answer = z.union([z.object({ report: TruthReport }), z.object({ error: z.string() })]);

/** Resolves with the report; rejects with BenchError if the check itself cannot run, or `signal` aborts. */
export function runTruthCheck(request: TruthRequest, signal?: AbortSignal): Promise<TruthReport> {
  const child = fork(PROGRAM, [], {
    detached: true, // Ctrl-C on the terminal is for us: until it listens, it would end by that.
    serialization: "advanced",
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  LIVE.add(child);
  let abort = () => {};
  return new Promise<TruthReport>((resolve, reject) => {
    abort = () => reject(signal?.reason);
    if (signal?.aborted) abort();
    signal?.addEventListener("abort", abort, { once: true });
    child.once("message", (raw) => {
      const answer = Answer.parse(raw);
      if ("report" in answer) resolve(answer.report);
      else reject(new BenchError("failed", `the truth check failed: ${answer.error}`));
    });
    child.once("error", (cause) =>
      reject(new BenchError("failed", `the truth check did not start: ${cause.message}`)),
    );
    child.once("exit", (code, name) => {
      reject(
        new BenchError(
          "failed",
          `the truth check ended early (${name ?? `code ${code}`}): the run proves nothing.`,
        ),
      );
    });
    child.send(request);
  }).finally(() => {
    signal?.removeEventListener("abort", abort);
    LIVE.delete(child);
    child.kill("SIGKILL");
  });
}

const LIVE = new Set<ChildProcess>();

/** For signal handlers and the end of the process. */
export function killTruthChecksNow(): void {
  for (const child of LIVE) child.kill("SIGKILL");
}
