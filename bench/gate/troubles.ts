// What kept the gate from measuring: windows in which neither side committed anything, clusters that did not come up or
// did not end in order, errors of its own. Each is counted, told and tried again; too many end the gate with "could not
// be measured", which is no judgement of head. One side that stood still is told too, and measured: it is slower.
import { BenchError, messageOf } from "../harness/bench-error.js";

export class Troubles {
  /** In the order in which they came, in words. */
  readonly told: string[] = [];
  private readonly onTrouble: (text: string) => void;
  private readonly counts = new Map<string, number>();

  constructor(onTrouble: (text: string) => void) {
    this.onTrouble = onTrouble;
  }

  /** Tells it, and that is all. */
  tell(text: string): void {
    this.told.push(text);
    this.onTrouble(text);
  }

  /** Counts one of `what`, a plural; throws BenchError (unmeasured) if there are more than `max` by now. */
  add(what: string, text: string, max: number): void {
    const count = (this.counts.get(what) ?? 0) + 1;
    this.counts.set(what, count);
    this.tell(text);
    if (count > max) throw unmeasured(`${count} ${what}, more than ${max}; the last: ${text}`);
  }
}

/** Does `work` until it succeeds; what fails on the way is one of `what`, of which there may be `max`. */
export async function persistently<T>(
  troubles: Troubles,
  { name, what, max }: { readonly name: string; readonly what: string; readonly max: number },
  signal: AbortSignal,
  work: (attempt: number) => Promise<T>,
): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await work(attempt);
    } catch (error) {
      if (signal.aborted || isFinal(error)) throw error;
      troubles.add(what, `${name}: ${inWords(error)}`, max);
    }
  }
}

/** What ends a gate that has not judged: never as a failure of head. */
export function notMeasured(error: unknown): unknown {
  return isFinal(error) ? error : unmeasured(inWords(error), error);
}

function unmeasured(why: string, cause?: unknown): BenchError {
  const text = `the speed could not be measured (this says nothing of head): ${why}.`;
  return new BenchError("unmeasured", text, cause);
}

/** Trying again does not help. */
function isFinal(error: unknown): boolean {
  return error instanceof BenchError && error.kind !== "failed";
}

/** An error of our own with its place, since nobody will see its stack. */
function inWords(error: unknown): string {
  const text = messageOf(error).replace(/\.$/, "");
  if (error instanceof BenchError || !(error instanceof Error)) return text;
  const [, place] =
    error.stack
      ?.split("\n")
      .map((line) => line.trim())
      .filter((line) => line.startsWith("at ")) ?? [];
  return `${error.name}: ${text}${place === undefined ? "" : ` (${place})`}`;
}
