// The tables of `raftmark bench wal`. Pure.
import Table from "cli-table3";
import { max, median, min } from "simple-statistics";
import { grouped, short } from "../report/numbers.js";
import type { Paint } from "../report/table.js";
import { POLLING_US, type WalBenchResult } from "./run.js";

/** Text for the terminal. */
export function renderWalBench(result: WalBenchResult, paint: Paint): string {
  const { plan, recovery } = result;
  const parts = [
    paint.bold(`Entries of ${plan.bytes} B into the log, no replication`),
    table(
      paint,
      [
        "place",
        "durability",
        "a batch",
        "writer",
        "appends",
        "entries/s",
        "MB/s",
        "goraft entries/s",
        "ratio",
      ],
      result.appends.map((row) => [
        row.place,
        row.durability,
        String(row.batch),
        writerText(row),
        row.inFlight === 1 ? "one at a time" : `pipelined, ${row.inFlight} in flight`,
        spread(row.entriesPerS, grouped),
        short((median(row.entriesPerS) * plan.bytes) / 1e6),
        row.peerEntriesPerS.length === 0 ? "-" : spread(row.peerEntriesPerS, grouped),
        ratio(row.entriesPerS, row.peerEntriesPerS),
      ]),
    ),
    paint.bold("One durable append in flight, against a bare loop of durable writes in a worker thread"),
    table(
      paint,
      ["writer", "bytes a write", "appends/s", "bare writes/s", "ratio"],
      result.loops.map((row) => [
        writerText(row),
        String(row.bytes),
        spread(row.appendsPerS, grouped),
        spread(row.writesPerS, grouped),
        ratio(row.appendsPerS, row.writesPerS),
      ]),
    ),
    ...(recovery === null ? [] : recoveryParts(recovery, paint)),
    ...(result.interrupted ? [INTERRUPTED] : []),
    ...result.skipped.map((text) => `skipped: ${text}`),
    NOTES,
  ];
  return `${parts.join("\n")}\n`;
}

const INTERRUPTED = "Interrupted: what was measured before is here, the rest is not.";

function recoveryParts(recovery: NonNullable<WalBenchResult["recovery"]>, paint: Paint): string[] {
  return [
    paint.bold(
      `Opening a log of ${short(recovery.logBytes / 1e6)} MB, ${grouped(recovery.entries)} entries, every record verified`,
    ),
    table(
      paint,
      ["threads", "GB/s", "event-loop delay p99 ms", "max ms", "p99 ms when idle"],
      recovery.rows.map((row) => [
        String(row.threads),
        spread(row.gbPerS, short),
        spread(row.loopDelayP99Ms, short),
        spread(row.loopDelayMaxMs, short),
        spread(row.idleP99Ms, short),
      ]),
    ),
  ];
}

const NOTES = `Figures are medians of the pairs, with their range; ratios are of each pair. goraft saves one batch after another.
Polling: both threads of the log look for news for up to ${POLLING_US / 1000} ms before they sleep (busyPollUs).
The log was in the page cache when it was opened. The event-loop delay is how late a timer of 1 ms was.`;

function writerText({ writer, busyPollUs }: { writer: string; busyPollUs: number }): string {
  return busyPollUs > 0 ? `${writer}, polling` : writer;
}

function table(paint: Paint, head: readonly string[], rows: readonly string[][]): string {
  const made = new Table({
    head: head.map((text) => paint.bold(text)),
    style: { head: [], border: [], compact: true },
  });
  made.push(...rows);
  return made.toString();
}

/** "1.05 (0.98-1.11)" */
function spread(values: readonly number[], show: (value: number) => string): string {
  const list = [...values];
  if (list.length === 1) return show(list[0]);
  return `${show(median(list))} (${show(min(list))}-${show(max(list))})`;
}

function ratio(ours: readonly number[], theirs: readonly number[]): string {
  if (theirs.length === 0) return "-";
  // Of the last pair one may be missing, where it was interrupted.
  const ratios = ours.slice(0, theirs.length).map((value, pair) => value / theirs[pair]);
  return spread(ratios, (value) => value.toFixed(2));
}
