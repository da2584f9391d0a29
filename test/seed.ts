// Seeds of randomised tests: SEED repeats a run, and the command that does so is told.
import { relative } from "node:path";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";

/** SEED, or one of the system's; `url` is the test file's import.meta.url. */
export function seedOf(t: TestContext, url: string): number {
  const seed = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
  t.diagnostic(`SEED=${seed} node --test ${relative(process.cwd(), fileURLToPath(url))}`);
  return seed;
}
