// The columns of a result's table, for terminal, Markdown and page alike: each scenario's own. An event is told by what
// it took, an open loop by what of its load was done, the rest by throughput. Heading and cell stand together, so that
// no table can have one over another's. Pure.
import { mean } from "simple-statistics";
import type { Settings } from "../harness/axes.js";
import { cpuUsPerCommit, type Row, validRuns } from "../stats/rows.js";
import { measureNames, measureOf, measureTitle, rangeText } from "./measures.js";
import { grouped, short, times } from "./numbers.js";
import type { Run } from "./result-schema.js";
import { roundsOf } from "./standings.js";

export interface Column {
  readonly title: string;
  /** "-" where the row has no such figure. `base` is the first row of the table. */
  readonly cell: (row: Row, base: Row) => string;
}

/** What a table with such an event is about; of several the first. */
const SUBJECT_OF = {
  "kill-leader": "leader lost",
  restart: "restart",
  "catch-up": "catching up",
  "replace-member": "member replaced",
  snapshots: "snapshots",
  "pause-follower": "follower paused",
} as const satisfies { readonly [K in Exclude<Settings["event"], "none">]: string };
const EVENTS = Object.keys(SUBJECT_OF) as (keyof typeof SUBJECT_OF)[];

/** What a table is about, which decides its columns, tiles and words. */
export type Subject = "throughput" | "offered load" | (typeof SUBJECT_OF)[keyof typeof SUBJECT_OF];

export function subjectOf(rows: readonly Pick<Row, "settings">[]): Subject {
  const befallen = EVENTS.find((event) => rows.some(({ settings }) => settings.event === event));
  if (befallen !== undefined) return SUBJECT_OF[befallen];
  return rows.length > 0 && rows.every(({ settings }) => settings.rate > 0) ? "offered load" : "throughput";
}

/** Without those that name the row. With several rounds, figures have their interval beside them. */
export function columnsOf(rows: readonly Row[], severalRounds: boolean): Column[] {
  const measures = measureNames(rows.flatMap(({ runs }) => runs)).map((name) => measureColumn(rows, name));
  const rate = severalRounds ? [RATE, INTERVAL] : [RATE];
  switch (subjectOf(rows)) {
    case "leader lost":
      return [...measures, { ...RATE, title: "proposals/s, outage included" }, ...latency("p50", "max")];
    case "restart":
      return measures;
    case "catching up":
    case "member replaced":
    case "snapshots":
      return [...measures, ...rate, ...latency("p50", "p99", "max")];
    case "follower paused":
      return [...rate, ...latency("p50", "p99", "p99_9", "max"), ...measures];
    case "offered load":
      return [...rate, DONE_OF_DUE, ...latency("p50", "p99", "p99_9", "max"), REFUSED, ...measures];
    case "throughput":
      return [
        ...rate,
        BYTES,
        ...latency("p50", "p99", "p99_9", "max"),
        FSYNCS,
        SHARED,
        CPU,
        RATIO,
        ...measures,
      ];
  }
}

const RATE: Column = {
  title: "proposals/s",
  cell: ({ proposalsPerS }) => (proposalsPerS === null ? "-" : grouped(proposalsPerS.estimate)),
};
const INTERVAL: Column = {
  title: "interval",
  cell: ({ proposalsPerS: rate, runs }) => {
    if (rate !== null && rate.high > rate.low) return `${grouped(rate.low)}–${grouped(rate.high)}`;
    return rate !== null && validRuns(runs).length === 1 && runs.length > 1
      ? `1 of ${runs.length} rounds`
      : "-";
  },
};
const BYTES: Column = {
  title: "MB/s",
  cell: ({ proposalsPerS, settings }) => short(((proposalsPerS?.estimate ?? 0) * settings.entryBytes) / 1e6),
};
const FSYNCS: Column = {
  title: "fsyncs/s",
  cell: ({ runs }) => {
    const valid = validRuns(runs);
    // A leader that was killed told nothing of its disk; nor does an engine that does not count it.
    const told = ({ nodes }: Run) =>
      nodes.some(({ leader, counters }) => leader && counters.walSyncs !== undefined);
    if (!valid.every(told)) return "-";
    return grouped(total(valid, (run) => run.fsyncs) / (total(valid, (run) => run.windowMs) / 1000));
  },
};
const SHARED: Column = {
  title: "entries/fsync",
  cell: (row) => {
    const shared = entriesPerFsync(row);
    return shared === null ? "-" : short(shared);
  },
};
const CPU: Column = {
  title: "CPU µs/commit",
  cell: ({ runs }) => {
    const us = cpuUsPerCommit(validRuns(runs));
    return us > 0 ? short(us) : "-";
  },
};
/** As the sentences under the table have it, so that one row's by another's is what they say of the two. */
const RATIO: Column = {
  title: "× first row",
  cell: (row, base) => {
    const first = roundsOf(base);
    const logs = [...roundsOf(row)].flatMap(([round, log]) => {
      const other = first.get(round);
      return other === undefined ? [] : [log - other];
    });
    return logs.length === 0 ? "-" : times(Math.exp(mean(logs)));
  },
};
const DONE_OF_DUE: Column = {
  title: "done of what was due",
  cell: ({ runs }) => {
    const valid = validRuns(runs);
    const due = total(valid, ({ load }) => load.due ?? 0);
    return due === 0 ? "-" : `${short((100 * total(valid, ({ done }) => done)) / due)} %`;
  },
};
const REFUSED: Column = {
  title: "refused",
  cell: ({ runs }) =>
    grouped(total(validRuns(runs), ({ failed }) => Object.values(failed).reduce((a, b) => a + b, 0))),
};

/** How many of so many samples lie above one: with less than one, a percentile is the maximum by another name. */
const ABOVE = { p50: 1 / 2, p99: 1 / 100, p99_9: 1 / 1000, max: 1 } as const;
const LATENCY = { p50: "p50 ms", p99: "p99 ms", p99_9: "p99.9 ms", max: "max ms" } as const;

function latency(...names: readonly (keyof typeof LATENCY)[]): Column[] {
  return names.map((name) => ({
    title: LATENCY[name],
    cell: ({ latencyMs, runs }) => {
      const samples = total(validRuns(runs), ({ done }) => done);
      return latencyMs === null || samples * ABOVE[name] < 1 ? "-" : short(latencyMs[name]);
    },
  }));
}

/** The unit stands in the heading; rows that were not asked for it have none. */
function measureColumn(rows: readonly Row[], name: string): Column {
  const unit = rows.flatMap((row) => measureOf(row, name)?.unit ?? [])[0] ?? "";
  return {
    title: `${measureTitle(name)}${unit === "" ? "" : `, ${unit}`}`,
    cell: (row) => {
      const figure = measureOf(row, name);
      return figure === null ? "-" : rangeText(figure);
    },
  };
}

/** Entries that shared a durable write of the leader's log, over all rounds; null: it made none, or did not count them. */
export function entriesPerFsync({ runs }: Pick<Row, "runs">): number | null {
  const valid = validRuns(runs);
  if (valid.some((run) => run.fsyncs > 0 && run.entriesPerFsync === null)) return null;
  const fsyncs = total(valid, (run) => run.fsyncs);
  const entries = total(valid, (run) => (run.entriesPerFsync ?? 0) * run.fsyncs);
  return fsyncs === 0 ? null : entries / fsyncs;
}

function total(runs: readonly Run[], of: (run: Run) => number): number {
  return runs.reduce((sum, run) => sum + of(run), 0);
}
