// The output buffer of an interaction environment: what the harness prints and what the nodes log, in one
// order.
import type { Logger } from "../../src/raft/logger.js";

export const LEVEL_NAMES = ["DEBUG", "INFO", "WARN", "ERROR", "FATAL", "NONE"] as const;
const DEBUG = 0;
const INFO = 1;
const WARN = 2;
const ERROR = 3;
const NONE = 5;

export class Output implements Logger {
  /** Lines below this level are left out; at NONE nothing at all is written. */
  level = DEBUG;
  private buffer = "";

  quiet(): boolean {
    return this.level === NONE;
  }

  write(text: string): void {
    if (!this.quiet()) this.buffer += text;
  }

  /** The level's place by its name in any case; -1 if there is none. */
  static levelOf(name: string): number {
    return (LEVEL_NAMES as readonly string[]).indexOf(name.toUpperCase());
  }

  /** Takes what was written. */
  drain(): string {
    const text = this.buffer;
    this.buffer = "";
    return text;
  }

  /** Runs `fn`; every line it writes gets two spaces in front and a newline behind. */
  indented(fn: () => void): void {
    const outer = this.drain();
    fn();
    const inner = this.drain();
    this.buffer = outer;
    if (inner === "") return;
    const lines = (inner.endsWith("\n") ? inner.slice(0, -1) : inner).split("\n");
    for (const line of lines) this.buffer += `  ${line}\n`;
  }

  debug(message: string): void {
    this.log(DEBUG, message);
  }

  info(message: string): void {
    this.log(INFO, message);
  }

  warn(message: string): void {
    this.log(WARN, message);
  }

  error(message: string): void {
    this.log(ERROR, message);
  }

  private log(level: number, message: string): void {
    if (this.level <= level) this.write(`${LEVEL_NAMES[level]} ${message}\n`);
  }
}
