// A result as Markdown, for a README or a pull request: the table, the verdict, the machine. Pure.
import { diskNameText, nodeText } from "./node-text.js";
import { grouped, plural } from "./numbers.js";
import type { Result } from "./result-schema.js";
import { tableRows } from "./table.js";

export function resultMarkdown(result: Result): string {
  const [heading, ...rows] = tableRows(result);
  const table = markdownTable([
    heading.map(escapeCell),
    heading.map((_, i) => alignment(rows, i)),
    ...rows.map((cells) => cells.map(escapeCell)),
  ]);
  return `${table}\n\n> ${escapeText(result.verdict)} ${proof(result)}\n\n${environment(result)}\n`;
}

/** Headings, alignments, and the rest; cells are Markdown. */
export function markdownTable(lines: readonly (readonly string[])[]): string {
  return lines.map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

/** Columns of numbers stand at the right. */
function alignment(rows: readonly (readonly string[])[], column: number): string {
  return rows.every((row) => /^[\d.,×–-]+( %)?( \([\d.,–]+\))?$|^void$/.test(row[column])) ? "---:" : "---";
}

function escapeCell(text: string): string {
  return escapeText(text).replaceAll("|", "\\|").replaceAll("\n", " ");
}

function escapeText(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}

function proof(result: Result): string {
  const voids = result.runs.filter((run) => run.void.length > 0);
  const checked = result.runs.reduce((sum, run) => sum + (run.truth?.ackedChecked ?? 0), 0);
  const cut = result.interrupted ? " **Interrupted: some runs were not made.**" : "";
  if (voids.length > 0) {
    return `**${voids.length} of ${result.runs.length} runs are void and prove nothing.**${cut}`;
  }
  return `Checked on disk: ${grouped(checked)} acknowledged proposals, all on a quorum; all logs and states agree.${cut}`;
}

function environment(result: Result): string {
  const { command, startedAt, environment, diskProbe, options } = result;
  const node = nodeText(result);
  const { cpu, cores, kernel, commit, dirty, raftmark } = environment;
  const built =
    commit === null ? `raftmark ${raftmark}` : `commit ${commit.slice(0, 10)}${dirty === true ? "+" : ""}`;
  return escapeText(
    `\`${command.replaceAll("`", "'")}\` on ${startedAt.slice(0, 10)}, ${built}: ${cpu}, ${cores} cores, ${kernel}, Node ${node}; ` +
      `${diskNameText(environment)}, where a durable 4 KiB write takes ${diskProbe.p50Us} µs ` +
      `(p99 ${diskProbe.p99Us} µs)${diskProbe.direct ? ", and the file system takes direct writes" : ""}; ${options.durationMs / 1000} s each after ${options.warmupMs / 1000} s of warm-up, ` +
      `${plural(options.rounds, "round")}.`,
  );
}
