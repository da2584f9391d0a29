// `raftmark bench wal`: words of the command line to a plan, the plan to a run, the run to tables and a file.
import { Command } from "commander";
import pc from "picocolors";
import { BenchError } from "../../bench/harness/bench-error.js";
import { diskNameText } from "../../bench/report/node-text.js";
import { PLAIN } from "../../bench/report/table.js";
import { checkWritable, defaultPath, writeTo } from "../../bench/report/write-result.js";
import { renderWalBench } from "../../bench/wal/report.js";
import { runWalBench, type WalBenchPlan } from "../../bench/wal/run.js";
import type { WriterKind } from "../node/api.js";
import { untilInterrupted } from "./interrupt.js";
import { commandLineOf, parseDuration, wholeNumber } from "./words.js";

const WRITERS: readonly WriterKind[] = ["inline-js", "inline-wasm", "pool-wasm"];
const MIB = 1 << 20;

interface Words {
  readonly quick?: true;
  readonly writer?: string;
  readonly batch?: string;
  readonly entryBytes: string;
  readonly duration?: string;
  readonly pairs?: string;
  readonly logMib?: string;
  readonly peer?: string;
  readonly dir?: string;
  readonly out?: string;
  readonly json?: true;
}

export function benchWalCommand(): Command {
  return new Command("wal")
    .summary("measure the log alone")
    .description(
      "Measures the write-ahead log without a cluster: entries a second through each writer, durable appends against " +
        "what the disk allows, and how fast a log is opened. Every measurement is a process of its own.",
    )
    .option("--quick", "a rough answer in less than 20 s")
    .option("--writer <values>", `one or several of ${WRITERS.join(", ")} (default: inline-wasm,pool-wasm)`)
    .option("--batch <values>", "entries an append (default: 1,64,1024)")
    .option("--entry-bytes <bytes>", "data of an entry", "256")
    .option("--duration <time>", "how long each measurement takes (default: 1500ms)")
    .option(
      "--pairs <number>",
      "how often each is repeated, alternating with what it is compared to (default: 3)",
    )
    .option("--log-mib <MiB>", "size of the log that is opened (default: 1024)")
    .option("--peer <path>", "a built ../shared/peers/goraft, to alternate the appends with")
    .option("--dir <path>", "where the durable appends go (default: ./.raftmark, or the temporary directory)")
    .option("--out <file>", "where the result goes (default: results/local/<time>-wal.json)")
    .option("--json", "print the result as JSON on stdout; progress goes to stderr")
    .helpOption("--help", "explain this command, with examples")
    .exitOverride()
    .allowExcessArguments(false)
    .configureOutput({ outputError: () => {} })
    .addHelpText("after", EXAMPLES)
    .action(async (words: Words, self: Command) => {
      process.exitCode = await benchWal(planOf(words, commandLineOf(self)), words);
    });
}

const EXAMPLES = `
Examples:
  raftmark bench wal                               all of it, in about three minutes
  raftmark bench wal --quick                       the same, roughly
  raftmark bench wal --peer /tmp/goraft.bin --pairs 5
                                                   against etcd's WAL in Go, pair by pair

Exit codes: 0 measured; 1 a measurement failed; 2 bad usage or environment; 130 Ctrl-C. Ctrl-C, or a measurement that
fails, keeps what was measured before, marked as interrupted.`;

/** Returns the exit code. Throws BenchError. */
async function benchWal(plan: WalBenchPlan, words: Words): Promise<number> {
  const stream = words.json === true ? process.stderr : process.stdout;
  const paint = stream.isTTY === true && pc.isColorSupported ? pc.createColors(true) : PLAIN;
  const say = (text: string): void => void stream.write(`${paint.dim(text)}\n`);
  const startedAt = new Date().toISOString();
  await checkWritable(words.out ?? defaultPath({ startedAt, scenario: { name: "wal" } }));
  const { result, cut } = await untilInterrupted((signal) => runWalBench(plan, say, signal));
  const { environment, diskProbe } = result;
  stream.write(
    `\n${renderWalBench(result, paint)}${environment.cpu}, ${environment.cores} cores, Node ${environment.node}; ` +
      `${diskNameText(environment)}: a durable 4 KiB write takes ${diskProbe.p50Us} µs (p99 ${diskProbe.p99Us} µs)\n`,
  );
  if (words.json === true) process.stdout.write(`${JSON.stringify(result)}\n`);
  // What took minutes to measure is shown before it may turn out that it cannot be kept.
  const text = `${JSON.stringify(result, null, 2)}\n`;
  const named = defaultPath({ startedAt: result.startedAt, scenario: { name: "wal" } });
  const path = await writeTo(words.out, text, named);
  stream.write(`Result: ${path}\n`);
  // Whoever pressed Ctrl-C knows why it ended.
  if (cut?.kind === "failed") throw cut;
  return cut?.exitCode ?? 0;
}

/** Words to a plan; refuses before anything is started. */
function planOf(words: Words, command: string): WalBenchPlan {
  const quick = words.quick === true;
  const writers = words.writer?.split(",") ?? ["inline-wasm", "pool-wasm"];
  for (const writer of writers) {
    if (WRITERS.includes(writer as WriterKind)) continue;
    throw new BenchError("usage", `--writer: "${writer}" is not one of ${WRITERS.join(", ")}.`);
  }
  const batches = (words.batch ?? "1,64,1024").split(",").map((text) => wholeNumber("batch", text, 1, 65536));
  const pairs = words.pairs ?? (quick ? "1" : "3");
  const logMib = words.logMib ?? (quick ? "64" : "1024");
  const ms = quick ? 150 : 1500;
  return {
    writers: writers as WriterKind[],
    batches,
    bytes: wholeNumber("entry-bytes", words.entryBytes, 8, MIB),
    ms: words.duration === undefined ? ms : parseDuration("duration", words.duration, 100, 600_000),
    pairs: wholeNumber("pairs", pairs, 1, 100),
    logBytes: wholeNumber("log-mib", logMib, 1, 65536) * MIB,
    threads: [1, 2],
    peer: words.peer ?? null,
    dir: words.dir ?? null,
    command,
  };
}
