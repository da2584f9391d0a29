// The injected logger of the core. The core itself writes nothing: without a logger no text is ever built, so
// call sites read `r.logger?.info(...)`, whose arguments are evaluated only where there is one.

/**
 * Where log lines go; one call a line, without a newline. Levels are etcd raft's DEBUG, INFO, WARN, ERROR.
 */
export interface Logger {
  debug(message: string): void;
  info(message: string): void;
  warn(message: string): void;
  error(message: string): void;
}

/** An id as log lines show it: hexadecimal, the storage threads' pseudo ids as the 64 bits they stand for. */
export function hex(id: number): string {
  if (id < 0) return (id === -1 ? "f" : "e").padStart(16, "f");
  return id.toString(16);
}
