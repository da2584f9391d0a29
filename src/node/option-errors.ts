// What is wrong with an option, in our words: its name, its value, the rule, and for an unknown one the nearest that
// there is. Pure.
import type { z } from "zod";
import { RaftmarkError } from "../base/errors.js";
import { didYouMean } from "../base/suggest.js";

const SHOWN_CHARS_MAX = 60;

export function badOption(option: string, text: string): RaftmarkError {
  return new RaftmarkError("RAFT_BAD_OPTION", `option ${option}: ${text}`);
}

/** The first fault that zod found in `given`. `names`: the options that there are. */
export function optionError(
  issue: z.core.$ZodIssue,
  given: unknown,
  names: readonly string[],
): RaftmarkError {
  const path = issue.path.map(String);
  if (issue.code === "unrecognized_keys") {
    const [key] = issue.keys;
    const known = path.length === 0 ? names : [];
    return badOption([...path, key].join("."), `there is no such option.${didYouMean(key, known)}`);
  }
  if (path.length === 0) {
    return new RaftmarkError("RAFT_BAD_OPTION", `options: must be an object, not ${shown(given)}`);
  }
  let value: unknown = given;
  for (const key of path) value = (value as Record<string, unknown> | undefined)?.[key];
  const rule = ruleOf(issue);
  // A secret does not belong into a log.
  const what =
    path[0] === "secret" && typeof value === "string" && value !== "" ? "this string" : shown(value);
  return badOption(
    path.join("."),
    value === undefined ? `is missing; it must be ${rule}` : `must be ${rule}, not ${what}`,
  );
}

/** What must be, as it stands behind "must be". */
function ruleOf(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case "invalid_type":
      return TYPES[issue.expected] ?? issue.expected;
    case "too_small":
      return issue.origin === "string" ? "a string that is not empty" : `at least ${issue.minimum}`;
    case "too_big":
      return `at most ${issue.maximum}`;
    case "invalid_value":
      return `one of ${issue.values.map((value) => JSON.stringify(value)).join(", ")}`;
    default:
      return issue.message;
  }
}

const TYPES: Readonly<Record<string, string>> = {
  int: "an integer",
  number: "a number",
  string: "a string",
  object: "an object",
  record: "an object",
};

/** A value as a message shows it. */
export function shown(value: unknown): string {
  if (typeof value === "string") {
    return JSON.stringify(
      value.length > SHOWN_CHARS_MAX ? `${value.slice(0, SHOWN_CHARS_MAX)}\u2026` : value,
    );
  }
  if (typeof value === "function") return "a function";
  if (typeof value !== "object" || value === null) return String(value);
  const name = value.constructor?.name ?? "";
  if (name === "Object" || name === "") return "an object";
  return `${/^[AEIOU]/.test(name) ? "an" : "a"} ${name}`;
}
