// The `raftmark` command: subcommands, and how an error becomes a sentence and an exit code.
import { closeSync } from "node:fs";
import { isatty } from "node:tty";
import { Command, CommanderError } from "commander";
import { BenchError, EXIT_CODES } from "../../bench/harness/bench-error.js";
import { packageVersion } from "../../bench/harness/environment.js";
import { commandWithout, missingBenchPackages } from "./bench-packages.js";
import { clusterCommand } from "./cluster-command.js";
import { CommandError } from "./command-error.js";
import { whyTakenByNpm } from "./npm-options.js";
import { serveCommand } from "./serve-command.js";
import { walCommand } from "./wal-command.js";

const program = new Command("raftmark")
  .description(
    "Raft for Node.js that proves its own speed: run a cluster, compare configurations, believe the figures.",
  )
  .version(packageVersion(), "--version", "print the version")
  .helpOption("--help", "explain a command, with examples")
  .showSuggestionAfterError(true)
  .enablePositionalOptions()
  .addHelpText(
    "after",
    `
Start here:
  raftmark bench --quick        a real three-node cluster on this machine, in less than 30 s
  raftmark bench                the default comparison, in five minutes
  raftmark bench --help         every axis, and examples
  raftmark report               the newest result as one page, to read and to send
  raftmark compare A B          two results, or two revisions that take turns
  raftmark gate --base main     are the current files slower? two minutes and more, for CI
  raftmark sim --seed 7         a simulated cluster under faults, in seconds
  raftmark cluster up           a key-value service of three nodes on this machine, and what to try
  raftmark serve --help         one node of a replicated key-value service over HTTP
  raftmark wal verify DIR       is this write-ahead log sound (raftmark's or etcd's)`,
  );

/** The commands that the engine's own packages are enough for; more are added here. */
const COMMANDS = [clusterCommand(), serveCommand(), walCommand()];
/** Those of the bench. */
const BENCH_COMMANDS: Record<string, () => Promise<Command>> = {
  bench: async () => (await import("./bench-command.js")).benchCommand(),
  report: async () => (await import("./report-command.js")).reportCommand(),
  compare: async () => (await import("./compare-command.js")).compareCommand(),
  gate: async () => (await import("./gate-command.js")).gateCommand(),
  history: async () => (await import("./history-command.js")).historyCommand(),
  sim: async () => (await import("./sim-command.js")).simCommand(),
};
const missing = missingBenchPackages();
// A node of the service has no use for the bench in its memory.
const isNamed = COMMANDS.some((command) => command.name() === process.argv[2]);
for (const [name, load] of Object.entries(isNamed ? {} : BENCH_COMMANDS))
  program.addCommand(inherit(missing.length > 0 ? commandWithout(name, missing) : await load(), "raftmark"));
for (const command of COMMANDS) program.addCommand(inherit(command, "raftmark"));

outliveReaders();
process.exitCode = await main(process.argv);

/**
 * `raftmark ... | head`: a reader that goes away, or a terminal that is closed, is no fault, and the exit code stays; a
 * result is a file anyway. What cannot be written to standard error is lost, and nothing else: a node goes on without
 * its lines, as when their disk is full, and has them again when there is room.
 */
function outliveReaders(): void {
  const { stdout, stderr } = process;
  stderr.on("error", () => {});
  stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE" || (error.code === "EIO" && stdout.isTTY)) return;
    stderr.write(`raftmark: cannot write the output (${error.code ?? error.message}).\n`);
    process.exit(Number(process.exitCode ?? 0) || 2); // What was found stands.
  });
  // Node.js sets terminals back as it ends, and aborts where one is gone by then: it passes over what is closed.
  const terminals = [0, 1, 2].filter((fd) => isatty(fd));
  process.on("exit", () => {
    for (const fd of terminals) if (!isatty(fd)) closeSync(fd);
  });
}

/** Commander's own errors become sentences of ours, which name the help of the command that was meant. */
function inherit(command: Command, parent: string): Command {
  const path = `${parent} ${command.name()}`;
  for (const sub of command.commands) inherit(sub, path);
  return command
    .helpOption("--help", "explain this command, with examples")
    .exitOverride((error) => refuse(error, path))
    .allowExcessArguments(false)
    .showSuggestionAfterError(true)
    .configureOutput({ outputError: () => {} });
}

async function main(argv: string[]): Promise<number> {
  program.exitOverride((error) => refuse(error, "raftmark")).configureOutput({ outputError: () => {} });
  if (argv.length <= 2) {
    program.outputHelp();
    return EXIT_CODES.usage;
  }
  const command = program.commands.find((each) => each.name() === argv[2]);
  const taken = command === undefined ? null : whyTakenByNpm(command, process.env);
  if (taken !== null) return complain(taken, EXIT_CODES.usage);
  try {
    await program.parseAsync(argv);
    return Number(process.exitCode ?? 0);
  } catch (error) {
    // A command without its subcommand was helped, and is a mistake all the same.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_CODES.usage;
    if (error instanceof BenchError || error instanceof CommandError)
      return complain(error.message, error.exitCode);
    throw error; // A bug of ours: Node prints it with its stack and exits with 1.
  }
}

function refuse(error: CommanderError, command: string): never {
  if (error.exitCode === 0 || error.code === "commander.help") throw error; // Helped already.
  const text = error.message
    .replace(/^error: /, "")
    .replace(/\n?\((Did you mean [^)]*)\)$/, ". $1")
    .replaceAll("\n", " ")
    .replace(/[.?]?$/, (end) => end || ".");
  throw new CommandError(EXIT_CODES.usage, `${text} See ${command} --help.`);
}

function complain(sentence: string, exitCode: number): number {
  process.stderr.write(`raftmark: ${sentence}\n`);
  return exitCode;
}
