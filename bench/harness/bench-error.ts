// Why a bench ends early, as one sentence for the person who ran it. Anything else that is thrown is a bug of ours.

/**
 * Exit code by kind: what the user asked for, what the machine lacks, what failed on the way, what therefore could not be
 * measured where 1 is a judgement, who stopped it.
 */
export const EXIT_CODES = {
  usage: 2,
  environment: 2,
  unmeasured: 2,
  failed: 1,
  interrupted: 130,
  terminated: 143,
} as const;
export type BenchErrorKind = keyof typeof EXIT_CODES;

/** The message says what, where, and what to do. */
export class BenchError extends Error {
  override readonly name: string = "BenchError";
  readonly kind: BenchErrorKind;

  constructor(kind: BenchErrorKind, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.kind = kind;
  }

  get exitCode(): number {
    return EXIT_CODES[this.kind];
  }
}

/** A cluster stands still, is overloaded, or lost a process: its runs are void, and the next one may do it. */
export class ClusterFault extends BenchError {
  override readonly name = "ClusterFault";

  constructor(message: string) {
    super("failed", message);
  }
}

/** The text of whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The code of a RaftmarkError or a system error; "" for others. */
export function codeOf(error: unknown): string {
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return typeof code === "string" ? code : "";
}
