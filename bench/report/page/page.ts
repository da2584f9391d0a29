// The page itself: sections from the answer down to the environment, with its style, its script and uPlot inside. It
// asks for nothing from outside, and its policy forbids it to. Reads only files of the package.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { PAIRS_MIN } from "../../stats/intervals.js";
import { validRuns } from "../../stats/rows.js";
import { subjectOf } from "../columns.js";
import { glanceOf } from "../glance.js";
import { grouped } from "../numbers.js";
import type { Result } from "../result-schema.js";
import { disturbanceText } from "../verdict.js";
import { cpuBars, groupTitle, lineSample, throughputBars, waterfallBars } from "./bars.js";
import type { Chart, PageData } from "./chart-data.js";
import { dashOf, loadCharts, percentileCharts, timeCharts } from "./charts.js";
import { comparisonTable } from "./comparison.js";
import { type Html, html, jsonFor, NOTHING, toText, verbatim } from "./html.js";
import { type Model, modelOf, type NamedResult } from "./model.js";
import * as tables from "./tables.js";
import { tiles } from "./tiles.js";

/** The whole page as text. The same results give the same page. */
export function renderPage(results: readonly NamedResult[]): string {
  const model = modelOf(results);
  const charts = {
    latency: percentileCharts(model),
    throughput: timeCharts(model, "throughput"),
    p99: timeCharts(model, "p99"),
    load: loadCharts(model),
  };
  const data: PageData = { charts: Object.values(charts).flat() };
  const question = results[0].result.scenario.question;
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<meta name="color-scheme" content="light dark">
<title>${question} – raftmark</title>
<link rel="icon" href="data:,">
<style>${verbatim(`${uplotFile("uPlot.min.css")}\n${clientFile("page.css")}`, "style")}</style>
</head>
<body>
${header(model)}
<main>
${answer(model)}
${keyFigures(model)}
${throughput(model, charts.throughput)}
${latency(model, charts.latency, charts.p99)}
${charts.load.length > 0 ? offeredLoad(charts.load) : NOTHING}
${waterfall(model)}
${cost(model)}
${cpu(model)}
${trust(model)}
${environment(model)}
</main>
<script type="application/json" id="data">${jsonFor(data)}</script>
<script>${verbatim(uplotFile("uPlot.iife.min.js"), "script")}</script>
<script type="module">${verbatim(clientFile("charts.js"), "script")}</script>
</body>
</html>
`;
  return toText(page);
}

const POLICY =
  "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";

function uplotFile(name: string): string {
  return readFileSync(createRequire(import.meta.url).resolve(`uplot/dist/${name}`), "utf8");
}

/** Our own script and style sheet, as the build left them. */
function clientFile(name: string): string {
  const text = readFileSync(new URL(`client/${name}`, import.meta.url), "utf8");
  return text.replace(/^\/\/# sourceMappingURL=.*$/m, "");
}

function header({ results }: Model): Html {
  const [{ result }] = results;
  const made = results.map(
    ({ name, result: { startedAt, environment } }) =>
      html`<li><b>${name}</b> ${startedAt.slice(0, 16).replace("T", " ")} UTC${
        environment.commit === null ? "" : `, commit ${environment.commit.slice(0, 10)}`
      }</li>`,
  );
  return html`<header>
<p class="brand">raftmark <span>scenario ${result.scenario.name}</span></p>
<h1>${result.scenario.question}</h1>
<ul class="made">${made}</ul>
</header>`;
}

function answer(model: Model): Html {
  const several = model.results.length > 1;
  const each = model.results.map(
    (source) => html`${several ? html`<h3>${source.name}</h3>` : NOTHING}
${glance(source.result)}
${warnings(source)}
<p class="verdict">${source.result.verdict}</p>
${durability(source.result)}`,
  );
  return html`<section aria-labelledby="answer">
<h2 id="answer">The answer</h2>
${each}
${several ? comparisonTable(model) : NOTHING}
</section>`;
}

/** What to run, how sure that is, what limits it. */
function glance(result: Result): Html {
  const lines = glanceOf(result);
  if (lines.length === 0) return NOTHING;
  return html`<dl class="glance">${lines.map(
    ({ label, text }) => html`<div><dt>${label}</dt><dd>${text}</dd></div>`,
  )}</dl>`;
}

/** What makes a result less than it seems, loudest first. */
function warnings({ name, result }: NamedResult): Html {
  const notes: Html[] = [];
  const voids = result.runs.filter((run) => run.void.length > 0);
  if (voids.length > 0) {
    const reasons = voids.flatMap((run) =>
      run.void.map((reason) => html`<li>row ${run.position + 1}, round ${run.round + 1}: ${reason}</li>`),
    );
    notes.push(html`<div class="alert bad" role="alert"><b>✕ ${voids.length} of ${result.runs.length} runs are void:
      their figures prove nothing and are left out.</b><ul>${reasons}</ul></div>`);
  }
  const disturbed = disturbanceText(result);
  if (disturbed !== null) {
    notes.push(html`<div class="alert" role="alert"><b>⚠ Disturbed.</b> ${disturbed}.</div>`);
  }
  if (result.interrupted) {
    notes.push(html`<div class="alert"><b>⚠ Interrupted.</b> The bench was ended before all its runs were made; what is
      missing is not here.</div>`);
  }
  if (result.environment.volatileStorage) {
    notes.push(html`<div class="alert"><b>⚠ The logs lay in memory</b> (${result.environment.fileSystem.type}): durable
      writes cost nothing there, and the figures say nothing about a disk.</div>`);
  }
  if (result.options.quick) {
    notes.push(
      html`<div class="alert mild">A quick look: short runs, few values. Take the figures as rough.</div>`,
    );
  }
  return notes.length === 0
    ? NOTHING
    : html`<div class="alerts" aria-label="Warnings about ${name}">${notes}</div>`;
}

/** What the figures can be trusted to mean, in one sentence. */
function durability(result: Result): Html {
  const valid = result.runs.filter((run) => run.void.length === 0);
  const checked = valid.reduce((sum, run) => sum + (run.truth?.ackedChecked ?? 0), 0);
  if (valid.length === 0) return html`<p class="proof bad">✕ No run passed the check of its logs.</p>`;
  const loose = valid.some((run) => run.settings.durability === "none")
    ? " Configurations marked “not durable” did not wait for the disk: a power cut could have lost their last proposals."
    : "";
  const of =
    valid.length === result.runs.length ? "every run" : `each of the ${valid.length} runs that are not void`;
  return html`<p class="proof">✓ Checked on disk after ${of}: ${grouped(checked)} acknowledged proposals, all
    in the logs of a quorum; all logs and states agree.${loose}</p>`;
}

function keyFigures(model: Model): Html {
  const several = roundsOf(model).most > 1 ? ` Interval: ${intervalMeaning(model)}.` : "";
  return html`<section aria-labelledby="key">
<h2 id="key">Key figures</h2>
${tiles(model)}
${tables.keyTable(model)}
${tables.meaningsList(model)}
<p class="note">The same for all: ${model.constants}. ${latencyMeaning(model)}${several}</p>
</section>`;
}

function latencyMeaning({ results }: Model): string {
  const kinds = new Set(results.flatMap(({ result }) => result.runs.map(({ load }) => load.kind)));
  const closed = "closed loop: from propose() to applied on the leader";
  const open = "open loop: from when the proposal was due, so a stall counts for all that it delays";
  return `Latency, ${kinds.has("closed") ? closed : ""}${kinds.size > 1 ? "; " : ""}${kinds.has("open") ? open : ""}.`;
}

/** Rounds that count, of the configurations with any. */
function roundsOf({ configs }: Model): { readonly least: number; readonly most: number } {
  const counts = configs.map(({ row }) => validRuns(row.runs).length).filter((count) => count > 0);
  return { least: Math.min(...counts, Number.MAX_SAFE_INTEGER), most: Math.max(...counts, 0) };
}

/** Fewer rounds prove no interval at 95 %. */
function intervalMeaning(model: Model): string {
  const { least, most } = roundsOf(model);
  if (most < PAIRS_MIN) return "the range of the rounds";
  const range = least < PAIRS_MIN ? `, or the range where fewer than ${PAIRS_MIN} rounds count` : "";
  return `95 %, of the median${range}`;
}

function throughput(model: Model, charts: readonly Chart[]): Html {
  const { least, most: rounds } = roundsOf(model);
  const many = least < rounds ? `${least} to ${rounds}` : String(rounds);
  const note =
    rounds > 1
      ? `The bar is the median of ${many} rounds, the line across its end the interval: ${intervalMeaning(model)}.`
      : "One round each, so there is no interval, and nothing is known of the noise: no difference is proven.";
  return html`<section aria-labelledby="throughput">
<h2 id="throughput">Throughput</h2>
<p class="note">Proposals applied on the leader a second. ${note}</p>
${throughputBars(model)}
<h3>Over time</h3>
<p class="note">Every 100 ms of the measured windows${rounds > 1 ? "; the rounds stand one after another" : ""}. A dip is a
stall.</p>
${drawn(model, charts, "Throughput over time")}
</section>`;
}

function latency(model: Model, percentiles: readonly Chart[], p99: readonly Chart[]): Html {
  const overTime =
    p99.length === 0
      ? NOTHING
      : html`<h3>The p99 over time</h3>${drawn(model, p99, "p99 latency over time")}`;
  return html`<section aria-labelledby="latency">
<h2 id="latency">Latency</h2>
<p class="note">To the right, ever rarer proposals: at 99.9, one of a thousand waited longer. Both axes are logarithmic.
A flat line is a predictable configuration.</p>
${drawn(model, percentiles, "Latency percentiles")}
${tables.figures("Percentiles as a table", tables.percentileTable(model))}
${overTime}
</section>`;
}

function offeredLoad(charts: readonly Chart[]): Html {
  const keys = charts.flatMap(({ lines }) => lines);
  const legend = html`<ul class="legend static">${keys.map(
    (line) => html`<li>${lineSample(line)}${line.label}</li>`,
  )}</ul>`;
  return html`<section aria-labelledby="load">
<h2 id="load">Latency against offered load</h2>
<p class="note">The load does not wait for answers. Where a line turns up, the configuration has reached what it can
do.</p>
${legend}
<div class="charts">${charts.map((chart) => canvas(chart, "Latency against offered load", NOTHING))}</div>
</section>`;
}

/** The legend once, then a chart a group. */
function drawn(model: Model, charts: readonly Chart[], what: string): Html {
  if (charts.length === 0) return html`<p class="note">Nothing to draw: no valid run.</p>`;
  const keys = new Set(charts.flatMap(({ lines }) => lines.map(({ key }) => key)));
  const buttons = model.legend
    .filter(({ key }) => keys.has(key))
    .map(
      (config) =>
        html`<li><button type="button" aria-pressed="true" data-key="${config.key}">${lineSample({ hue: config.hue, dash: dashOf(config) })}${
          config.name
        }</button></li>`,
    );
  const shown = charts.map((chart) => {
    const group = model.groups.find(({ configs }) =>
      configs.some(({ label }) => label === chart.lines[0].label),
    );
    return canvas(chart, what, group === undefined ? NOTHING : groupTitle(group));
  });
  return html`<ul class="legend" aria-label="Show and hide">${buttons}</ul><div class="charts">${shown}</div>`;
}

function canvas(chart: Chart, what: string, title: Html): Html {
  const names = chart.lines.map(({ label }) => label).join("; ");
  return html`<figure>${title}
<p class="axis" aria-hidden="true">${chart.yLabel}</p>
<div class="chart" data-chart="${chart.id}" role="img" aria-label="${what}: ${names}. ${chart.yLabel}, by ${
    chart.xLabel
  }."></div>
