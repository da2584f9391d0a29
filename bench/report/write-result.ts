// Writes a result file: whole or not at all.
import { open, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { BenchError, codeOf, messageOf } from "../harness/bench-error.js";
import { makeDirs, removeEmpty } from "../harness/make-dirs.js";
import { Result } from "./result-schema.js";

/** What to do where a result cannot be written, for commands that have the option. */
const OTHER_OUT = "choose another file with --out";

/** results/local/2026-11-23T02-41-56-canonical.json, below the current directory. */
export function defaultPath(result: { startedAt: string; scenario: { name: string } }): string {
  const stamp = result.startedAt.slice(0, 19).replaceAll(":", "-");
  return join("results", "local", `${stamp}-${result.scenario.name}.json`);
}

/**
 * Checks `result` against its schema and writes it to `path`, whatever is there; without one below results/local, where
 * `name` is told apart from the result's own and another run's file stays. Returns the path.
 */
export async function writeResult(
  result: Result,
  path?: string,
  name = "",
  cure = OTHER_OUT,
): Promise<string> {
  return writeTo(path, textOf(Result.parse(result)), namedPath(result, name), cure);
}

/** Writes `text` to `path`, whatever is there; without one to `named`, or next to what is there. Returns the path. */
export function writeTo(
  path: string | undefined,
  text: string,
  named: string,
  cure = OTHER_OUT,
): Promise<string> {
  return path === undefined ? writeNew(text, named, cure) : writeWhole(text, path, cure);
}

/** The default path of one of several results of one run. */
export function namedPath(result: Parameters<typeof defaultPath>[0], name: string): string {
  return defaultPath(result).replace(/\.json$/, `${name}.json`);
}

/** Like `writeWhole`, but next to what is there: of two runs begun in one second both results stay. Returns the path. */
export async function writeNew(text: string, path: string, cure = OTHER_OUT): Promise<string> {
  for (let n = 1; ; n++) {
    const free = n === 1 ? path : path.replace(/\.json$/, `-${n}.json`);
    if (await atPath(free, reserve, cure)) return writeWhole(text, free, cure);
  }
}

async function reserve(target: string): Promise<boolean> {
  try {
    await (await open(target, "wx")).close();
    return true;
  } catch (error) {
    if (codeOf(error) === "EEXIST") return false;
    throw error;
  }
}

/** What holds for all runs to read, and then a line a run: with a line a figure most of the file would be spaces. */
function textOf({ runs, ...rest }: Result): string {
  const head = JSON.stringify(rest, null, 2).slice(0, -"\n}".length);
  return `${head},\n  "runs": [\n${runs.map((run) => JSON.stringify(run)).join(",\n")}\n]}\n`;
}

/**
 * Whether a result can go to `path`, asked before the minutes that it takes to have one. Throws BenchError if not. Leaves
 * nothing behind.
 */
export async function checkWritable(path: string, cure = OTHER_OUT): Promise<void> {
  await atPath(
    path,
    async (target, made) => {
      if (await takesBytes(target)) return;
      const partial = partialOf(target);
      await writeFile(partial, "");
      await rm(partial);
      await removeEmpty(made);
    },
    cure,
  );
}

/** Writes `text` to `path`, whole or not at all. Returns the path as given. */
export async function writeWhole(text: string, path: string, cure = OTHER_OUT): Promise<string> {
  await atPath(
    path,
    async (target) => {
      if (await takesBytes(target)) return writeFile(target, text);
      const partial = partialOf(target);
      try {
        await writeFile(partial, text);
        await rename(partial, target);
      } catch (error) {
        await rm(partial, { force: true });
        throw error;
      }
    },
    cure,
  );
  return path;
}

function partialOf(target: string): string {
  return `${target}.${process.pid}.partial`;
}

/** A device or a pipe: something to write to, and nothing to put a file in the place of. */
async function takesBytes(target: string): Promise<boolean> {
  const found = await stat(target).catch(() => null);
  if (found?.isDirectory()) throw Object.assign(new Error("it is a directory"), { code: "EISDIR" });
  return found !== null && !found.isFile();
}

async function atPath<T>(
  path: string,
  work: (target: string, made: readonly string[]) => Promise<T>,
  cure: string,
): Promise<T> {
  const target = resolve(path);
  try {
    const made = await makeDirs(dirname(target));
    return await work(target, made);
  } catch (cause) {
    const why = codeOf(cause) || messageOf(cause);
    throw new BenchError("environment", `cannot write the result to ${path} (${why}): ${cure}.`, cause);
  }
}
