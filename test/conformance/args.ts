// Reading the arguments of a directive. Whatever is malformed or unknown fails the test itself (FORMAT §1.1),
// as a MalformedError; it never becomes output.
import { type Arg, type Directive, MalformedError } from "./datadriven.js";

const TRUE = new Set(["1", "t", "T", "TRUE", "true", "True"]);
const FALSE = new Set(["0", "f", "F", "FALSE", "false", "False"]);

/** Decimal, unsigned, at most 2^53-1. */
export function parseInteger(text: string): number {
  const value = Number(text);
  if (!/^[0-9]+$/.test(text) || !Number.isSafeInteger(value))
    throw new MalformedError(`"${text}" is no integer`);
  return value;
}

function parseBoolean(text: string): boolean {
  if (TRUE.has(text)) return true;
  if (FALSE.has(text)) return false;
  throw new MalformedError(`"${text}" is no boolean`);
}

/** The one value of an argument. */
export function single(arg: Arg): string {
  if (arg.vals.length !== 1) {
    throw new MalformedError(`${arg.key} takes one value and has ${arg.vals.length}`);
  }
  return arg.vals[0];
}

export function integerOf(arg: Arg): number {
  return parseInteger(single(arg));
}

export function booleanOf(arg: Arg): boolean {
  return parseBoolean(single(arg));
}

/** All values as integers; `key=()` is the empty list. */
export function integersOf(arg: Arg): number[] {
  if (arg.vals.length === 1 && arg.vals[0] === "") return [];
  return arg.vals.map(parseInteger);
}

/** The arguments without values, in the order written. */
export function bareWords(directive: Directive): string[] {
  return directive.args.filter((arg) => arg.vals.length === 0).map((arg) => arg.key);
}

/** The arguments with values. Refuses a key that is not among `known`. */
export function keyed(directive: Directive, known: readonly string[]): Arg[] {
  const args = directive.args.filter((arg) => arg.vals.length > 0);
  for (const arg of args) {
    if (!known.includes(arg.key))
      throw new MalformedError(`${directive.command} has no argument ${arg.key}=`);
  }
  return args;
}

/** The value of `key=`, or null where it is not given. */
export function optional(directive: Directive, key: string): Arg | null {
  return directive.args.find((arg) => arg.key === key && arg.vals.length > 0) ?? null;
}
