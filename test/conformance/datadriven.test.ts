// The data-driven parser: the grammar of FORMAT §1 by example, and writing and reading back at random.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { checkProperty } from "../property.js";
import { formatDataFile, type MalformedError, parseDataFile, parseLine } from "./datadriven.js";

function malformed(line: number, text: RegExp) {
  return (error: unknown) => {
    const { name, message } = error as MalformedError;
    assert.equal(name, "MalformedError");
    assert.match(message, text);
    assert.equal((error as MalformedError).line, line);
    return true;
  };
}

test("arguments: keys, values, lists", () => {
  const cases: [string, { key: string; vals: string[] }[]][] = [
    ["cmd", []],
    ["cmd a", [{ key: "a", vals: [] }]],
    [
      "cmd  a=  b",
      [
        { key: "a", vals: [""] },
        { key: "b", vals: [] },
      ],
    ],
    ["cmd a=b=c", [{ key: "a", vals: ["b=c"] }]],
    ["cmd a=()", [{ key: "a", vals: [""] }]],
    ["cmd a=(1)", [{ key: "a", vals: ["1"] }]],
    [
      "cmd a=(1,  2,3 ) b",
      [
        { key: "a", vals: ["1", "2", "3 "] },
        { key: "b", vals: [] },
      ],
    ],
    ["cmd a=(b c, d e)", [{ key: "a", vals: ["b c", "d e"] }]],
    ["cmd a=(f(x, y), (g))", [{ key: "a", vals: ["f(x, y)", "(g)"] }]],
    ["cmd a=(1,)", [{ key: "a", vals: ["1", ""] }]],
    [
      'cmd 1 "foo" (x',
      [
        { key: "1", vals: [] },
        { key: '"foo"', vals: [] },
        { key: "(x", vals: [] },
      ],
    ],
    ["cmd a=x(1,2)", [{ key: "a", vals: ["x(1,2)"] }]],
  ];
  for (const [text, args] of cases) assert.deepEqual(parseLine(text), { command: "cmd", args }, text);
});

test("arguments that are malformed", () => {
  assert.throws(() => parseLine("cmd a=(1"), /list is not closed/);
  assert.throws(() => parseLine("cmd =1"), /without a key/);
  assert.throws(() => parseLine("cmd a=(1)b"), /behind the list/);
});

test("comments, continuation, input and output", () => {
  const text = [
    "# comment",
    "",
    "  first a \\",
    "   b=1 \\",
    "",
    "  line 1",
    "# not a comment",
    "",
    "----",
    "out  ",
    "",
    "second",
    "----",
    "third",
    "----",
    "last",
  ];
  const { directives } = parseDataFile(text.join("\n"));
  assert.deepEqual(
    directives.map((d) => [d.line, d.command, d.args.length, d.input, d.expected]),
    [
      [3, "first", 2, "line 1\n# not a comment", "out  \n"],
      // No blank line between: all of it is output, up to the next blank line.
      [12, "second", 0, "", "third\n----\nlast\n"],
    ],
  );
});

test("carriage returns at line ends are no content", () => {
  const { directives } = parseDataFile("a\r\n----\r\nout\r\n\r\nb\r\n----\r\n");
  assert.deepEqual(
    directives.map((d) => [d.command, d.expected]),
    [
      ["a", "out\n"],
      ["b", ""],
    ],
  );
});

test("the doubled separator allows blank lines", () => {
  const text = "a\n----\n----\none\n\n----\ntwo\n----\n----\n\nb\n----\nok\n";
  const { directives } = parseDataFile(text);
  assert.deepEqual(
    directives.map((d) => d.expected),
    ["one\n\n----\ntwo\n", "ok\n"],
  );
  assert.deepEqual(parseDataFile("a\n----\n----\nx\n----\n----").directives[0].expected, "x\n");
  assert.throws(() => parseDataFile("a\n----\n----\nx\n----\n----\nb\n"), malformed(7, /no blank line/));
  assert.throws(() => parseDataFile("a\n----\n----\nx\n"), malformed(1, /not closed/));
});

test("subtests have no input and no output", () => {
  const text = "subtest one\n\na\n----\nx\n\nsubtest end\n\nb\n----\ny\n";
  const { directives } = parseDataFile(text);
  assert.deepEqual(
    directives.map((d) => [d.command, d.subtests, d.expected]),
    [
      ["a", ["one"], "x\n"],
      ["b", [], "y\n"],
    ],
  );
  assert.throws(() => parseDataFile("subtest end\n"), malformed(1, /without a subtest/));
  assert.throws(() => parseDataFile("subtest a\nsubtest end b\n"), malformed(2, /subtest end b/));
  assert.throws(() => parseDataFile("subtest a\n"), malformed(1, /no end/));
});

test("a file that ends before the separator is malformed", () => {
  assert.throws(() => parseDataFile("\n\ncmd\ninput\n"), malformed(3, /no ----/));
  assert.throws(() => parseDataFile("ok\n----\n\ncmd a=(\n----\n"), malformed(4, /not closed/));
});

const word = fc.stringMatching(/^[a-z_]{1,6}$/).filter((text) => text !== "subtest");
const value = fc.stringMatching(/^[a-z0-9._-]{0,5}$/);
const arg = fc.oneof(
  word,
  fc.tuple(word, value).map(([key, val]) => `${key}=${val}`),
  fc
    .tuple(word, fc.array(value, { minLength: 1, maxLength: 3 }))
    .map(([key, vals]) => `${key}=(${vals.join(", ")})`),
);
const inputLine = fc.stringMatching(/^[a-z0-9 #]{0,8}$/);
const outputLine = fc.oneof(fc.stringMatching(/^[a-z0-9 >#-]{0,8}$/), fc.constant("----"), fc.constant(""));
const block = fc.record({
  comment: fc.constantFrom("", "# a comment", "\n"),
  command: word,
  args: fc.array(arg, { maxLength: 3 }),
  input: fc.array(inputLine, { maxLength: 3 }),
  output: fc.array(outputLine, { maxLength: 4 }),
});

test("what is written is read back", (t) => {
  checkProperty(
    t,
    import.meta.url,
    fc.property(fc.array(block, { maxLength: 5 }), (blocks) => {
      const outputs = blocks.map((b) => {
        // Two separators in a row can't be written: they end the output.
        const lines = b.output.filter((line, i) => line !== "----" || b.output[i - 1] !== "----");
        if (lines[lines.length - 1] === "----") lines.pop();
        return lines.map((line) => `${line}\n`).join("");
      });
      const text = blocks
        .map((b) =>
          [b.comment, [b.command, ...b.args].join(" "), ...b.input, "----", "old", "", ""].join("\n"),
        )
        .join("");
      const file = parseDataFile(text);
      const again = parseDataFile(formatDataFile(file, outputs));
      assert.deepEqual(
        again.directives.map((d) => [d.command, d.args, d.input, d.expected]),
        file.directives.map((d, i) => [d.command, d.args, d.input, outputs[i]]),
      );
      assert.equal(formatDataFile(again, outputs), formatDataFile(file, outputs));
    }),
  );
});
