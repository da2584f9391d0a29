// Every symbol of the package's entries, and every public member of RaftNode, says what it is in the declarations that
// an editor shows.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { DECLARES, entries, exportsOf, ROOT } from "./declarations.js";

/** Whether a comment ends in front of line `at`. */
function isTold(lines: readonly string[], at: number): boolean {
  return at > 0 && lines[at - 1]!.trim().endsWith("*/");
}

test("every symbol that the package exports has a docstring", () => {
  const silent = new Set<string>();
  let count = 0;
  for (const declarations of entries().values()) {
    for (const { name, file } of exportsOf(declarations)) {
      const lines = readFileSync(file, "utf8").split("\n");
      const at = lines.findIndex((line) => DECLARES.exec(line)?.[1] === name);
      assert.notEqual(at, -1, `${name} is not declared in ${file}`);
      count++;
      if (!isTold(lines, at)) silent.add(`${file.slice(ROOT.length + 6)}: ${name}`);
    }
  }
  assert.ok(count > 100, "the entries were read");
  assert.deepEqual([...silent].sort(), []);
});

test("every public member of RaftNode has a docstring", () => {
  const lines = readFileSync(join(ROOT, "dist/src/node/raft-node.d.ts"), "utf8").split("\n");
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
