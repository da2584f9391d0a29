// A library that shows what it has of this package emits declarations, and for that each type in them needs a name that
// an entry exports.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { DECLARES, entries, exportsOf, ROOT } from "./declarations.js";
import { tempDir } from "./temp-dir.js";

const MEMBER = /^ {4}(?!private |protected |constructor|new )(?:readonly |get )*(\w+)\??[:(<]/;

/** A program that exports, without a type of its own, every function and every public member that `entry` exports. */
async function showing(entry: string, declarations: string): Promise<string> {
  const program = [`import * as all from "${entry}";`];
  const show = (what: string) => program.push(`export const shown${program.length} = ${what};`);
  for (const { name, file } of exportsOf(declarations)) {
    const lines = (await readFile(file, "utf8")).split("\n");
    const from = lines.findIndex((line) => DECLARES.exec(line)?.[1] === name);
    if (/ (function|const) /.test(lines[from]!)) show(`all.${name}`);
    if (!/(class|interface) \w+(?!\w*<)/.test(lines[from]!)) continue;
    for (const line of lines.slice(from + 1, lines.indexOf("}", from))) {
      const member = MEMBER.exec(line)?.[1];
      if (member !== undefined) show(`(of: all.${name}) => of.${member}`);
    }
  }
  return `${program.join("\n")}\n`;
}

test("what the package's types are made of has a name in it: declarations that others emit need it", async (t) => {
  const dir = tempDir(t);
  await mkdir(join(dir, "node_modules"));
  await symlink(ROOT, join(dir, "node_modules/raftmark"));
  const files: string[] = [];
  for (const [entry, declarations] of entries()) {
    files.push(join(dir, `${entry.replace("/", "-")}.mts`));
    await writeFile(files.at(-1)!, await showing(entry, declarations));
  }
  const options = "--noEmit --declaration --strict --skipLibCheck --preserveSymlinks".split(" ");
  const args = [...options, "--module", "nodenext", "--target", "es2022", "--types", "node"];
  const roots = ["--typeRoots", join(ROOT, "node_modules/@types")];
  const tsc = join(ROOT, "node_modules/typescript/bin/tsc");
  const { status, stdout } = spawnSync(process.execPath, [tsc, ...args, ...roots, ...files], {
    cwd: dir,
    encoding: "utf8",
  });
  assert.deepEqual([status, stdout], [0, ""]);
});
