// Writes docs/reference.md: the options and the error codes, as their docstrings in src have them (`npm run docs`). With
// --check it writes nothing, and fails if that file says something else.
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = new URL("../", import.meta.url);
const TARGET = new URL("docs/reference.md", root);
/** A member of an interface on a line of its own, with the docstring in front of it. */
const MEMBER = /(?:\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\s*)?^ {2}(?:readonly )?(\w+)(\?)?: (.*);$/gm;
/** A member of a union, likewise. */
const LITERAL = /(?:\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\s*)?\| "(\w+)"/g;

function sourceOf(path) {
  return readFileSync(new URL(path, root), "utf8");
}

/** A docstring, in one line of a table. */
function line(docs, of) {
  if (docs === undefined) throw new Error(`${of} has no docstring`);
  const text = docs.replace(/^\s*\* ?/gm, "").replace(/\s+/g, " ");
  return text.replaceAll("|", "\\|").trim();
}

function code(text) {
  return `\`${text.replaceAll("|", "\\|")}\``;
}

/** A row for each property of the interface: name, type, docstring. */
function propertiesOf(source, name) {
  const from = source.indexOf(`export interface ${name} {`);
  const body = source.slice(from, source.indexOf("\n}\n", from));
  return [...body.matchAll(MEMBER)].map(([, docs, property, optional, type]) => {
    const must = optional === undefined ? "yes" : "";
    const cells = [code(property), code(type.replace(/ \| undefined$/, "")), must, line(docs, property)];
    return `| ${cells.join(" | ")} |`;
  });
}

function codesOf(source) {
  return [...source.matchAll(LITERAL)].map(([, docs, name]) => `| ${code(name)} | ${line(docs, name)} |`);
}

const api = sourceOf("src/node/api.ts");
const HEAD = ["| option | type | must be given | what it is |", "| --- | --- | --- | --- |"];
const text = [
  "# Options and error codes",
  "",
  "Made of the docstrings in `src` by `npm run docs`. What methods and events do, their own docstrings say: an editor shows them.",
  "",
  "## Options of `RaftNode.open`",
  "",
  "`await checkOptions(options)` rejects with what `open` would refuse of them, without opening anything. A configuration of `raftmark serve` has",
  "most of them by the same names ([serve.md](serve.md)). MiB are 1,048,576 bytes.",
  "",
  ...HEAD,
  ...propertiesOf(api, "RaftNodeOptions"),
  "",
  "## Options of a call",
  "",
  "Of `propose`, `proposeMany`, `readBarrier`, `changeMembership` and other calls that wait.",
  "",
  ...HEAD,
  ...propertiesOf(api, "CallOptions"),
  "",
  "## Error codes",
  "",
  "What the engine refuses or gives up is a `RaftmarkError` with a `code`. `mayCommit` of a proposal's error is true when it may still be",
  "committed, so that proposing it again can apply it twice; sessions (`openSession`) apply it once.",
  "",
  "| code | what it means |",
  "| --- | --- |",
  ...codesOf(sourceOf("src/base/errors.ts")),
  "",
].join("\n");

if (!process.argv.includes("--check")) writeFileSync(TARGET, text);
else if (readFileSync(TARGET, "utf8") !== text) {
  console.error(`${fileURLToPath(TARGET)} is not what the docstrings say: npm run docs`);
  process.exitCode = 1;
}
