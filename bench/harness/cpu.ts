// CPU time as it is sampled, and as it stands in a result.

/** User and system time together, in milliseconds. */
export function cpuMsOf({ cpuUserMs, cpuSystemMs }: { cpuUserMs: number; cpuSystemMs: number }): number {
  return cpuUserMs + cpuSystemMs;
}
