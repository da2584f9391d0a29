// What the words of a command line mean, refused with a BenchError. Pure.
import type { Command } from "commander";
import { BenchError } from "../../bench/harness/bench-error.js";

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000 };

/** "5s", "500ms" or "2m" as milliseconds. Throws BenchError (usage) naming the option, the word and what is allowed. */
export function parseDuration(flag: string, text: string, minMs: number, maxMs: number): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m)$/.exec(text);
  const ms = match === null ? Number.NaN : Number(match[1]) * UNITS[match[2]];
  if (ms >= minMs && ms <= maxMs) return ms;
  const seconds = /^\d+(\.\d+)?$/.test(text) ? Number(text) * 1000 : Number.NaN;
  const hint = seconds >= minMs && seconds <= maxMs ? ` Did you mean ${text}s?` : "";
  const range = `a time from ${show(minMs)} to ${show(maxMs)} with its unit, like 500ms, 5s or 2m`;
  throw new BenchError("usage", `--${flag}: "${text}" is not allowed: it takes ${range}.${hint}`);
}

/** Throws as parseDuration does; `why`: what is said behind the limits. */
export function wholeNumber(flag: string, text: string, min: number, max: number, why = ""): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= min && value <= max) return value;
  const highest = max === Number.MAX_SAFE_INTEGER ? "2^53-1" : max;
  const what = `it takes a whole number from ${min} to ${highest}${why}`;
  throw new BenchError("usage", `--${flag}: "${text}" is not allowed: ${what}.`);
}

/** The line that ran `command`, as it can be run again. */
export function commandLineOf(command: Command): string {
  let root = command;
  while (root.parent !== null) root = root.parent;
  return ["raftmark", ...(root as Command & { rawArgs: string[] }).rawArgs.slice(2)].join(" ");
}

function show(ms: number): string {
  return ms >= 60_000 ? `${ms / 60_000}m` : ms >= 1000 ? `${ms / 1000}s` : `${ms}ms`;
}
