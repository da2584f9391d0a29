// Finding and running the conformance data below a directory. Prints through a callback; decides no exit
// code.
import { readdir, stat } from "node:fs/promises";
import { basename, dirname, join, relative, resolve } from "node:path";
import { unifiedDiff } from "./diff.js";
import { type Difference, describeError, type Kind } from "./kind.js";

export interface Unit {
  readonly kind: Kind;
  /** Absolute. */
  readonly path: string;
}

export interface Totals {
  readonly passed: number;
  readonly failed: number;
}

/**
 * All units at or below `root`, which may be a directory or one data-driven file. Throws what the file system
 * throws.
 */
export async function findUnits(root: string, kinds: readonly Kind[]): Promise<Unit[]> {
  const path = resolve(root);
  const isDirectory = (await stat(path)).isDirectory();
  if (isDirectory) return walk(path, kinds);
  const folder = dirname(path);
  const kind = kinds.find((candidate) => candidate.name === basename(folder));
  if (kind === undefined) return [];
  const units = await kind.units(folder);
  return units.includes(path) ? [{ kind, path }] : [];
}

async function walk(folder: string, kinds: readonly Kind[]): Promise<Unit[]> {
  const kind = kinds.find((candidate) => candidate.name === basename(folder));
  const units = kind === undefined ? [] : (await kind.units(folder)).map((path) => ({ kind, path }));
  if (kind?.ownsTree) return units;
  const names = (await readdir(folder)).sort();
  for (const name of names) {
    const path = join(folder, name);
    if ((await stat(path)).isDirectory()) units.push(...(await walk(path, kinds)));
  }
  return units;
}

/**
 * Runs all units, and prints a report for each that differs and the notes of those that pass. Paths are shown relative
 * to `root`.
 */
export async function runUnits(
  root: string,
  units: readonly Unit[],
  print: (text: string) => void,
): Promise<Totals> {
  let failed = 0;
  for (const unit of units) {
    const difference = await runUnit(unit);
    if (difference === null) {
      const note = unit.kind.note(unit.path);
      if (note !== "") print(`${unit.kind.name}/${basename(unit.path)}: ${note}\n`);
      continue;
    }
    failed++;
    print(describeDifference(relative(resolve(root), unit.path) || basename(unit.path), difference));
  }
  return { passed: units.length - failed, failed };
}

/** As Kind.run, with whatever it throws as a difference: one bad unit must not hide the others. */
export async function runUnit(unit: Unit): Promise<Difference | null> {
  try {
    return await unit.kind.run(unit.path);
  } catch (error) {
    return { line: 0, what: "", outputs: null, problem: describeError(error) };
  }
}

/** `FAIL name:line: directive`, then the differing lines, indented. */
export function describeDifference(name: string, difference: Difference): string {
  const place = difference.line === 0 ? name : `${name}:${difference.line}`;
  const head = difference.what === "" ? `FAIL ${place}` : `FAIL ${place}: ${difference.what}`;
  const { outputs } = difference;
  const body = outputs === null ? difference.problem : unifiedDiff(outputs.expected, outputs.actual);
  return `${head}\n${body.trimEnd().replaceAll(/^/gm, "  ")}\n`;
}
