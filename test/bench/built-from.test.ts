// When a dist is of the sources beside it, and when it is not: builds are made up, times are set in order.
import assert from "node:assert/strict";
import { cpSync, mkdirSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { stampSources, whyStale } from "../../bench/harness/built-from.js";
import { tempDir } from "../temp-dir.js";

const scratch = tempDir();
let trees = 0;

/** Writes `path`, and waits until a file written then has a later time: clocks of file systems step. */
function write(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  const { ctimeMs } = statSync(path);
  const later = join(scratch, "later");
  do writeFileSync(later, "");
  while (statSync(later).ctimeMs <= ctimeMs);
}

/** A tree of two sources as `npm run build` leaves it. */
function built(): { root: string; source: string; output: string } {
  const root = join(scratch, `tree-${++trees}`);
  const source = join(root, "src", "raft.ts");
  const output = join(root, "dist", "src", "raft.js");
  write(source, "one");
  write(join(root, "bench", "main.ts"), "bench");
  write(join(root, "dist", "assembly", "wal.wasm"), "wasm");
  write(output, "one");
  write(join(root, "dist", "bench", "main.js"), "bench");
  stampSources(root);
  write(join(root, "later"), "");
  return { root, source, output };
}

test("a dist is of the sources that it was built from, also where their times changed, or all of it was copied", () => {
  const { root, source } = built();
  assert.equal(whyStale(root), null);
  const now = new Date();
  utimesSync(source, now, now);
  assert.equal(whyStale(root), null, "touched");
  const copy = join(scratch, `copy-${trees}`);
  cpSync(root, copy, { recursive: true });
  assert.equal(whyStale(copy), null, "copied");
  write(join(copy, "src", "raft.ts"), "two");
  write(join(copy, "dist", "src", "raft.js"), "from anywhere");
  assert.match(whyStale(copy) ?? "", /older than src.raft\.ts, or was built from other sources/);
});

test("sources that changed, came or went since make it stale; so does a dist that does not say", () => {
  const changed = built();
  write(changed.source, "two");
  const old = new Date(0);
  utimesSync(changed.source, old, old);
  assert.match(
    whyStale(changed.root) ?? "",
    /^dist in .* is older than src.raft\.ts, or was built from other sources: npm run build\.$/,
  );
  write(join(changed.root, "src", "new.ts"), "new");
  assert.match(whyStale(changed.root) ?? "", /older than src.new\.ts and 1 more,/);
  const gone = built();
  renameSync(gone.source, join(gone.root, "src", "raft.txt"));
  assert.match(whyStale(gone.root) ?? "", /built with src.raft\.ts, which is gone: npm run build/);
  const silent = built();
  rmSync(join(silent.root, "dist", "built-from.json"));
  assert.match(whyStale(silent.root) ?? "", /does not say what it was built from: npm run build/);
});

test("what was compiled since by the compiler alone is built, until it changes again, and be it back", () => {
  const { root, source, output } = built();
  write(source, "two");
  write(output, "two");
  assert.equal(whyStale(root), null);
  write(source, "one");
  assert.match(whyStale(root) ?? "", /older than src.raft\.ts/, "its output is of two");
  write(output, "one");
  assert.equal(whyStale(root), null);
});

test("a source that changed while it was built is not taken for built", () => {
  const { root, source } = built();
  write(source, "two");
  stampSources(root);
  assert.match(whyStale(root) ?? "", /older than src.raft\.ts/);
});

test("an installed package has no sources to differ from", () => {
  const { root } = built();
  rmSync(join(root, "src"), { recursive: true });
  assert.equal(whyStale(root), null);
});
