// What the package's entries export, read off the declarations that were built.
import { readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
export const DECLARES =
  /^\s*(?:export )?(?:declare )?(?:abstract )?(?:class|function|const|interface|type|enum) (\w+)/;

export interface Exported {
  readonly name: string;
  readonly file: string;
}

/** What a module exports, by the file that declares it. */
export function exportsOf(file: string): Exported[] {
  const found: Exported[] = [];
  const lines = readFileSync(file, "utf8");
  for (const [, names, from] of lines.matchAll(/export (?:type )?\{([^}]*)\}(?: from "([^"]+)")?/g)) {
    for (const name of names!.split(",").map((text) => text.trim().replace(/^type /, ""))) {
      if (name === "") continue;
      const [own = name] = name.split(" as ");
      const origin = from === undefined ? importedFrom(lines, own) : from;
      if (origin === null) continue;
      const target = join(dirname(file), origin.replace(/\.js$/, ".d.ts"));
      const deeper = exportsOf(target).find((other) => other.name === own);
      found.push({ name: own, file: deeper?.file ?? target });
    }
  }
  for (const line of lines.split("\n")) {
    const name = /^export /.test(line) ? DECLARES.exec(line)?.[1] : undefined;
    if (name !== undefined) found.push({ name, file });
  }
  return found;
}

function importedFrom(text: string, name: string): string | null {
  for (const [, names, from] of text.matchAll(/import (?:type )?\{([^}]*)\} from "([^"]+)"/g))
    if (names!.split(",").some((each) => each.trim().replace(/^type /, "") === name)) return from!;
  return null;
}

/** The file of declarations of each entry, by what a program imports. */
export function entries(): Map<string, string> {
  const { exports } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
    exports: Record<string, string | { types: string }>;
  };
  const found = new Map<string, string>();
  for (const [path, entry] of Object.entries(exports))
    if (typeof entry !== "string") found.set(`raftmark${path.slice(1)}`, join(ROOT, entry.types));
  return found;
}
