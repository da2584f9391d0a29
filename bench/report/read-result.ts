// Reads a result file back, and says in one sentence why one cannot be used.
import { z } from "zod";
import { BenchError, codeOf } from "../harness/bench-error.js";
import { mergeHistograms } from "../stats/rows.js";
import { readText } from "./read-text.js";
import { Result, SCHEMA_VERSION } from "./result-schema.js";

/** A result that no command reads: those of the log, or of a running cluster, have a form of their own. */
export class OtherResult extends BenchError {
  constructor(path: string, maker: string) {
    super(
      "usage",
      `${path} is a result of ${maker}, which tells all of it when it ends: no other command reads it.`,
    );
  }
}

/** Throws BenchError (usage, exit code 2). */
export async function readResult(path: string): Promise<Result> {
  const value = parse(path, await textOf(path));
  renameLink(value);
  gatherMeanings(value);
  const version = (value as { schemaVersion?: unknown } | null)?.schemaVersion;
  const maker = otherMaker(value);
  if (maker !== null) throw new OtherResult(path, maker);
  if (typeof version !== "number") {
    throw refuse(path, `is not a result of raftmark bench: it has no "schemaVersion"`);
  }
  if (version !== SCHEMA_VERSION) {
    const cure =
      version < SCHEMA_VERSION ? "run the bench again" : "use the raftmark that made it, or a newer one";
    throw refuse(path, `was made by schema ${version}, and this raftmark reads ${SCHEMA_VERSION}: ${cure}`);
  }
  const parsed = Result.safeParse(value);
  if (parsed.success) {
    checkHistograms(path, parsed.data);
    return parsed.data;
  }
  const { path: where, message } = parsed.error.issues[0];
  throw refuse(
    path,
    `is damaged at ${z.core.toDotPath(where) || "its top"} (${message}): run the bench again`,
  );
}

function otherMaker(value: unknown): string | null {
  const { tool, kind } = (value ?? {}) as { tool?: unknown; kind?: unknown };
  if (tool === "raftmark bench wal") return tool;
  return kind === "raftmark target" ? "raftmark bench --target" : null;
}

/** Before there was --node, uws was the link's name for what the engine takes, which now is "sockets". */
function renameLink(value: unknown): void {
  const { runs, options } = (value ?? {}) as { runs?: unknown; options?: { axes?: Record<string, unknown> } };
  if (!Array.isArray(runs)) return;
  let old = false;
  for (const run of runs as ({ settings?: Record<string, unknown> } | null)[]) {
    const settings = run?.settings;
    if (settings?.["node"] !== undefined || settings?.["link"] !== "uws") continue;
    settings["link"] = "sockets";
    old = true;
  }
  const words = options?.axes?.["link"];
  if (old && Array.isArray(words)) {
    options!.axes!["link"] = words.map((word: unknown) => (word === "uws" ? "sockets" : word));
  }
}

/** Schema 2 told in every run what each stage of its waterfall is; since 3 that stands once in the result. */
function gatherMeanings(value: unknown): void {
  const result = value as { schemaVersion?: unknown; runs?: unknown; stages?: unknown } | null;
  if (result?.schemaVersion !== 2) return;
  type Stages = readonly ({ name?: unknown; meaning?: unknown } | null)[];
  const runs = (Array.isArray(result.runs) ? result.runs : []) as ({
    waterfall?: { stages?: Stages; beside?: Stages } | null;
  } | null)[];
  const all = runs.flatMap((run) => [run?.waterfall?.stages, run?.waterfall?.beside]).filter(Array.isArray);
  result.stages = Object.fromEntries((all as Stages[]).flat().map((stage) => [stage?.name, stage?.meaning]));
  result.schemaVersion = 3;
}

/** They are checked here so that those who merge and draw them need not. */
function checkHistograms(path: string, { runs }: Result): void {
  for (const { histogram, position } of runs) {
    try {
      mergeHistograms([histogram]);
    } catch (cause) {
      const what = `is damaged: the latency histogram of row ${position + 1} cannot be read: run the bench again`;
      throw refuse(path, what, cause);
    }
  }
}

async function textOf(path: string): Promise<string> {
  try {
    return await readText(path);
  } catch (cause) {
    const why = codeOf(cause);
    const text =
      why === "ENOENT"
        ? `there is no file ${path}: name a result that raftmark bench wrote (results/local/*.json).`
        : `cannot read ${path} (${why}): name a result file that you may read.`;
    throw new BenchError("usage", text, cause);
  }
}

function parse(path: string, text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    throw refuse(path, `is not JSON: ${whyNoJson(text.trim())}`, cause);
  }
}

function whyNoJson(text: string): string {
  if (text === "") return "it is empty, as when its writing was cut short: run the bench again";
  if (text.startsWith("{") && !text.endsWith("}"))
    return "it ends in the middle: copy it whole, or run the bench again";
  return "name a result that raftmark bench wrote";
}

function refuse(path: string, what: string, cause?: unknown): BenchError {
  return new BenchError("usage", `${path} ${what}.`, cause);
}
