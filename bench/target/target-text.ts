// What a load on a running cluster found, in words and units. Pure.
import Table from "cli-table3";
import { grouped, plural, short } from "../report/numbers.js";
import type { Paint } from "../report/table.js";
import type { Percentiles, TargetResult, TargetRun } from "./run-target.js";

interface Column {
  readonly title: string;
  readonly cell: (run: TargetRun) => string;
}

const ms = (of: Percentiles | null, name: keyof Percentiles): string => (of === null ? "-" : short(of[name]));

function columnsOf(runs: readonly TargetRun[]): Column[] {
  const reads = runs.some(({ readsPerWrite }) => readsPerWrite > 0);
  return [
    { title: "in flight", cell: ({ inFlight }) => grouped(inFlight) },
    { title: "bytes", cell: ({ valueBytes }) => grouped(valueBytes) },
    ...(reads ? [{ title: "reads/write", cell: (run: TargetRun) => String(run.readsPerWrite) }] : []),
    { title: "writes/s", cell: ({ writesPerS }) => grouped(writesPerS) },
    { title: "p50 ms", cell: ({ writeMs }) => ms(writeMs, "p50") },
    { title: "p99 ms", cell: ({ writeMs }) => ms(writeMs, "p99") },
    { title: "p99.9 ms", cell: ({ writeMs }) => ms(writeMs, "p99_9") },
    { title: "max ms", cell: ({ writeMs }) => ms(writeMs, "max") },
    ...(reads
      ? [
          { title: "reads/s", cell: (run: TargetRun) => grouped(run.readsPerS) },
          { title: "read p50 ms", cell: (run: TargetRun) => ms(run.readMs, "p50") },
          { title: "read p99 ms", cell: (run: TargetRun) => ms(run.readMs, "p99") },
        ]
      : []),
    { title: "asked again", cell: ({ again }) => grouped(again) },
  ];
}

/** A table, then what was checked and what was said besides. */
export function targetText(result: TargetResult, paint: Paint): string {
  const { runs } = result;
  const columns = columnsOf(runs);
  const table = new Table({
    head: columns.map(({ title }) => title),
    colAligns: columns.map(() => "right"),
    style: { head: [], border: [], compact: true },
  });
  for (const run of runs) table.push(columns.map(({ cell }) => cell(run)));
  const lines = [table.toString(), ...runs.flatMap((run) => aside(run)), answerOf(runs)];
  const lost = runs.flatMap(({ findings }) => findings);
  for (const finding of lost) lines.push(paint.red(`NOT AS ACKNOWLEDGED: ${finding}`));
  for (const one of runs.flatMap(({ unread }) => unread)) lines.push(paint.red(`NOT CHECKED: ${one}`));
  lines.push(checkedText(runs));
  return `${lines.join("\n")}\n`;
}

/** "1,240 writes/s with a p99 of 12.1 ms, at 64 in flight": the most that was seen. */
function answerOf(runs: readonly TargetRun[]): string {
  const best = runs.reduce((a, b) => (b.writesPerS > a.writesPerS ? b : a));
  if (best.writeMs === null) return "\nNo write was acknowledged in the window.";
  const at = `${grouped(best.inFlight)} in flight, ${best.valueBytes} B each, from ${plural(best.clients, "client process", "client processes")}`;
  return `\nSeen: ${grouped(best.writesPerS)} writes/s with a p99 of ${short(best.writeMs.p99)} ms, at ${at}.`;
}

function aside(run: TargetRun): string[] {
  const where = `${run.inFlight} in flight`;
  const counts = (of: Readonly<Record<string, number>>) =>
    Object.entries(of)
      .sort((a, b) => b[1] - a[1])
      .map(([what, count]) => `${grouped(count)}× ${what}`)
      .join(", ");
  return [
    ...(run.elections > 0 ? [`${where}: the term rose by ${run.elections} meanwhile`] : []),
    ...(run.again > 0
      ? [`${where}: ${grouped(run.again)} requests were tried again: ${counts(run.said)}`]
      : []),
    ...(Object.keys(run.failed).length > 0 ? [`${where}: without an outcome: ${counts(run.failed)}`] : []),
    ...(run.gaveUp > 0
      ? [`${where}: ${run.gaveUp} of the callers gave up, so that fewer were in flight from then on`]
      : []),
  ];
}

function checkedText(runs: readonly TargetRun[]): string {
  const sum = (of: (run: TargetRun) => number) => runs.reduce((so, run) => so + of(run), 0);
  const [keys, acknowledged] = [sum(({ keysChecked }) => keysChecked), sum((run) => run.acknowledged)];
  const left = sum(({ inFlight }) => inFlight) - keys;
  const what = `${grouped(acknowledged)} acknowledged writes to ${grouped(keys + left)} keys`;
  const read = left === 0 ? "read back" : `of which ${grouped(keys)} were read back`;
  const found = sum(({ findings }) => findings.length) > 0 || keys === 0;
  const all = left === 0 ? "every key" : "each of those";
  return found
    ? `Checked: ${what}, ${read}.`
    : `Checked: ${what}, ${read}: ${all} has what was acknowledged last.`;
}
