// Do two built trees run the same engine? Compared are, byte for byte, the built files that a node can load (dist/src
// without command line and service, dist/assembly; no declarations and source maps) and, by name, version and checksum, the
// packages of the lock file that are there at run time. Nothing else of a tree runs in the engine under the gate, since
// the harness of both sides is one: documents, tests, bench, tools.
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join, sep } from "node:path";
import { z } from "zod";

const BUILT = [join("dist", "src"), join("dist", "assembly")] as const;
const NO_ENGINE = ["cli", "serve"].map((folder) => join("dist", "src", folder) + sep);
const RUNS = /\.(?:js|mjs|cjs|json|wasm|node)$/;
const LOCK_FILE = "package-lock.json";

const Lock = z.object({
  packages: z.record(
    z.string(),
    z.object({
      version: z.string().optional(),
      integrity: z.string().optional(),
      dev: z.boolean().optional(),
    }),
  ),
});

/** What runs: a file or package by its name, and what it holds. */
export type EngineParts = ReadonlyMap<string, string>;

/** Of a built tree with a lock file. */
export async function enginePartsOf(tree: string): Promise<EngineParts> {
  const parts = new Map<string, string>();
  for (const folder of BUILT) {
    const all = readdir(join(tree, folder), { recursive: true, withFileTypes: true });
    const files = await all.catch(() => []); // An earlier revision has fewer folders, which is a difference.
    for (const file of files) {
      const path = join(file.parentPath ?? file.path, file.name);
      const name = path.slice(join(tree, sep).length);
      if (!file.isFile() || !RUNS.test(name) || NO_ENGINE.some((folder) => name.startsWith(folder))) continue;
      parts.set(
        name,
        createHash("sha256")
          .update(await readFile(path))
          .digest("hex"),
      );
    }
  }
  const lock = Lock.parse(JSON.parse(await readFile(join(tree, LOCK_FILE), "utf8")));
  for (const [name, { version = "", integrity = "", dev = false }] of Object.entries(lock.packages)) {
    if (name !== "" && !dev) parts.set(name, `${version} ${integrity}`);
  }
  return parts;
}

/** Names of what only one has, or what is not the same in both; sorted. */
export function differingParts(base: EngineParts, head: EngineParts): string[] {
  const names = new Set([...base.keys(), ...head.keys()]);
  return [...names].filter((name) => base.get(name) !== head.get(name)).sort();
}
