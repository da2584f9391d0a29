// `raftmark wal dump | verify | repair | new-group`: words of the command line, where the log lies, what becomes of
// errors. Exit codes: 0 sound, 1 damaged, 2 unreadable or bad usage.

import fs from "node:fs";
import os from "node:os";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { Command } from "commander";
import { RaftmarkError } from "../base/errors.js";
import { systemCode } from "../wal/disk/errors.js";
import type { EtcdSnapshotId } from "../wal/inspect/etcd-proto.js";
import { findLog, type LogPlace } from "../wal/inspect/log-place.js";
import { ByteProgress } from "./byte-progress.js";
import { CommandError } from "./command-error.js";
import { checkSnaps } from "./snap-report.js";
import { Dump } from "./wal-dump.js";
import { newGroupCommand } from "./wal-new-group.js";
import { repairLog } from "./wal-repair.js";
import { verdictText, verifyLog } from "./wal-verify.js";
import { wholeNumber } from "./words.js";

const UNREADABLE = 2;
const DAMAGED = 1;
const UINT64_MAX = 2n ** 64n - 1n;
const THREADS_MAX = 64;
const DIR_HELP = "a log's directory, or a node's with wal/ in it; raftmark's or etcd's";

const EXIT_HELP = `
Exit codes: 0 sound; 1 damaged; 2 unreadable (no such directory, no log in it, no permission) or bad usage.`;

export function walCommand(): Command {
  return new Command("wal")
    .summary("look into a write-ahead log: dump, verify, repair, new-group")
    .description(
      "Tools for write-ahead logs in etcd's format, raftmark's own and any other's, with all 64 bits. `repair` alone changes " +
        "anything there; `new-group` makes a directory of its own.",
    )
    .addCommand(dumpCommand())
    .addCommand(verifyCommand())
    .addCommand(repairCommand())
    .addCommand(newGroupCommand(readable))
    .addHelpText("after", `${EXAMPLES}${EXIT_HELP}`);
}

const EXAMPLES = `
Examples:
  raftmark wal verify ./data/1                     is the log of this node sound
  raftmark wal dump ./data/1 | head                the first entries, one a line
  raftmark wal dump /var/lib/etcd/member --json --from 100 --to 110
                                                   some entries of an etcd, for a program
  raftmark wal repair ./data/1                     cut what a crash tore, keeping a copy
  raftmark wal new-group ./old/3 ./data/1 --id 1 --cluster-id 2 --address 10.0.0.1:7001
                                                   go on with what is left of a group that lost its majority
`;

function dumpCommand(): Command {
  return new Command("dump")
    .summary("print a log, one line an entry or record")
    .description(
      "Prints the snapshot files beside the log, then metadata, entries, hard states and snapshot records in the order in " +
        "which they were written: an entry that replaces earlier ones says so. Checksums are verified on the way; the dump ends at the first damage of the log.",
    )
    .argument("<dir>", DIR_HELP)
    .option("--json", "one JSON object a line; 64-bit numbers are strings, data is hex and complete")
    .option("--from <index>", "entries from this index on, and nothing else")
    .option("--to <index>", "entries up to this index, and nothing else")
    .option("--records", "raw records instead: segment, offset, length, checksum")
    .addHelpText(
      "after",
      `
Examples:
  raftmark wal dump ./data/1
  raftmark wal dump ./data/1 --from 100 --to 110
  raftmark wal dump ./data/1 --records | tail      where the last records lie
  raftmark wal dump ./data/1 --json | jq -r 'select(.type == "entry") | .index'
${EXIT_HELP}`,
    )
    .action(async (dir: string, words: DumpWords) => {
      process.exitCode = await readable(dir, () => dump(dir, words));
    });
}

interface DumpWords {
  readonly json?: true;
  readonly records?: true;
  readonly from?: string;
  readonly to?: string;
}

async function dump(dir: string, words: DumpWords): Promise<number> {
  const { from, to } = words;
  const range =
    from === undefined && to === undefined
      ? null
      : { from: uint64("from", from ?? "0"), to: uint64("to", to ?? `${UINT64_MAX}`) };
  if (range !== null && range.from > range.to) {
    throw new CommandError(UNREADABLE, `--from ${range.from} lies behind --to ${range.to}.`);
  }
  const place = logAt(dir);
  const options = { json: words.json === true, records: words.records === true, range };
  const snaps = options.records || range !== null ? [] : await checkSnaps(place);
  const dumped = new Dump(place, options, snaps);
  const total = place.segments.reduce(
    (sum, { name }) => sum + fs.statSync(`${place.walDir}/${name}`).size,
    0,
  );
  // A terminal that shows the dump shows how far it is, too.
  const progress = process.stdout.isTTY ? null : new ByteProgress(process.stderr, "dumping", total);
  const pieces = function* (): Generator<string, void, void> {
    for (const piece of dumped.text()) {
      progress?.at(dumped.done);
      yield piece;
    }
  };
  try {
    await pipeline(Readable.from(pieces()), process.stdout, { end: false });
  } catch (error) {
    // `| head` has seen enough.
    if (systemCode(error) === "EPIPE") return 0;
    throw error;
  } finally {
    progress?.end();
  }
  const problems = snaps
    .filter(({ error }) => error !== "")
    .map(({ name, error }) => `${name} is damaged: ${error}`);
  if (dumped.problem !== null) problems.push(`${dumped.problem}; the dump ends there`);
  for (const problem of problems)
    process.stderr.write(`raftmark: ${problem}. See raftmark wal verify ${dir}.\n`);
  if (problems.length > 0) return DAMAGED;
  if (dumped.nothing !== null) process.stderr.write(`raftmark: ${dumped.nothing}.\n`);
  return 0;
}

