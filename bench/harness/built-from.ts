// Whether `dist` was built from the files that lie beside it. The build leaves the sources' hashes behind; who names a
// commit, or measures "the current files", asks before it does. Owns the stamp; knows nothing of git, and takes no
// package of the bench, which an installed package comes without.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, realpathSync, statSync, writeFileSync } from "node:fs";
import { join, sep } from "node:path";
import * as v from "valibot";

const STAMP = join("dist", "built-from.json");
const FOLDERS = ["src", "assembly", "bench"];
const FILES = ["package-lock.json", "tsconfig.json", "asconfig.json"];
/** The pages are shown and not measured, and have compilations of their own. */
const NOT_MEASURED = join("page", "client") + sep;
/** What the last compilation began behind. */
const FIRST_OUTPUT = join("dist", "assembly", "wal.wasm");

/** `root`: where it was built; elsewhere the times of its files say nothing. A file without a hash changed meanwhile. */
const Stamp = v.object({ root: v.string(), files: v.record(v.string(), v.nullable(v.string())) });
type Stamp = v.InferOutput<typeof Stamp>;
type ReadStamp = Stamp & { readonly stampedMs: number };

/** Notes what the `dist` of `root`, just built, was built from. */
export function stampSources(root: string): void {
  const begunMs = modifiedMs(join(root, FIRST_OUTPUT)) ?? 0;
  const files = sourcesOf(root).map((name): [string, string | null] => {
    const path = join(root, name);
    return [name, statSync(path).ctimeMs > begunMs ? null : hashOf(path)];
  });
  const stamp: Stamp = { root: realpathSync(root), files: Object.fromEntries(files) };
  writeFileSync(join(root, STAMP), JSON.stringify(stamp));
}

/** A sentence where the `dist` of `root` is not of its sources; null where it is, or where there are none (a package). */
export function whyStale(root: string): string | null {
  const names = sourcesOf(root);
  if (names.length === 0) return null;
  const cure = "npm run build";
  const stamp = readStamp(root);
  if (stamp === null) return `dist in ${root} does not say what it was built from: ${cure}.`;
  const gone = Object.keys(stamp.files).find((name) => !names.includes(name));
  if (gone !== undefined) return `dist in ${root} was built with ${gone}, which is gone: ${cure}.`;
  const here = realpathSync(root) === stamp.root;
  const changed = names.filter((name) => !isBuilt(root, name, stamp, here));
  if (changed.length === 0) return null;
  const more = changed.length === 1 ? "" : ` and ${changed.length - 1} more`;
  return `dist in ${root} is older than ${changed[0]}${more}, or was built from other sources: ${cure}.`;
}

/**
 * By its hash, while its output is as the build left it. An output that is newer is of a compilation since: then the
 * source must not have changed behind that, by the time that nobody can set (a copy may keep the other). `here`: `dist`
 * lies where it was built.
 */
function isBuilt(root: string, name: string, stamp: ReadStamp, here: boolean): boolean {
  const path = join(root, name);
  const outputMs = here ? modifiedMs(join(root, "dist", name.replace(/\.ts$/, ".js"))) : null;
  const compiledSince = outputMs !== null && outputMs > stamp.stampedMs;
  return compiledSince ? statSync(path).ctimeMs <= outputMs : hashOf(path) === stamp.files[name];
}

function readStamp(root: string): ReadStamp | null {
  try {
    const path = join(root, STAMP);
    return { ...v.parse(Stamp, JSON.parse(readFileSync(path, "utf8"))), stampedMs: statSync(path).mtimeMs };
  } catch {
    return null;
  }
}

/** What the build reads, as far as a figure can come from it; sorted, below `root`. None: this is no source tree. */
function sourcesOf(root: string): string[] {
  if (modifiedMs(join(root, "src")) === null) return [];
  const below = FOLDERS.flatMap((folder) => {
    if (modifiedMs(join(root, folder)) === null) return [];
    return readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }).map((name) =>
      join(folder, name),
    );
  });
  const sources = below.filter((name) => name.endsWith(".ts") && !name.includes(NOT_MEASURED));
  return [...sources, ...FILES.filter((name) => modifiedMs(join(root, name)) !== null)].sort();
}

function hashOf(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}

function modifiedMs(path: string): number | null {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? null;
}
