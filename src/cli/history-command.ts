// `raftmark history`: what accepted runs measured over time, and where it changed.
import { Command } from "commander";
import { curvesOf, renderHistory } from "../../bench/history/curves.js";
import { appendRecord, DEFAULT_HISTORY, readHistory, recordOfResult } from "../../bench/history/records.js";
import { readResult } from "../../bench/report/read-result.js";

interface Words {
  readonly file: string;
  readonly json?: true;
}

export function historyCommand(): Command {
  const file = ["--file <path>", "the history", DEFAULT_HISTORY] as const;
  const command = new Command("history")
    .summary("throughput over time, and where it changed")
    .description(
      "Draws the throughput of every configuration in the history, one bar a run in the order of their dates, and marks where its level changed. " +
        "Runs on different machines, file systems or versions of Node.js are different curves, and so are quick ones.",
    )
    .option(...file)
    .option("--json", "points and changes as JSON")
    .addHelpText("after", EXAMPLES)
    .action(async (words: Words) => {
      const curves = curvesOf(await readHistory(words.file));
      process.stdout.write(words.json === true ? `${JSON.stringify(curves)}\n` : renderHistory(curves));
    });
  command
    .command("add")
    .summary("add an accepted result")
    .description("Adds one line for a result of raftmark bench. Void and interrupted ones are refused.")
    .argument("<result>", "a result file")
    .action(async (path: string) => {
      const target = command.opts<Words>().file;
      const added = await appendRecord(target, recordOfResult(await readResult(path), path));
      process.stdout.write(
        added ? `Added to ${target}\n` : `${path} is in ${target} already: nothing added\n`,
      );
    });
  return command;
}

const EXAMPLES = `
Examples:
  raftmark history add results/local/2026-11-23T02-41-56-canonical.json
  raftmark history
  npm run bench:ci -- --base HEAD~1 --record       the gate adds what it lets through

Exit codes: 0 done; 2 a file that cannot be read or holds a bad line, which is named.`;