function verifyCommand(): Command {
  return new Command("verify")
    .summary("check every record of a log and every snapshot file beside it")
    .description(
      "Checks every checksum, the chain of segments, metadata, the order of indexes and the .snap files, and says what is " +
        "there. For damage it says where and what it is, what etcd 3.4 answers to the log, what raftmark's engine does with " +
        "it, and what to do. Of a log that is written meanwhile, nothing is said of the newest segment.",
    )
    .argument("<dir>", DIR_HELP)
    .option("-j, --jobs <threads>", "segments checked at the same time (default: one a core)")
    .option(
      "--snap <index:term>",
      "begin at this snapshot (default: the newest that has a sound .snap file, else 0:0)",
    )
    .addHelpText(
      "after",
      `
raftmark is stricter than etcd. Where good records lie behind one that is not whole, etcd's repair cuts them off, and
raftmark's engine refuses to open the log. Bytes behind the end of a log, and committed entries that are missing at its
end, are damage, too.

Examples:
  raftmark wal verify ./data/1
  raftmark wal verify -j 4 /var/lib/etcd/member
  raftmark wal verify ./wal --snap 72:2            its first segments were released after this snapshot
${EXIT_HELP}`,
    )
    .action(async (dir: string, words: { jobs?: string; snap?: string }) => {
      process.exitCode = await readable(dir, async () => {
        const threads =
          words.jobs === undefined
            ? os.availableParallelism()
            : wholeNumber("jobs", words.jobs, 1, THREADS_MAX);
        const snap = words.snap === undefined ? null : snapOf(words.snap);
        const place = findLog(dir);
        if (place.segments.length === 0 && place.snaps.length === 0) throw noLog(place.walDir);
        const verdict = await verifyLog(place, { threads, snap }, process.stderr);
        process.stdout.write(verdictText(verdict));
        if (!verdict.sound) return DAMAGED;
        if (place.segments.length === 0) throw noLog(place.walDir);
        return 0;
      });
    });
}

function repairCommand(): Command {
  return new Command("repair")
    .summary("cut what a crash left torn at the end of a log, keeping a copy")
    .description(
      "Does what etcd's Repair does: if the newest segment ends in a write that a crash tore, the segment is copied to " +
        "NAME.wal.broken and cut behind its last good record. Says what was lost. Anything else that is wrong is left as it is. " +
        "raftmark's engine does this by itself when it opens a log. Where acknowledged records may lie behind the damage, " +
        "neither does, though etcd would.",
    )
    .argument("<dir>", DIR_HELP)
    .addHelpText(
      "after",
      `
Examples:
  raftmark wal repair ./data/1
  raftmark wal verify ./data/1                     before and after
${EXIT_HELP} 1 also where there
is damage that a repair would not mend: then nothing was changed.`,
    )
    .action(async (dir: string) => {
      process.exitCode = await readable(dir, async () => {
        logAt(dir);
        const { text, exitCode } = await repairLog(dir, os.availableParallelism(), process.stderr);
        process.stdout.write(text);
        return exitCode;
      });
    });
}

const NOT_OWNED = "; run as the user that owns it";
const HINTS: ReadonlyMap<string, string> = new Map([
  ["EACCES", NOT_OWNED],
  ["EPERM", NOT_OWNED],
  ["EROFS", "; its lock cannot be written: work on a copy elsewhere"],
]);

/** Errors of the system and of the log's own code as sentences with exit code 2. */
async function readable(dir: string, work: () => Promise<number>): Promise<number> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof CommandError) throw error;
    if (error instanceof RaftmarkError) throw new CommandError(UNREADABLE, `${error.message}.`, error);
    const code = systemCode(error);
    if (code === "") throw error;
    const what = (error as Error).message;
    const hint = HINTS.get(code) ?? "";
    throw new CommandError(UNREADABLE, `cannot work on ${dir} (${what})${hint}.`, error);
  }
}

function logAt(dir: string): LogPlace {
  const place = findLog(dir);
  if (place.segments.length === 0) throw noLog(place.walDir);
  return place;
}

function noLog(dir: string): CommandError {
  return new CommandError(
    UNREADABLE,
    `there is no log in ${dir}: no file there is named like a segment (etcd: wal: file not found).`,
  );
}

function uint64(flag: string, text: string): bigint {
  if (/^\d{1,20}$/.test(text) && BigInt(text) <= UINT64_MAX) return BigInt(text);
  throw new CommandError(
    UNREADABLE,
    `--${flag}: "${text}" is not allowed: it takes a whole number from 0 to ${UINT64_MAX}.`,
  );
}

function snapOf(text: string): EtcdSnapshotId {
  const [index, term, ...more] = text.split(":");
  if (term !== undefined && more.length === 0)
    return { index: uint64("snap", index), term: uint64("snap", term) };
  throw new CommandError(UNREADABLE, `--snap: "${text}" is not allowed: it takes INDEX:TERM, like 72:2.`);
}
