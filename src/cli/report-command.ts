// `raftmark report`: result files to one HTML page, or to Markdown.
import { readdirSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { Command } from "commander";
import { isSame } from "../../bench/compare/compare.js";
import { BenchError, codeOf, messageOf } from "../../bench/harness/bench-error.js";
import { resultMarkdown } from "../../bench/report/markdown.js";
import type { NamedResult } from "../../bench/report/page/model.js";
import { renderPage } from "../../bench/report/page/page.js";
import { OtherResult, readResult } from "../../bench/report/read-result.js";
import type { Result } from "../../bench/report/result-schema.js";
import { verdict } from "../../bench/report/verdict.js";
import { writeWhole } from "../../bench/report/write-result.js";
import { didYouMean } from "../base/suggest.js";

interface Words {
  readonly out?: string;
  readonly format: string;
}

const LOCAL = join("results", "local");
const FORMATS = ["html", "markdown"];

export function reportCommand(): Command {
  return new Command("report")
    .summary("make one page out of results, to read and to send")
    .description(
      "Makes one HTML page of one or more results of raftmark bench: the verdict, throughput with intervals, latency " +
        "percentiles, what happened over time, where a commit's time goes, what it costs, the checks and the " +
        "environment. The page needs no network and no other file. Several results are drawn over each other.",
    )
    .argument("[results...]", `result files (default: the newest in ${LOCAL})`)
    .option(
      "-o, --out <file>",
      "where the page goes (default: beside the result, or ./report.html for several)",
    )
    .option("--format <format>", "html, or markdown on stdout for a README or a pull request", "html")
    .addHelpText("after", EXAMPLES)
    .action(async (paths: string[], words: Words) => {
      process.exitCode = await report(paths, words);
    });
}

const EXAMPLES = `
Examples:
  raftmark report                                  the newest result in results/local
  raftmark report results/canonical.json -o page.html
  raftmark report before.json after.json -o both.html
                                                   two results, drawn over each other, and their ratios
  raftmark report --format markdown >> notes.md    table and verdict as Markdown

Exit codes: 0 written; 2 bad usage, or a result that cannot be read.`;

/** Throws BenchError. Returns the exit code. */
async function report(paths: readonly string[], words: Words): Promise<number> {
  const { format } = words;
  if (!FORMATS.includes(format)) {
    const text = `--format: "${format}" is not one of ${FORMATS.join(", ")}.${didYouMean(format, FORMATS)}`;
    throw new BenchError("usage", text);
  }
  const newest = paths.length > 0 ? null : await newestResult();
  const sources = newest === null ? paths : [newest.path];
  const out = words.out ?? (sources.length === 1 ? besides(sources[0]) : "report.html");
  refuseSource(sources, words.out ?? (format === "markdown" ? null : out));
  const results: NamedResult[] = [];
  for (const path of sources) {
    const result = judged(path, newest?.read ?? (await readResult(path)));
    const same = results.find((other) => isSame(other.result, result));
    if (same === undefined) results.push({ name: freeName(path, results), result });
    else process.stderr.write(`${path} is the same result as ${same.name}: it is shown once\n`);
  }
  if (format === "markdown") {
    const text = results.map(({ result }) => resultMarkdown(result)).join("\n");
    if (words.out === undefined) process.stdout.write(text);
    else await writePage(text, words.out);
    return 0;
  }
  const page = renderPage(results);
  await writePage(page, out);
  process.stdout.write(`Page: ${out} (${Math.ceil(page.length / 1024)} KiB); open it in a browser.\n`);
  return 0;
}

/** A result whose verdict is what this raftmark makes of its figures, whatever is written there. */
function judged(path: string, read: Result): Result {
  if (read.runs.length === 0)
    throw new BenchError("usage", `${path} holds no run: there is nothing to report.`);
  const said = verdict(read);
  if (said !== read.verdict) {
    const why = "another raftmark wrote it, or somebody changed the file";
    process.stderr.write(
      `${path}: the verdict in it is not what its figures give (${why}); the figures' own is shown\n`,
    );
  }
  return { ...read, verdict: said };
}

/** A page in a result's place would be the end of the measurement. Null: it goes to stdout. */
function refuseSource(sources: readonly string[], out: string | null): void {
  if (out === null || !sources.some((path) => isSameFile(path, out))) return;
  throw new BenchError("usage", `--out: ${out} is a result to be read: choose another file for the page.`);
}

/** By whatever name or link. */
function isSameFile(one: string, other: string): boolean {
  if (resolve(one) === resolve(other)) return true;
  try {
    const [a, b] = [one, other].map((path) => statSync(path, { bigint: true }));
    return a.dev === b.dev && a.ino === b.ino;
  } catch {
    return false; // One is not there, which whoever reads or writes it says better.
  }
}

function besides(path: string): string {
  return join(dirname(path), `${basename(path, ".json")}.html`);
}

/** The file's name; numbered where two would be called the same. */
function freeName(path: string, taken: readonly NamedResult[]): string {
  const name = basename(path, ".json");
  const same = taken.filter((other) => other.name === name || other.name.startsWith(`${name} (`)).length;
  return same === 0 ? name : `${name} (${same + 1})`;
}

async function newestResult(): Promise<{ readonly path: string; readonly read: Result }> {
  let names: string[] = [];
  try {
    names = readdirSync(LOCAL).filter((name) => name.endsWith(".json"));
  } catch {
    // No such folder: said below.
  }
  const dated = names.map((name) => ({ path: join(LOCAL, name), at: statSync(join(LOCAL, name)).mtimeMs }));
  for (const { path } of dated.sort((a, b) => b.at - a.at)) {
    try {
      return { path, read: await readResult(path) };
    } catch (error) {
      if (!(error instanceof OtherResult)) throw error;
    }
  }
  const text = `there is no result in ${LOCAL}: run raftmark bench first, or name a result file.`;
  throw new BenchError("usage", text);
}

async function writePage(text: string, out: string): Promise<void> {
  await writeWhole(text, out).catch((error: unknown) => {
    const cause = error instanceof BenchError ? error.cause : error;
    const why = `cannot write to ${out} (${codeOf(cause) || messageOf(cause)}): choose another file with --out.`;
    throw new BenchError("environment", why, cause);
  });
}
