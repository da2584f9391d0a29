// The tables of the page: key figures, percentiles, stages, cost per commit, processes and threads, checks, environment.
// Each scrolls inside its own box. Pure.

import { takenText } from "../../harness/disturbance.js";
import { validRuns } from "../../stats/rows.js";
import { columnsOf } from "../columns.js";
import { lagText, worstLagText } from "../generator-lag.js";
import { measureNames, measureOf, measureTitle } from "../measures.js";
import { diskNameText, nodeText } from "../node-text.js";
import { grouped, percent, plural, short } from "../numbers.js";
import { ownWeightText } from "../own-weight.js";
import type { Result, Run } from "../result-schema.js";
import { swatch } from "./bars.js";
import { distributionOf } from "./charts.js";
import { type Html, html, NOTHING } from "./html.js";
import type { Config, Model } from "./model.js";

type Cell = Html | string;
type Stage = NonNullable<Run["waterfall"]>["stages"][number];

/** The first column names the row. `title` is read to those who cannot see where the table stands. */
export function table(title: string, head: readonly string[], rows: readonly (readonly Cell[])[]): Html {
  const columns = head.map((text) => html`<th scope="col">${text}</th>`);
  const body = rows.map(
    ([name, ...cells]) =>
      html`<tr><th scope="row">${name}</th>${cells.map((cell) => html`<td>${cell}</td>`)}</tr>`,
  );
  return html`<div class="scroll" tabindex="0" role="region" aria-label="${title}"><table>
    <caption class="unseen">${title}</caption>
    <thead><tr>${columns}</tr></thead><tbody>${body}</tbody></table></div>`;
}

/** A table that is opened when wanted. */
export function figures(title: string, body: Html): Html {
  return html`<details><summary>${title}</summary>${body}</details>`;
}

function named(config: Config): Html {
  return html`${swatch(config)}${config.label}`;
}

const VOID = html`<b class="void-mark">✕ void</b>`;

/** The figures of the terminal's table, of the same columns, and how many of the rounds count. */
export function keyTable(model: Model): Html {
  const columns = columnsOf(
    model.configs.map(({ row }) => row),
    model.configs.some(({ row }) => row.runs.length > 1),
  );
  const head = ["configuration", ...columns.map(({ title }) => title), "rounds"];
  const rows = model.configs.map((config): Cell[] => {
    const { runs, proposalsPerS } = config.row;
    if (proposalsPerS === null) return voidRow(config, head.length);
    const base = model.configs.find(({ source }) => source === config.source) ?? config;
    const counted = validRuns(runs).length;
    return [
      named(config),
      ...columns.map(({ cell }) => cell(config.row, base.row).replace(/^-$/, "–")),
      counted === runs.length ? String(runs.length) : `${counted} of ${runs.length}`,
    ];
  });
  return table("Key figures of every configuration", head, rows);
}

function voidRow(config: Config, columns: number): Cell[] {
  return [named(config), VOID, ...Array.from({ length: columns - 2 }, () => "–")];
}

const PERCENTILES = [50, 75, 90, 95, 99, 99.9, 99.99];

export function percentileTable(model: Model): Html {
  const rows = model.configs.map((config): Cell[] => {
    const distribution = distributionOf(config);
    if (distribution === null) return voidRow(config, PERCENTILES.length + 3);
    const max = config.row.latencyMs?.max ?? distribution.at(100);
    const values = PERCENTILES.map((percentile) => short(distribution.at(percentile)));
    return [named(config), ...values, short(max), grouped(distribution.samples)];
  });
  const head = ["configuration", ...PERCENTILES.map((percentile) => `p${percentile}`), "max", "proposals"];
  return table("Latency percentiles in milliseconds", head, rows);
}

