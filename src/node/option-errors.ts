// What is wrong with an option, in our words: its name, its value, the rule, and for an unknown one the nearest that
// there is. Pure.
import * as v from "valibot";
import { RaftmarkError } from "../base/errors.js";
import { boundText, didYouMean } from "../base/suggest.js";

const SHOWN_CHARS_MAX = 60;

export function badOption(option: string, text: string): RaftmarkError {
  return new RaftmarkError("RAFT_BAD_OPTION", `option ${option}: ${text}`);
}

/** What `schema` makes of `given`: all options, or the one called `of`. Throws RAFT_BAD_OPTION, with the first fault. */
export function parseOptions<const S extends v.StrictObjectSchema<v.ObjectEntries, undefined>>(
  schema: S,
  given: unknown,
  of = "",
): v.InferOutput<S> {
  if (!isPlainObject(given)) {
    const what = of === "" ? "options" : `option ${of}`;
    throw new RaftmarkError("RAFT_BAD_OPTION", `${what}: must be an object, not ${shown(given)}`);
  }
  const parsed = v.safeParse(schema, given);
  if (parsed.success) return parsed.output;
  throw optionError(parsed.issues[0], schema.entries, of);
}

/** An object that is a collection of properties, and of no class. */
export function isPlainObject(value: unknown): value is object {
  if (typeof value !== "object" || value === null) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

function optionError(issue: v.BaseIssue<unknown>, entries: v.ObjectEntries, of: string): RaftmarkError {
  const path = (issue.path ?? []).map(({ key }) => String(key));
  const option = [...(of === "" ? [] : [of]), ...path].join(".");
  if (issue.type === "strict_object" && issue.expected === "never") {
    const known = path.length === 1 ? Object.keys(entries) : [];
    return badOption(option, `there is no such option.${didYouMean(path.at(-1)!, known)}`);
  }
  if (issue.input === undefined) {
    const missing = path.length === 1 ? v.safeParse(entries[path[0]!]!, undefined).issues?.[0] : undefined;
    return badOption(
      option,
      missing === undefined ? "is missing" : `is missing; it must be ${ruleOf(missing)}`,
    );
  }
  // A secret does not belong into a log.
  const isSecret =
    /^(secret|otherSecret|tls)\b/.test(option) && typeof issue.input === "string" && issue.input !== "";
  return badOption(option, `must be ${ruleOf(issue)}, not ${isSecret ? "this string" : shown(issue.input)}`);
}

/** What must be, as it stands behind "must be". */
function ruleOf(issue: v.BaseIssue<unknown>): string {
  if (issue.type === "instance") return `a ${issue.expected}`;
  return boundText(issue) ?? RULES[issue.type] ?? issue.message;
}

const RULES: Readonly<Record<string, string>> = {
  boolean: "a boolean",
  integer: "an integer",
  non_empty: "a string that is not empty",
  number: "a number",
  record: "an object",
  strict_object: "an object",
  string: "a string",
};

/** A value as a message shows it. */
export function shown(value: unknown): string {
  if (typeof value === "string") {
    return JSON.stringify(
      value.length > SHOWN_CHARS_MAX ? `${value.slice(0, SHOWN_CHARS_MAX)}\u2026` : value,
    );
  }
  if (typeof value === "function") return "a function";
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value !== "object" || value === null) return String(value);
  const name = classOf(value);
  if (name === "Object" || name === "") return "an object";
  return `${/^[AEIO]/.test(name) ? "an" : "a"} ${name}`;
}

/** "": of none, or whoever made it does not let one see. */
function classOf(value: object): string {
  try {
    return `${value.constructor?.name ?? ""}`;
  } catch {
    return "";
  }
}
