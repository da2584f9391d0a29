// Property tests: fast-check with a seed that is printed, and a failure message that ends in the one command
// that runs the failing case again.
import { relative } from "node:path";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { seedOf } from "./seed.js";

const RUNS = 300;

/**
 * Runs a property. `url` is the test file's import.meta.url. SEED (and FC_PATH) repeat a run; FC_RUNS
 * makes it longer.
 */
export function checkProperty<T>(
  t: TestContext,
  url: string,
  property: fc.IRawProperty<T>,
  runs = RUNS,
): void {
  const seed = seedOf(t, url);
  const path = process.env["FC_PATH"];
  const numRuns = Number(process.env["FC_RUNS"] ?? runs);
  const details = fc.check(property, {
    seed,
    numRuns,
    ...(path === undefined ? {} : { path }),
  }) as fc.RunDetails<T>;
  if (!details.failed) return;
  const file = relative(process.cwd(), fileURLToPath(url));
  const at = details.counterexamplePath === null ? "" : ` FC_PATH=${details.counterexamplePath}`;
  const name = t.name.replaceAll("'", ".");
  const replay = `SEED=${seed}${at} node --test --test-name-pattern='^${name}$' ${file}`;
  throw new Error(`${fc.defaultReportMessage(details)}\n\nReplay: ${replay}\n`, {
    cause: details.errorInstance,
  });
}
