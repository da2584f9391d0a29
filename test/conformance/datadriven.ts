// The data-driven file format (conformance/raft/FORMAT.md §1): parsing a file into directives, and writing it
// back with new outputs. Knows no commands; what a directive does is for its handler.

/** One argument: `key` has no values, `key=` one empty one, `key=(a, b)` two. */
export interface Arg {
  readonly key: string;
  readonly vals: readonly string[];
}

export interface Directive {
  /** 1-based line of the command word. */
  readonly line: number;
  /** The directive line as read, continuation lines joined. */
  readonly text: string;
  readonly command: string;
  readonly args: readonly Arg[];
  readonly input: string;
  /** Every line followed by a newline; empty if nothing is expected. */
  readonly expected: string;
  /** Names of the open subtests, outermost first. */
  readonly subtests: readonly string[];
  /** The file's lines from the end of the directive before up to, not including, the separator. */
  readonly head: readonly string[];
}

export interface DataFile {
  readonly directives: readonly Directive[];
  /** The lines behind the last directive. */
  readonly tail: readonly string[];
}

/** The file itself is malformed, or a directive has arguments that mean nothing: no output can be right. */
export class MalformedError extends Error {
  override readonly name = "MalformedError";
  /** 1-based, 0 where the line is not known yet. */
  readonly line: number;

  constructor(message: string, line = 0) {
    super(message);
    this.line = line;
  }
}

const SEPARATOR = "----";

export function parseDataFile(text: string): DataFile {
  return new Parser(text).parse();
}

/** The file with each directive's expected output replaced by `outputs[i]`. */
export function formatDataFile(file: DataFile, outputs: readonly string[]): string {
  const lines: string[] = [];
  for (let i = 0; i < file.directives.length; i++) {
    lines.push(...file.directives[i].head, SEPARATOR);
    const output = outputs[i].split("\n").slice(0, -1);
    // Only the doubled separator can hold a blank line, or a separator as content.
    const doubled = output.some((line) => line.trim() === "" || line === SEPARATOR);
    if (doubled) lines.push(SEPARATOR, ...output, SEPARATOR, SEPARATOR);
    else lines.push(...output);
    lines.push("");
  }
  lines.push(...file.tail);
  // No blank lines at the end of the file; white space in the last line may be content.
  return `${lines.join("\n").replace(/\n+$/, "")}\n`;
}

/** What is compared: an output that is not empty ends in a newline. */
export function normalizeOutput(output: string): string {
  return output === "" || output.endsWith("\n") ? output : `${output}\n`;
}

/** Splits a directive line into its command and arguments (FORMAT §1.1). */
export function parseLine(text: string): { command: string; args: Arg[] } {
  let rest = text.trim();
  const command = until(rest, " ");
  rest = rest.slice(command.length).trim();
  const args: Arg[] = [];
  while (rest !== "") {
    const key = until(rest, " =");
    if (key === "") throw new MalformedError(`argument without a key at "${rest}"`);
    rest = rest.slice(key.length);
    if (!rest.startsWith("=")) {
      args.push({ key, vals: [] });
    } else if (rest.startsWith("=(")) {
      const list = parseList(rest.slice(1));
      args.push({ key, vals: list.vals });
      rest = list.rest;
      if (rest !== "" && rest[0] !== " ")
        throw new MalformedError(`text behind the list of "${key}": "${rest}"`);
    } else {
      const value = until(rest.slice(1), " ");
      args.push({ key, vals: [value] });
      rest = rest.slice(1 + value.length);
    }
    rest = rest.trim();
  }
  return { command, args };
}

/** `(a, b(c,d))` and what follows it. */
function parseList(text: string): { vals: string[]; rest: string } {
  const vals: string[] = [];
  let depth = 0;
  let start = 1;
  for (let i = 0; i < text.length; i++) {
    const char = text[i];
    if (char === "(") depth++;
    else if (char === ")") depth--;
    if ((char === "," && depth === 1) || depth === 0) {
      vals.push(text.slice(start, i));
      start = i + 1;
      while (text[start] === " ") start++;
    }
    if (depth === 0) return { vals, rest: text.slice(i + 1) };
  }
  throw new MalformedError(`list is not closed: "${text}"`);
}

