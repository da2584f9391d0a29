// What the conformance runner can run. A kind is named after the folder its units lie in; a unit is a
// data-driven file, or a directory with a fixture. Adding a kind is adding it to kinds.ts.
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  type DataFile,
  type Directive,
  formatDataFile,
  MalformedError,
  normalizeOutput,
  parseDataFile,
} from "./datadriven.js";

/** Where a unit first differs from what is expected. */
export interface Difference {
  /** 1-based line in the unit's file; 0 if the unit has no lines. */
  readonly line: number;
  /** What was being run: the directive, or a fixture's check. */
  readonly what: string;
  /** The texts to compare, or null where it did not come to that and `problem` says why. */
  readonly outputs: { readonly expected: string; readonly actual: string } | null;
  readonly problem: string;
}

export interface Kind {
  /** The folder name. */
  readonly name: string;
  /**
   * True: everything below such a folder belongs to the kind, and the walk looks for no other kinds in there.
   */
  readonly ownsTree: boolean;
  /** Paths of the units that lie in `folder`. */
  units(folder: string): Promise<string[]>;
  /** Runs one unit from a fresh start; null if it is as expected. */
  run(path: string): Promise<Difference | null>;
  /**
   * Replaces the expected outputs of one unit by the actual ones; null if the kind's units are not ours to
   * write.
   */
  readonly rewrite: ((path: string) => Promise<void>) | null;
  /** What passing proves of this unit beyond the ordinary; "" for most. */
  note(path: string): string;
}

export type Handler = (directive: Directive) => string;

/** A kind whose units are the .txt files of a folder. `newHandler` makes the state of one file. */
export function dataDrivenKind(name: string, newHandler: () => Handler): Kind {
  return {
    name,
    ownsTree: false,
    async units(folder) {
      const entries = await readdir(folder, { withFileTypes: true });
      const files = entries.filter((entry) => !entry.isDirectory() && entry.name.endsWith(".txt"));
      return files.map((entry) => join(folder, entry.name)).sort();
    },
    async run(path) {
      const text = await readFile(path, "utf8");
      return runDataFile(text, newHandler());
    },
    async rewrite(path) {
      const file = parseDataFile(await readFile(path, "utf8"));
      const handler = newHandler();
      const outputs = file.directives.map((directive) => normalizeOutput(handler(directive)));
      await writeFile(path, formatDataFile(file, outputs));
    },
    note: () => "",
  };
}

/**
 * What is malformed says so; anything else is a broken invariant in the engine, and its place is of interest.
 */
export function describeError(error: unknown): string {
  if (error instanceof MalformedError) return error.message;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

/** Runs the directives up to the first difference: nothing behind it can be trusted. */
function runDataFile(text: string, handler: Handler): Difference | null {
  let file: DataFile;
  try {
    file = parseDataFile(text);
  } catch (error) {
    if (!(error instanceof MalformedError)) throw error;
    return { line: error.line, what: "", outputs: null, problem: `malformed file: ${error.message}` };
  }
  for (const directive of file.directives) {
    let actual: string;
    try {
      actual = normalizeOutput(handler(directive));
    } catch (error) {
      return { line: directive.line, what: directive.text, outputs: null, problem: describeError(error) };
    }
    if (actual === directive.expected) continue;
    const outputs = { expected: directive.expected, actual };
    return { line: directive.line, what: directive.text, outputs, problem: "" };
  }
  return null;
}
