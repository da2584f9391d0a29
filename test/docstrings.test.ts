// Every symbol of the package's entries, and every public member of RaftNode, says what it is in the declarations that
// an editor shows.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
const DECLARES =
  /^\s*(?:export )?(?:declare )?(?:abstract )?(?:class|function|const|interface|type|enum) (\w+)/;

interface Exported {
  readonly name: string;
  readonly file: string;
}

/** What a module exports, by the file that declares it. */
function exportsOf(file: string): Exported[] {
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

/** Whether a comment ends in front of line `at`. */
function isTold(lines: readonly string[], at: number): boolean {
  return at > 0 && lines[at - 1]!.trim().endsWith("*/");
}

test("every symbol that the package exports has a docstring", () => {
  const { exports } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
    exports: Record<string, string | { types: string }>;
  };
  const silent = new Set<string>();
  let count = 0;
  for (const entry of Object.values(exports)) {
    if (typeof entry === "string") continue;
    for (const { name, file } of exportsOf(join(root, entry.types))) {
      const lines = readFileSync(file, "utf8").split("\n");
      const at = lines.findIndex((line) => DECLARES.exec(line)?.[1] === name);
      assert.notEqual(at, -1, `${name} is not declared in ${file}`);
      count++;
      if (!isTold(lines, at)) silent.add(`${file.slice(root.length + 6)}: ${name}`);
    }
  }
  assert.ok(count > 100, "the entries were read");
  assert.deepEqual([...silent].sort(), []);
});

test("what the types of RaftNode are made of has a name in the package: declarations that others emit need it", () => {
  const declared = (file: string) => exportsOf(join(root, "dist/src", file)).map(({ name }) => name);
  const named = new Set(declared("index.d.ts"));
  const inner = ["NodeEmitter", "SafeEmitter"];
  const types = [...declared("node/api.d.ts"), ...declared("node/events.d.ts")];
  assert.ok(types.includes("NodeStatus") && types.includes("PeerEvent"), "the types were read");
  assert.deepEqual(
    types.filter((name) => !named.has(name) && !inner.includes(name)),
    [],
  );
});

test("every public member of RaftNode has a docstring", () => {
  const lines = readFileSync(join(root, "dist/src/node/raft-node.d.ts"), "utf8").split("\n");
  const from = lines.findIndex((line) => line.includes("class RaftNode"));
  const members = lines.flatMap((line, at) =>
    at > from && /^ {4}(?!private |protected |\*|\/\*)(?:static |get |set )?[\w[]/.test(line) ? [at] : [],
  );
  assert.ok(members.length > 8, "RaftNode was read");
  assert.deepEqual(
    members.filter((at) => !isTold(lines, at)).map((at) => lines[at]!.trim()),
    [],
  );
});
