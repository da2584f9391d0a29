// The four figures that answer a scenario's question, each with the configuration it is of. Pure.
import { isCounted, leastOf } from "../../stats/rows.js";
import { entriesPerFsync, type Subject, subjectOf } from "../columns.js";
import { refusedShare, shareText, standUpTo } from "../kept-up.js";
import { lostOf, measureOf, measureTitle, medianOf } from "../measures.js";
import { grouped, short } from "../numbers.js";
import { swatch } from "./bars.js";
import { type Html, html, NOTHING } from "./html.js";
import type { Config, Model } from "./model.js";

interface Tile {
  readonly title: string;
  readonly value: string;
  readonly unit: string;
  /** Null: of all of them. */
  readonly of: Config | null;
}

export function tiles(model: Model): Html {
  const valid = model.configs.filter(({ row }) => isCounted(row));
  if (valid.length === 0) return NOTHING;
  const shown = TILES[subjectOf(valid.map(({ row }) => row))](valid);
  const texts = shown.map(({ title, value, unit, of }) => {
    const name = of === null ? NOTHING : html`<span class="of">${swatch(of)}${of.label}</span>`;
    return html`<li><span>${title}</span><strong>${value} <small>${unit}</small></strong>${name}</li>`;
  });
  return html`<ul class="tiles">${texts}</ul>`;
}

const TILES: { readonly [K in Subject]: (configs: readonly Config[]) => Tile[] } = {
  throughput: (configs) => {
    const slowed = configs.filter(({ row }) => row.settings.followerDelayMs > 0);
    if (slowed.length > 0 && slowed.length < configs.length) return commits(configs);
    const shared = leastOf(configs, (config) => -(entriesPerFsync(config.row) ?? 0));
    return [
      mostThroughput(configs),
      ...latency(configs),
      {
        title: "most shared fsync",
        value: short(entriesPerFsync(shared.row) ?? 0),
        unit: "entries each",
        of: shared,
      },
      ...measured(configs, "readP50Ms"),
    ];
  },
  "offered load": (configs) => {
    const { fine, over } = standUpTo(configs.map(({ row }) => row));
    const configOf = (row: Config["row"]) => configs.find((config) => config.row === row)!;
    const refused = over === undefined ? [] : refusals(configOf(over));
    if (fine.length === 0) return [mostThroughput(configs), ...latency(configs), ...refused];
    const highest = configOf(fine[fine.length - 1]);
    const at = (name: "p50" | "p99") => short(highest.row.latencyMs?.[name] ?? 0);
    return [
      {
        title: "highest load kept up with",
        value: grouped(highest.row.settings.rate),
        unit: "offered/s",
        of: highest,
      },
      { title: "median there", value: at("p50"), unit: "ms", of: highest },
      { title: "p99 there", value: at("p99"), unit: "ms", of: highest },
      ...refused,
    ];
  },
  "leader lost": (configs) => [
    ...measured(configs, "newLeaderMs", "firstCommitMs", "outageMs"),
    lost(configs),
  ],
  "follower paused": (configs) => [
    ...measured(configs, "catchUpMs", "rateWhilePaused"),
    ...configs.slice(0, 2).map(
      (config): Tile => ({
        title: "slowest commit",
        value: short(config.row.latencyMs?.max ?? 0),
        unit: "ms",
        of: config,
      }),
    ),
  ],
  "catching up": (configs) =>
    measured(configs, "catchUpMs", "catchUpMBPerS", "rateWhileCatchingUp", "behindMB"),
  "member replaced": (configs) =>
    measured(configs, "catchUpMs", "changeMs", "rateMeanwhile", "p99MeanwhileMs"),
  snapshots: (configs) =>
    measured(configs, "rateMeanwhile", "p99MeanwhileMs", "p99OtherwiseMs", "snapshotMBPerS"),
  restart: (configs) => measured(configs, "openMs", "openGBPerS", "caughtUpMs"),
};

/** Why a load was not kept up with whose latencies may look well: they are those of the rest. */
function refusals(config: Config): Tile[] {
  const share = refusedShare(config.row);
  if (share === 0) return [];
  return [{ title: "refused", value: shareText(share), unit: "% of what came due", of: config }];
}

function mostThroughput(configs: readonly Config[]): Tile {
  const fastest = leastOf(configs, ({ row }) => -(row.proposalsPerS?.estimate ?? 0));
  const value = grouped(fastest.row.proposalsPerS?.estimate ?? 0);
  return { title: "most throughput", value, unit: "proposals/s", of: fastest };
}

function latency(configs: readonly Config[]): Tile[] {
  return (["p50", "p99"] as const).map((name) => {
    const of = leastOf(configs, ({ row }) => row.latencyMs?.[name] ?? 0);
    const title = name === "p50" ? "lowest median" : "lowest p99";
    return { title, value: short(of.row.latencyMs?.[name] ?? 0), unit: "ms", of };
  });
}

/** What a slow disk does to a commit: the question's own figures, a tile a configuration. */
function commits(configs: readonly Config[]): Tile[] {
  return configs.slice(0, 4).map((config) => ({
    title: "median commit",
    value: short(config.row.latencyMs?.p50 ?? 0),
    unit: `ms, p99 ${short(config.row.latencyMs?.p99 ?? 0)}`,
    of: config,
  }));
}

/** The best of each measure; nothing where none has it. */
function measured(configs: readonly Config[], ...names: readonly string[]): Tile[] {
  return names.flatMap((name) => bestOf(configs, name));
}

function bestOf(configs: readonly Config[], name: string): Tile[] {
  const having = configs.filter(({ row }) => measureOf(row, name) !== null);
  if (having.length === 0) return [];
  const higher = having[0].row.runs.some(({ measures }) => measures[name]?.better === "higher");
  const value = ({ row }: Config) => medianOf(row, name);
  const best = leastOf(having, (config) => (higher ? -value(config) : value(config)));
  const { median, unit } = measureOf(best.row, name)!;
  return [{ title: measureTitle(name), value: short(median), unit, of: best }];
}

function lost(configs: readonly Config[]): Tile {
  const rows = configs.map(({ row }) => row);
  const acknowledged = rows.flatMap(({ runs }) => runs).reduce((sum, run) => sum + run.acknowledged, 0);
  return {
    title: "acknowledged and lost",
    value: grouped(lostOf(rows)),
    unit: `of ${grouped(acknowledged)} proposals`,
    of: null,
  };
}
