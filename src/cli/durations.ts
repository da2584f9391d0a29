// "5s", "500ms", "2m" as milliseconds. Pure.
import { BenchError } from "../../bench/harness/bench-error.js";

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000 };

/** Throws BenchError (usage) naming the option, the word and what is allowed. */
export function parseDuration(flag: string, text: string, minMs: number, maxMs: number): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m)$/.exec(text);
  const ms = match === null ? Number.NaN : Number(match[1]) * UNITS[match[2]];
  if (ms >= minMs && ms <= maxMs) return ms;
  const seconds = /^\d+(\.\d+)?$/.test(text) ? Number(text) * 1000 : Number.NaN;
  const hint = seconds >= minMs && seconds <= maxMs ? ` Did you mean ${text}s?` : "";
  const range = `a time from ${show(minMs)} to ${show(maxMs)} with its unit, like 500ms, 5s or 2m`;
  throw new BenchError("usage", `--${flag}: "${text}" is not allowed: it takes ${range}.${hint}`);
}

function show(ms: number): string {
  return ms >= 60_000 ? `${ms / 60_000}m` : ms >= 1000 ? `${ms / 1000}s` : `${ms}ms`;
}
