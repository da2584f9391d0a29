// Fuzzing of a border: one case is what one 32-bit seed makes of it. First the seeds that once failed, which stay with
// their test; then fresh ones, as many as npm test has time for, or for FUZZ_S seconds. A case that fails says the one
// command that runs it again, and one that takes long, or much memory, fails.
import assert from "node:assert/strict";
import { relative } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Prng } from "../../src/base/prng.js";

export interface Border {
  /** Of the test file: import.meta.url. */
  readonly url: string;
  readonly name: string;
  /** Fresh cases in npm test. */
  readonly cases: number;
  /** Seeds that once failed, with what they found in a comment. */
  readonly kept?: readonly number[];
  /** A case; `note` is called with what became of it, for the count at the end. */
  run(prng: Prng, note: (outcome: string) => void): void | Promise<void>;
  /** Outcomes that some case must have had when all fresh ones ran: else the cases are not what they are taken for. */
  readonly reaches?: readonly string[];
}

const CASE_MS_MAX = 30_000;
const CASE_BYTES_MAX = 256 << 20;

export function fuzz(border: Border): void {
  const { url, name, kept = [], cases, reaches = [] } = border;
  const given = process.env["FUZZ_SEED"];
  const seconds = Number(process.env["FUZZ_S"] ?? 0);
  test(name, { timeout: (seconds + 300) * 1000 }, async (t) => {
    const seen = new Map<string, number>();
    t.signal.addEventListener("abort", sayReplay);
    if (given !== undefined) {
      await runCase(border, Number(given) >>> 0, seen);
      return;
    }
    for (const seed of kept) await runCase(border, seed, seen);
    seen.clear();
    const first = Math.floor(Math.random() * 2 ** 32);
    const end = performance.now() + seconds * 1000;
    let count = 0;
    while (seconds > 0 ? performance.now() < end : count < cases) {
      await runCase(border, (first + count++) >>> 0, seen);
    }
    t.diagnostic(`${count} cases from FUZZ_SEED=${first}: ${table(seen)}`);
    for (const outcome of reaches) {
      assert.ok(seen.has(outcome), `no case of ${count}, from FUZZ_SEED=${first} on: ${outcome}`);
    }
    note(t, url);
  });
}

function note(t: TestContext, url: string): void {
  t.diagnostic(`longer: FUZZ_S=60 node --test ${fileOf(url)}`);
}

function table(seen: ReadonlyMap<string, number>): string {
  return [...seen].map(([outcome, count]) => `${count} ${outcome}`).join(", ");
}

function fileOf(url: string): string {
  return relative(process.cwd(), fileURLToPath(url));
}

/** What runs the case that is under way again; "": none is. */
let replay = "";
// What is thrown out of a case's callbacks ends the test without coming here, and a case that hangs never does.
process.on("uncaughtExceptionMonitor", sayReplay);

function sayReplay(): void {
  if (replay !== "") console.error(`\nReplay: ${replay}\n`);
}

async function runCase({ url, name, run }: Border, seed: number, seen: Map<string, number>): Promise<void> {
  const pattern = name.replaceAll(/[^\w ,:;-]/g, ".");
  replay = `FUZZ_SEED=${seed} node --test --test-name-pattern='^${pattern}$' ${fileOf(url)}`;
  const begun = performance.now();
  const peak = process.resourceUsage().maxRSS;
  try {
    await run(new Prng(seed), (outcome) => seen.set(outcome, (seen.get(outcome) ?? 0) + 1));
    const ms = performance.now() - begun;
    assert.ok(ms < CASE_MS_MAX, `it took ${Math.round(ms)} ms`);
    const bytes = (process.resourceUsage().maxRSS - peak) * 1024;
    assert.ok(bytes < CASE_BYTES_MAX, `it took ${Math.round(bytes / 2 ** 20)} MiB of memory`);
  } catch (error) {
    throw new Error(`${(error as Error).stack}\n\nReplay: ${replay}\n`, { cause: error });
  }
  replay = "";
}
