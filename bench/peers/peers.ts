// The data of the table of peers, and the table. Pure.
import { median, medianSorted } from "simple-statistics";
import { z } from "zod";
import { grouped, short } from "../report/numbers.js";

const Figures = z.object({ perS: z.number(), p50Us: z.number(), p99Us: z.number() });
export type Figures = z.output<typeof Figures>;

const PeerRow = z.object({
  inFlight: z.number(),
  raftmark: z.array(Figures).describe("one a pair, in order"),
  goraft: z.array(Figures),
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
    node: z.string(),
    fileSystem: z.string(),
  }),
  entryBytes: z.number(),
  seconds: z.number(),
  pairs: z.number(),
  rows: z.array(PeerRow),
  etcd: z.array(Figures.extend({ clients: z.number() })).describe("puts of a real etcd: different work"),
});
export type Peers = z.output<typeof Peers>;

/** Median, lowest and highest of the ratios raftmark / goraft, pair by pair. */
export function ratios(row: PeerRow): { median: number; low: number; high: number } {
  const each = row.raftmark.map(({ perS }, pair) => perS / row.goraft[pair].perS).sort((a, b) => a - b);
  return { median: medianSorted(each), low: each[0], high: each[each.length - 1] };
}

/** `peers` as Markdown: the table, and what it was made with. */
export function peersMarkdown(peers: Peers): string {
  const { machine, commit, dirty, startedAt, finishedAt } = peers;
  const build = commit === null ? "" : `, commit ${commit.slice(0, 10)}${dirty === true ? "+" : ""}`;
  const when = `${startedAt.slice(0, 10)}, ${startedAt.slice(11, 16)} to ${finishedAt.slice(11, 16)} UTC`;
  const how = `${peers.entryBytes} bytes, ${peers.seconds} s a run, ${peers.pairs} pairs a row, alternating; ${when}${build}`;
  const where = `${machine.cpu}, ${machine.cores} cores, ${machine.kernel}, Node ${machine.node}; ${machine.fileSystem}`;
  return `${table(peers)}\n\n${how}: ${where}.\n`;
}

/** Medians of the runs, and of the ratios. */
function table(peers: Peers): string {
  const lines = [
    "| in flight | raftmark/s | goraft/s | ratio: median (range) | p50 ms: raftmark, goraft | p99 ms: raftmark, goraft | etcd puts/s (different work) |",
    "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
  ];
  for (const row of peers.rows) {
    const { median: ratio, low, high } = ratios(row);
    const etcd = peers.etcd.find(({ clients }) => clients === row.inFlight);
    const cells = [
      grouped(row.inFlight),
      grouped(middle(row.raftmark, "perS")),
      grouped(middle(row.goraft, "perS")),
      `${ratio.toFixed(2)} (${low.toFixed(2)} to ${high.toFixed(2)})`,
      ...(["p50Us", "p99Us"] as const).map(
        (name) => `${short(middle(row.raftmark, name) / 1000)}, ${short(middle(row.goraft, name) / 1000)}`,
      ),
      etcd === undefined ? "" : grouped(etcd.perS),
    ];
    lines.push(`| ${cells.join(" | ")} |`);
  }
  return lines.join("\n");
}

function middle(figures: readonly Figures[], name: keyof Figures): number {
  return median(figures.map((each) => each[name]));
}
