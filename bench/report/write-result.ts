// Writes a result file: whole or not at all.
import { rename, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { BenchError, codeOf, messageOf } from "../harness/bench-error.js";
import { makeDirs } from "../harness/make-dirs.js";
import { Result } from "./result-schema.js";

/** results/local/2026-11-23T02-41-56-canonical.json, below the current directory. */
export function defaultPath(result: { startedAt: string; scenario: { name: string } }): string {
  const stamp = result.startedAt.slice(0, 19).replaceAll(":", "-");
  return join("results", "local", `${stamp}-${result.scenario.name}.json`);
}

/** Checks `result` against its schema and writes it. Returns the path as given. */
export async function writeResult(result: Result, path: string): Promise<string> {
  return writeWhole(`${JSON.stringify(Result.parse(result), null, 2)}\n`, path);
}

/** Writes `text` to `path`, whole or not at all. Returns the path as given. */
export async function writeWhole(text: string, path: string): Promise<string> {
  const target = resolve(path);
  const partial = `${target}.${process.pid}.partial`;
  try {
    await makeDirs(dirname(target));
    await writeFile(partial, text);
    await rename(partial, target);
  } catch (cause) {
    const why = codeOf(cause) || messageOf(cause);
    throw new BenchError(
      "environment",
      `cannot write the result to ${path} (${why}): choose another file with --out.`,
      cause,
    );
  }
  return path;
}
