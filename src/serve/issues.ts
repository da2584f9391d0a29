// What is wrong with a value that a schema refused, in words that stand alike for the configuration and for a request. Pure.
import * as v from "valibot";
import { boundText, didYouMean } from "../base/suggest.js";
import { splitAddress } from "../link/address.js";

const SHOWN_CHARS_MAX = 100;

export const integer = (min: number, max: number) =>
  v.pipe(v.number(), v.integer(), v.minValue(min), v.maxValue(max));

export const address = v.pipe(
  v.string(),
  v.check(
    (at) => splitAddress(at) !== null,
    "an address, host:port, as in 127.0.0.1:7001 or [::1]:7001 (0.0.0.0 and [::] are all of the machine's)",
  ),
);

const MAPPING = "a mapping of fields to values";

/** Before a schema of an object: to the library a list is one whose fields are 0, 1 and so on. */
export const noList = v.custom<object>((value) => !Array.isArray(value), MAPPING);

/** Of all that is wrong, what to say first: a name that is wrong is most often the one that is missing. */
export function firstOf(
  issues: readonly [v.BaseIssue<unknown>, ...v.BaseIssue<unknown>[]],
): v.BaseIssue<unknown> {
  return issues.find(isUnknown) ?? issues[0];
}

export function pathOf(issue: v.BaseIssue<unknown>): string[] {
  return (issue.path ?? []).map(({ key }) => String(key));
}

export function isUnknown({ type, expected }: v.BaseIssue<unknown>): boolean {
  return type === "strict_object" && expected === "never";
}

/** Of a field that there is not, beside those of `known`; `meant` has others' names for them. */
export function unknownText(
  name: string,
  known: readonly string[],
  knownMax: number,
  meant: Readonly<Record<string, string>> = {},
): string {
  const list = known.length <= knownMax ? `; there is ${known.join(", ")}` : "";
  const hint = Object.hasOwn(meant, name) ? ` Did you mean ${meant[name]}?` : didYouMean(name, known);
  return `there is no such field${list}.${hint}`;
}

/** Of a field without which nothing goes. */
export function missingText(issue: v.BaseIssue<unknown>): string {
  return `is missing: it must be ${ruleOf(issue)}`;
}

/** Of a value; `isSecret`: it does not belong into a message. */
export function wrongText(issue: v.BaseIssue<unknown>, isSecret = false): string {
  return `must be ${ruleOf(issue)}, not ${isSecret ? "this" : shown(issue.input)}`;
}

function shown(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length > SHOWN_CHARS_MAX ? `${text.slice(0, SHOWN_CHARS_MAX)}\u2026` : text;
}

/** As it stands behind "must be". */
function ruleOf(issue: v.BaseIssue<unknown>): string {
  if (issue.type === "strict_object") return MISSING_RULES[String(issue.path?.at(-1)?.key)] ?? MAPPING;
  return boundText(issue) ?? RULES[issue.type] ?? issue.message;
}

/** Of the fields that have no default. */
const MISSING_RULES: Readonly<Record<string, string>> = {
  dataDir: "a directory",
  peers: 'the members, as in { 1: { raft: "127.0.0.1:7001", http: "127.0.0.1:8081" } }',
  raft: "an address, host:port",
  http: "an address, host:port",
  id: "a node's id, 1, 2, 3 and so on",
  ca: "a file",
  cert: "a file",
  key: "a file",
};

const RULES: Readonly<Record<string, string>> = {
  array: "a list",
  boolean: "true or false",
  integer: "a whole number",
  non_empty: "text that is not empty",
  number: "a number",
  record: "a mapping of ids to addresses",
  string: "text",
};
