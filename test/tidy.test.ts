// The rules of the house that a compiler does not hold: direction of imports, purity of the core, sizes.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "../..");

/** What each layer may import besides itself (DESIGN, "Layout"). The longest matching prefix counts. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  "src/base": [],
  "src/raft/raftpb": ["src/base"],
  "src/raft/quorum": ["src/base"],
  "src/raft/tracker": ["src/base", "src/raft/raftpb", "src/raft/quorum"],
  "src/raft/confchange": ["src/base", "src/raft/raftpb", "src/raft/quorum", "src/raft/tracker"],
  "src/raft": ["src/base"],
  "src/wire": ["src/base", "src/raft"],
  "src/link": ["src/base", "src/raft", "src/wire"],
  // Two meet above the rooms: the log, and the threads that are handed to it.
  "src/wal": ["src/base", "src/raft"],
  "src/wal/format": ["src/base", "src/raft"],
  "src/wal/disk": ["src/base", ...rooms("format")],
  "src/wal/write": ["src/base", "src/raft", ...rooms("format", "disk")],
  "src/wal/recover": ["src/base", "src/raft", ...rooms("format", "disk", "write")],
  "src/wal/read": ["src/base", "src/raft", ...rooms("format", "disk")],
  "src/wal/snap": ["src/base", "src/raft", ...rooms("format", "disk", "write", "read")],
  "src/wal/inspect": ["src/base", "src/raft", ...rooms("format", "disk", "recover")],
  "src/wal/pool": ["src/base", "src/raft", ...rooms("format", "disk", "write", "recover", "inspect")],
  "src/wal/log": ["src/base", "src/raft", ...rooms("format", "disk", "write", "recover", "read", "snap")],
  "src/node": ["src/base", "src/raft", "src/wire", "src/wal", "src/link"],
  "src/index.ts": ["src/base", "src/raft", "src/node"],
  // On the package's public API, as a program of anybody's; and on three helpers: how we say "did you mean", what an address
  // is, and how many files may be open.
  "src/serve": [
    "src/index.ts",
    "src/base/days.ts",
    "src/base/suggest.ts",
    "src/link/address.ts",
    "src/link/descriptors.ts",
  ],
  bench: ["src"],
  "src/cli": ["src", "bench"],
  test: ["src", "bench"],
};

/** The rooms of the log. */
function rooms(...names: string[]): string[] {
  return names.map((name) => `src/wal/${name}`);
}

function sources(folder: string): string[] {
  const files = readdirSync(join(root, folder), { recursive: true, encoding: "utf8" });
  return files
    .filter((file) => file.endsWith(".ts") && !file.includes("generated"))
    .map((file) => join(folder, file))
    .sort();
}

function layerOf(file: string): string {
  const layers = Object.keys(MAY_IMPORT).filter((layer) => file === layer || file.startsWith(`${layer}/`));
  assert.ok(layers.length > 0, `${file} lies in no layer`);
  return layers.reduce((best, layer) => (layer.length > best.length ? layer : best));
}

function importsOf(file: string): string[] {
  const text = readFileSync(join(root, file), "utf8");
  const found = text.matchAll(/(?:from|import)\s+"(\.[^"]+)\.js"/g);
  return [...found].map((match) => `${relative(root, resolve(root, dirname(file), match[1]))}.ts`);
}

const all = [...sources("src"), ...sources("bench"), ...sources("test")];

test("imports run one way", () => {
  const wrong: string[] = [];
  for (const file of all) {
    const layer = layerOf(file);
    const allowed = [layer, ...MAY_IMPORT[layer]];
    for (const target of importsOf(file)) {
      const fine = allowed.some((prefix) => target === prefix || target.startsWith(`${prefix}/`));
      if (!fine) wrong.push(`${file} imports ${target}`);
    }
  }
  assert.deepEqual(wrong, []);
});

test("no files of the engine or the simulator import each other in a circle, types included", () => {
  const engine = [...sources("src"), ...sources("bench/sim")];
  const circles: string[] = [];
  const done = new Set<string>();
  const visit = (file: string, path: readonly string[]): void => {
    if (path.includes(file)) circles.push([...path.slice(path.indexOf(file)), file].join(" -> "));
    if (done.has(file) || path.includes(file)) return;
    for (const target of importsOf(file)) if (engine.includes(target)) visit(target, [...path, file]);
    done.add(file);
  };
  for (const file of engine) visit(file, []);
  assert.deepEqual(circles, []);
});

test("the core is pure: no clock, no randomness, no promise, no module of Node", () => {
  const forbidden =
    /\b(Date|Math\.random|setTimeout|setImmediate|setInterval|queueMicrotask|async|await|Promise)\b|"node:/;
  const wrong: string[] = [];
  for (const file of sources("src/raft")) {
    const lines = readFileSync(join(root, file), "utf8").split("\n");
    lines.forEach((line, i) => {
      const code = line.replace(/^\s*(\*|\/\*\*?|\/\/).*$/, "").replace(/\/\/.*$/, "");
      if (forbidden.test(code.replace(/"[^"]*"/g, (text) => (text.startsWith('"node:') ? text : '""')))) {
        wrong.push(`${file}:${i + 1}: ${line.trim()}`);
      }
    });
  }
  assert.deepEqual(wrong, []);
});

test("a file is one subject: at most 650 lines, opened by what it owns", () => {
  const wrong: string[] = [];
  for (const file of [...all, ...sources("assembly")].filter((name) => !name.endsWith(".test.ts"))) {
    const text = readFileSync(join(root, file), "utf8");
    const lines = text.split("\n").length - 1;
    if (lines > 650) wrong.push(`${file}: ${lines} lines`);
    const first = text.startsWith("#!") ? text.slice(text.indexOf("\n") + 1) : text;
    if (!file.endsWith("/index.ts") && !/^(\/\/|\/\*)/.test(first)) wrong.push(`${file}: no opening comment`);
  }
  assert.deepEqual(wrong, []);
});
