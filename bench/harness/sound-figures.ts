// The last look at a run before it counts: no figure of it is NaN or infinite. Where one is, the run is void and says
// which; what was measured beside it is kept. Pure.
import type { Run } from "../report/result-schema.js";

/** More than this are not named one by one. */
const NAMED_MAX = 3;

/** `run` with 0 for every number that is none, and void for it. A measure that is none is left out: it was not taken. */
export function withSoundFigures<T extends Pick<Run, "void" | "measures">>(run: T): T {
  const taken = Object.entries(run.measures).filter(([, { value }]) => Number.isFinite(value));
  const wrong: string[] = [];
  const sound = soundly({ ...run, measures: Object.fromEntries(taken) }, "", wrong) as T;
  if (wrong.length === 0) return sound;
  const more = wrong.length > NAMED_MAX ? ` and ${wrong.length - NAMED_MAX} more` : "";
  const text = `it has figures that are no numbers: ${wrong.slice(0, NAMED_MAX).join(", ")}${more}`;
  return { ...sound, void: [...sound.void, text] };
}

function soundly(value: unknown, path: string, wrong: string[]): unknown {
  if (typeof value === "number" && !Number.isFinite(value)) {
    wrong.push(path);
    return 0;
  }
  if (Array.isArray(value)) return value.map((each, i) => soundly(each, `${path}[${i}]`, wrong));
  if (typeof value !== "object" || value === null) return value;
  const fields = Object.entries(value);
  return Object.fromEntries(
    fields.map(([name, each]) => [name, soundly(each, path === "" ? name : `${path}.${name}`, wrong)]),
  );
}

/** So many in `ms`, a second; 0 where there was no time for any. */
export function ratePerS(count: number, ms: number): number {
  return ms > 0 ? count / (ms / 1000) : 0;
}