export function waterfallTable(model: Model): Html {
  const rows = model.configs.flatMap((config): Cell[][] => {
    const waterfall = config.typical?.waterfall;
    if (waterfall == null) return [];
    const meaningOf = (name: string) => config.source.result.stages[name] ?? "";
    const line = (name: Html | string, { mean, p50, p90, p99 }: Stage["us"], meaning: string) => [
      named(config),
      name,
      ...[mean, p50, p90, p99].map(short),
      html`<span class="meaning">${meaning}</span>`,
    ];
    const last = `${percent(waterfall.followerLast)} of them became a quorum by a follower’s copy, not the leader’s own`;
    return [
      ...waterfall.stages.map(({ name, us }) => line(name, us, meaningOf(name))),
      line(html`<b>the whole</b>`, waterfall.totalUs, last),
      ...waterfall.beside.map(({ name, us }) =>
        line(name, us, `${meaningOf(name)}; beside the path, not in the sum`),
      ),
    ];
  });
  const head = ["configuration", "stage", "mean µs", "p50 µs", "p90 µs", "p99 µs", "what it is"];
  return table("Stages of a commit in microseconds", head, rows);
}

export function costTable(model: Model): Html {
  const head = [
    "configuration",
    "messages",
    "frames",
    "bytes sent",
    "fsyncs, all logs",
    "fsyncs waited for",
    "bytes logged",
    "bytes allocated",
    "turns",
  ];
  const rows = model.configs.map((config): Cell[] => {
    if (config.typical === null) return voidRow(config, head.length);
    const cost = config.typical.perCommit;
    const values = [cost.messages, cost.frames, cost.sentBytes, cost.fsyncs, cost.fsyncsWaited];
    const more = [cost.walBytes, cost.allocatedBytes, cost.turns];
    return [named(config), ...[...values, ...more].map((value) => (value === null ? "–" : short(value)))];
  });
  return table("Cost of one applied proposal", head, rows);
}

/** What the columns mean that only this scenario has. */
export function meaningsList(model: Model): Html {
  const names = measureNames(model.configs.flatMap(({ row }) => row.runs));
  const items = names.flatMap((name) => {
    const told = model.configs.flatMap(({ row }) => measureOf(row, name) ?? [])[0];
    return told === undefined ? [] : [html`<li><b>${measureTitle(name)}</b>: ${told.meaning}</li>`];
  });
  return items.length === 0 ? NOTHING : html`<ul class="notes">${items}</ul>`;
}

export function threadsTable(model: Model): Html {
  const head = [
    "configuration",
    "node",
    "user",
    "system",
    "main thread",
    "other threads",
    "loop active",
    "loop delay p99 ms",
    "memory MiB",
  ];
  const rows = model.configs.flatMap((config) =>
    (config.typical?.nodes ?? []).map((node): Cell[] => {
      const part = (ms: number) => percent(ms / Math.max(node.windowMs, 1));
      return [
        named(config),
        `${node.id}${node.leader ? ", leader" : ""}`,
        part(node.cpuUserMs),
        part(node.cpuSystemMs),
        node.mainThreadMs === null ? "–" : part(node.mainThreadMs),
        node.otherThreadsMs.length === 0 ? "–" : node.otherThreadsMs.map(part).join(", "),
        percent(node.loopActiveShare),
        `${short(node.loopDelayMs.p99)} (max ${short(node.loopDelayMs.max)})`,
        grouped(node.rssBytes / 2 ** 20),
      ];
    }),
  );
  return table("CPU of every process and thread, as a share of one core", head, rows);
}

/** The runs together: how many count, and the worst of what surrounded them. */
export function runsText(model: Model): string {
  const runs = model.configs.flatMap((config) => config.row.runs);
  const sound = runs.filter(isSound).length;
  const stable = runs.filter(({ warmup }) => warmup.stable).length;
  const others = Math.max(...runs.map(({ otherCpuShare }) => otherCpuShare), 0);
  return (
    `${sound} of ${runs.length} runs passed the check; ${worstLagText(runs)}; other programs took at most ` +
    `${percent(others)} of the CPU; the rate was stable after the warm-up in ${stable} of ${runs.length}.`
  );
}

function isSound(run: Run): boolean {
  return run.truth?.ok === true && run.void.length === 0;
}

