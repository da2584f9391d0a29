// The data of the table of peers, and the table. Pure.
import { median, medianSorted } from "simple-statistics";
import { z } from "zod";
import { markdownTable } from "../report/markdown.js";
import { grouped, short } from "../report/numbers.js";

const Figures = z.object({
  perS: z.number(),
  p50Us: z.number(),
  p99Us: z.number(),
  cpuUsPerCommit: z
    .number()
    .nullable()
    .describe("of all processes, the load's work included; null: not measured"),
});
export type Figures = z.output<typeof Figures>;

const PeerRow = z.object({
  entryBytes: z.number(),
  inFlight: z.number(),
  raftmark: z
    .array(z.object({ node: z.string().describe("version of Node.js"), runs: z.array(Figures) }))
    .describe("runs: one a pair, in order"),
  goraft: z.array(Figures).describe("one a pair; every Node.js is held against the same"),
});
export type PeerRow = z.output<typeof PeerRow>;

/** results/peers.json. */
export const Peers = z.object({
  startedAt: z.string(),
  finishedAt: z.string(),
  command: z.string(),
  commit: z.string().nullable(),
  dirty: z.boolean().nullable(),
  machine: z.object({
    cpu: z.string(),
    cores: z.number(),
    kernel: z.string(),
    fileSystem: z.string(),
  }),
  seconds: z.number(),
  warmup: z.number().default(1).describe("seconds before those, of raftmark and goraft alike"),
  pairs: z.number(),
  rows: z.array(PeerRow),
  etcd: z
    .array(Figures.omit({ cpuUsPerCommit: true }).extend({ entryBytes: z.number(), clients: z.number() }))
    .describe("puts of a real etcd: different work"),
});
export type Peers = z.output<typeof Peers>;

export interface Ratio {
  readonly median: number;
  readonly low: number;
  readonly high: number;
}

/** Median, lowest and highest of the ratios raftmark / goraft, pair by pair. */
export function ratios(
  raftmark: readonly Figures[],
  goraft: readonly Figures[],
  name: "perS" | "p50Us",
): Ratio {
  const each = raftmark.map((ours, pair) => ours[name] / goraft[pair]![name]).sort((a, b) => a - b);
  return { median: medianSorted(each), low: each[0]!, high: each[each.length - 1]! };
}

/** `peers` as Markdown: the table, and what it was made with. */
export function peersMarkdown(peers: Peers): string {
  const { machine, commit, dirty, startedAt, finishedAt } = peers;
  const build = commit === null ? "" : `, commit ${commit.slice(0, 10)}${dirty === true ? "+" : ""}`;
  const when = `${startedAt.slice(0, 10)}, ${startedAt.slice(11, 16)} to ${finishedAt.slice(11, 16)} UTC`;
  const how = `${peers.seconds} s a run after ${peers.warmup} s of warm-up, ${peers.pairs} pairs a row, alternating; ${when}${build}`;
  const where = `${machine.cpu}, ${machine.cores} cores, ${machine.kernel}; ${machine.fileSystem}`;
  return `${table(peers)}\n\n${how}: ${where}.\n`;
}

const TITLES = [
  "bytes",
  "in flight",
  "Node.js",
  "raftmark/s",
  "goraft/s",
  "ratio: median (range)",
  "p50 ms: raftmark, goraft",
  "p50 ratio",
  "p99 ms: raftmark, goraft",
  "CPU µs/commit: raftmark, goraft",
];

/** Medians of the runs, and of the ratios; etcd's puts where there are any. */
function table(peers: Peers): string {
  const titles = peers.etcd.length === 0 ? TITLES : [...TITLES, "etcd puts/s (different work)"];
  const lines = [titles, titles.map(() => "---:")];
  for (const row of peers.rows) {
    const { entryBytes, inFlight, goraft } = row;
    const puts = peers.etcd.find((etcd) => etcd.entryBytes === entryBytes && etcd.clients === inFlight);
    for (const { node, runs } of row.raftmark) {
      const cells = [
        grouped(entryBytes),
        grouped(inFlight),
        node.replace(/^v/, ""),
        ...figureCells(runs, goraft),
      ];
      if (peers.etcd.length > 0) cells.push(puts === undefined ? "" : grouped(puts.perS));
      lines.push(cells);
    }
  }
  return markdownTable(lines);
}

function figureCells(raftmark: readonly Figures[], goraft: readonly Figures[]): string[] {
  const { median: ratio, low, high } = ratios(raftmark, goraft, "perS");
  const both = (name: "p50Us" | "p99Us") =>
    `${short(middle(raftmark, name) / 1000)}, ${short(middle(goraft, name) / 1000)}`;
  return [
    grouped(middle(raftmark, "perS")),
    grouped(middle(goraft, "perS")),
    `${ratio.toFixed(2)} (${low.toFixed(2)} to ${high.toFixed(2)})`,
    both("p50Us"),
    ratios(raftmark, goraft, "p50Us").median.toFixed(2),
    both("p99Us"),
    `${cpuText(raftmark)}, ${cpuText(goraft)}`,
  ];
}

function cpuText(figures: readonly Figures[]): string {
  const told = figures.map(({ cpuUsPerCommit }) => cpuUsPerCommit).filter((us) => us !== null);
  return told.length === 0 ? "–" : short(median(told));
}

function middle(figures: readonly Figures[], name: "perS" | "p50Us" | "p99Us"): number {
  return median(figures.map((each) => each[name]));
}