/** The part of `text` before the first of `stops`. */
function until(text: string, stops: string): string {
  for (let i = 0; i < text.length; i++) {
    if (stops.includes(text[i])) return text.slice(0, i);
  }
  return text;
}

class Parser {
  private readonly lines: readonly string[];
  /** Place of the next line to read. */
  private at = 0;
  /** First line that belongs to no directive yet. */
  private headStart = 0;
  private subtests: string[] = [];

  constructor(text: string) {
    const lines = text.split("\n").map((line) => (line.endsWith("\r") ? line.slice(0, -1) : line));
    // A final newline ends the last line and starts no new one.
    if (lines[lines.length - 1] === "") lines.pop();
    this.lines = lines;
  }

  parse(): DataFile {
    const directives: Directive[] = [];
    while (this.at < this.lines.length) {
      const directive = this.next();
      if (directive !== null) directives.push(directive);
    }
    if (this.subtests.length > 0) {
      throw new MalformedError(`subtest ${this.subtests[this.subtests.length - 1]} has no end`, this.at);
    }
    return { directives, tail: this.lines.slice(this.headStart) };
  }

  /** Reads a line, and the rest of the directive if one begins there. */
  private next(): Directive | null {
    const line = this.at + 1;
    let text = this.lines[this.at++].trim();
    if (text.startsWith("#")) return null;
    while (text.endsWith("\\") && this.at < this.lines.length) {
      text = `${text.slice(0, -1)} ${this.lines[this.at++].trim()}`;
    }
    text = text.trim();
    if (text === "") return null;
    try {
      const { command, args } = parseLine(text);
      if (command === "subtest") {
        this.subtest(args);
        return null;
      }
      const input = this.readInput();
      const head = this.lines.slice(this.headStart, this.at - 1);
      const expected = this.readExpected();
      this.headStart = this.at;
      return { line, text, command, args, input, expected, subtests: this.subtests.slice(), head };
    } catch (error) {
      if (error instanceof MalformedError && error.line === 0) throw new MalformedError(error.message, line);
      throw error;
    }
  }

  private subtest(args: readonly Arg[]): void {
    if (args.length === 0) throw new MalformedError("subtest without a name");
    if (args[0].key !== "end") {
      this.subtests.push(args[0].key);
      return;
    }
    const open = this.subtests.pop();
    if (open === undefined) throw new MalformedError("subtest end without a subtest");
    if (args.length > 1 && args[1].key !== open) {
      throw new MalformedError(`subtest end ${args[1].key} in subtest ${open}`);
    }
  }

  private readInput(): string {
    const start = this.at;
    while (this.at < this.lines.length) {
      if (this.lines[this.at++] === SEPARATOR) {
        return this.lines
          .slice(start, this.at - 1)
          .join("\n")
          .trim();
      }
    }
    throw new MalformedError(`no ${SEPARATOR} behind the directive`);
  }

  private readExpected(): string {
    if (this.lines[this.at] === SEPARATOR) {
      this.at++;
      return this.readDoubled();
    }
    let expected = "";
    while (this.at < this.lines.length) {
      const line = this.lines[this.at++];
      if (line.trim() === "") break;
      expected += `${line}\n`;
    }
    return expected;
  }

  /** The form that allows blank lines: up to two separators in a row. */
  private readDoubled(): string {
    let expected = "";
    while (this.at < this.lines.length) {
      const line = this.lines[this.at++];
      if (line === SEPARATOR && this.lines[this.at] === SEPARATOR) {
        this.at++;
        if (this.at < this.lines.length && this.lines[this.at++].trim() !== "") {
          throw new MalformedError(`no blank line behind the closing ${SEPARATOR} ${SEPARATOR}`, this.at);
        }
        return expected;
      }
      expected += `${line}\n`;
    }
    throw new MalformedError(`output behind the doubled ${SEPARATOR} is not closed`);
  }
}