/** How sound every run is: what was checked, how late the load generator was, who else used the machine. */
export function runsTable(model: Model): Html {
  const head = [
    "run",
    "round",
    "order",
    "checked on disk",
    "state hash",
    "load generator",
    "late by µs: p50 / p99 / max",
    "other programs",
    "warm-up",
    "refused",
    "load",
    "disturbed by",
  ];
  const rows = model.configs.flatMap((config) =>
    config.row.runs.map((run): Cell[] => {
      const { lagP50Us, lagP99Us, lagMaxUs } = run.generator;
      const { kind, ratePerS, arrivals, from } = run.load;
      const rate =
        ratePerS === null ? "" : `, ${grouped(ratePerS)}/s${arrivals === null ? "" : ` ${arrivals}`}`;
      return [
        named(config),
        String(run.round + 1),
        String(run.sequence + 1),
        isSound(run) ? `✓ ${grouped(run.truth!.ackedChecked)}` : VOID,
        html`<code>${run.stateHash || "–"}</code>`,
        lagText(run),
        [lagP50Us, lagP99Us, lagMaxUs].map(short).join(" / "),
        takenText(run.otherCpuShare, run.stolenCpuShare),
        `${short(run.warmup.ms / 1000)} s, ${run.warmup.stable ? "stable" : "not stable"}`,
        refused(run),
        `${kind} loop${rate}, from the ${from}`,
        run.disturbed.join("; ") || "–",
      ];
    }),
  );
  return table("Every run: its check and its surroundings", head, rows);
}

function refused({ failed }: Run): string {
  const kinds = Object.entries(failed).map(([code, count]) => `${grouped(count)} ${code}`);
  return kinds.length === 0 ? "none" : kinds.join(", ");
}

const ENVIRONMENT: readonly (readonly [string, (result: Result) => string])[] = [
  ["made", ({ startedAt, elapsedMs }) => `${startedAt}, took ${short(elapsedMs / 1000)} s`],
  ["processor", ({ environment }) => `${environment.cpu}, ${environment.cores} cores`],
  ["memory", ({ environment }) => `${short(environment.memoryBytes / 2 ** 30)} GiB`],
  ["load average before", ({ environment }) => short(environment.loadAverage1m)],
  ["kernel", ({ environment }) => environment.kernel],
  ["Node.js", (result) => `${nodeText(result)} (V8 ${result.environment.v8})`],
  ["raftmark", ({ environment }) => `${environment.raftmark}, ${commitOf(environment)}`],
  [
    "file system",
    ({ environment }) => {
      const { mount, options } = environment.fileSystem;
      return `${diskNameText(environment)} at ${mount} (${options})`;
    },
  ],
  ["data in", ({ options }) => options.dir],
  ["link", ({ environment }) => environment.link],
  [
    "disk probe",
    ({ diskProbe: { bytes, p50Us, p99Us, writes, direct } }) =>
      `a durable ${bytes / 1024} KiB write takes ${grouped(p50Us)} µs (p99 ${grouped(p99Us)} µs, ${writes} writes)${direct ? "; the file system takes direct writes" : ""}`,
  ],
  [
    "null run",
    ({ nullRun }) =>
      nullRun === null
        ? "not made"
        : `${grouped(nullRun.proposalsPerS)}/s, p50 ${short(nullRun.p50Us)} µs, p99 ${short(nullRun.p99Us)} µs: the same load on an engine that does nothing`,
  ],
  ["the bench itself", (result) => ownWeightText(result).replace("the bench itself: ", "") || "not weighed"],
  [
    "measured",
    ({ options: { rounds, durationMs, warmupMs } }) =>
      `${plural(rounds, "round")}, ${durationMs / 1000} s each after ${warmupMs / 1000} s of warm-up`,
  ],
  [
    "order",
    ({ options }) =>
      options.order === "random" ? `random, seed ${options.seed}` : `as in the table, seed ${options.seed}`,
  ],
  [
    "axes",
    ({ options }) =>
      Object.entries(options.axes)
        .map(([name, values]) => `${name} ${values.join(", ")}`)
        .join("; "),
  ],
];

function commitOf({ commit, dirty }: Result["environment"]): string {
  if (commit === null) return "installed from a package";
  return `commit ${commit}${dirty === true ? ", with changes that are not committed" : ""}`;
}

/** A column a result. */
export function environmentTable(model: Model): Html {
  const head = ["", ...model.results.map(({ name }) => name)];
  const rows = ENVIRONMENT.map(([name, read]) => [name, ...model.results.map(({ result }) => read(result))]);
  return table("Environment", head, rows);
}