<p class="axis below" aria-hidden="true">${chart.xLabel}</p>
</figure>`;
}

function waterfall(model: Model): Html {
  const { most: rounds } = roundsOf(model);
  const sampled = model.configs.some(({ typical }) => typical?.waterfall != null);
  const body = sampled
    ? html`<p class="note">The mean sampled commit from propose() to its promise resolved: the stages it passed one after
another${rounds > 1 ? ", in the round with the median throughput" : ""}.</p>${waterfallBars(model)}${tables.figures("What the stages are, and their percentiles", tables.waterfallTable(model))}`
    : html`<p class="absent-note">Not in ${model.results.length > 1 ? "these results" : "this result"}: ${
        subjectOf(model.configs.map(({ row }) => row)) === "leader lost"
          ? "the leader, who notes where a commit is on its way, was killed"
          : "no commit was followed on its way (sampling was off)"
      }.</p>`;
  return html`<section aria-labelledby="waterfall">
<h2 id="waterfall">Where the time of a commit goes</h2>
${body}
</section>`;
}

function cost(model: Model): Html {
  // What the killed leader did of it died with it: the rest would pass for the whole.
  if (subjectOf(model.configs.map(({ row }) => row)) === "leader lost") return NOTHING;
  return html`<section aria-labelledby="cost">
