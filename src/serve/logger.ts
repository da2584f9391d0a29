// Lines of the node for standard error: JSON in pino's shape for programs, text where a person looks on.
import type { Logger } from "../index.js";

const LEVELS = { debug: 20, info: 30, warn: 40, error: 50 } as const;
export type LogLevel = keyof typeof LEVELS;

/** Writes what is at least of `level`. */
export function newLogger(level: LogLevel, stream: NodeJS.WriteStream, id: number): Logger {
  const least = LEVELS[level];
  const write = stream.isTTY ? textLine : jsonLine;
  const at = (name: LogLevel) => (fields: object, message: string) => {
    if (LEVELS[name] >= least) stream.write(`${write(name, id, fields, message)}\n`);
  };
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}

function jsonLine(level: LogLevel, node: number, fields: object, msg: string): string {
  const line = { level: LEVELS[level], time: Date.now(), node, ...shown(fields), msg };
  return JSON.stringify(line, (_, value) => (typeof value === "bigint" ? String(value) : value));
}

function textLine(level: LogLevel, _node: number, _fields: object, message: string): string {
  return `${new Date().toISOString().slice(11, 23)} ${level.padEnd(5)} ${message}`;
}

/** An error has nothing that JSON would show. */
function shown(fields: object): object {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [
      name,
      value instanceof Error ? { type: value.name, message: value.message, stack: value.stack } : value,
    ]),
  );
}