<h2 id="cost">What one commit costs</h2>
<p class="note">The whole cluster’s work in the window, divided by the proposals applied in it; below 1 where proposals
share it. Counted, not timed: it hardly varies between runs.</p>
${tables.costTable(model)}
</section>`;
}

function cpu(model: Model): Html {
  return html`<section aria-labelledby="cpu">
<h2 id="cpu">Who used the processor</h2>
<p class="note">All cores of the machine over the measured window: the full width is every core busy.</p>
${cpuBars(model)}
${tables.figures("Every process and thread", tables.threadsTable(model))}
</section>`;
}

function trust(model: Model): Html {
  return html`<section aria-labelledby="trust">
<h2 id="trust">How sound each run is</h2>
<p class="note">After a run, its logs are opened again in a fresh process: every acknowledged proposal must lie in the logs
of a quorum, and all logs and states must agree; else the run is void. How late the load generator itself was is judged
by the latencies that it measured.</p>
<p>${tables.runsText(model)}</p>
${tables.figures("Every run", tables.runsTable(model))}
</section>`;
}

function environment(model: Model): Html {
  const commands = model.results.map(
    ({ name, result }) =>
      html`<p class="note">The command of ${name}:</p><pre tabindex="0">${command(result)}</pre>`,
  );
  return html`<section aria-labelledby="environment">
<h2 id="environment">Environment and command</h2>
${commands}
${tables.environmentTable(model)}
</section>`;
}

/** What was typed; without a seed it would draw another one. */
function command({ command, options }: Result): string {
  return command.includes("--seed") ? command : `${command} --seed ${options.seed}`;
}
