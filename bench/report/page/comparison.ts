// Several results side by side: every configuration that is in the first and in another, and the ratio of their
// throughputs, judged as `raftmark compare` judges it: not at all where the two took no turns. Pure.
import { compareResults, type Figure, judgementOf, tookTurns } from "../../compare/compare.js";
import { configurationKey } from "../../compare/configurations.js";
import { grouped, times } from "../numbers.js";
import { type Html, html } from "./html.js";
import type { Config, Model } from "./model.js";
import { table } from "./tables.js";

/** A line of the table; how it is called in the order of the columns is `columns`' business alone. */
interface Compared {
  readonly configuration: string;
  readonly other: string;
  readonly baseRate: string;
  readonly otherRate: string;
  readonly ratio: string;
  readonly interval: string;
  readonly words: string;
}

/** Heading and cell stand together, so that neither can move alone. */
function columns(base: string): readonly (readonly [string, (line: Compared) => string])[] {
  return [
    ["configuration", ({ configuration }) => configuration],
    ["result", ({ other }) => other],
    [`${base}, proposals/s`, ({ baseRate }) => baseRate],
    ["its proposals/s", ({ otherRate }) => otherRate],
    [`ratio to ${base}`, ({ ratio }) => ratio],
    ["95 % interval", ({ interval }) => interval],
    ["in words", ({ words }) => words],
  ];
}

export function comparisonTable(model: Model): Html {
  const [base, ...others] = model.results;
  const turns = others.map((other) => tookTurns(base.result, other.result));
  const lines = others.flatMap((other, i) => {
    const { matches } = compareResults(base.result, other.result, turns[i]);
    return model.configs
      .filter(({ source }) => source === base)
      .flatMap((first) => {
        const key = configurationKey(first.row.settings);
        const keyed = ({ settings }: Config["row"] | (typeof matches)[number]) =>
          configurationKey(settings) === key;
        const second = model.configs.find(({ source, row }) => source === other && keyed(row));
        const figure = matches.find(keyed)?.figures.find(({ name }) => name === "throughput");
        if (second === undefined || figure === undefined) return [];
        return [compared(first, second, figure, turns[i])];
      });
  });
  if (lines.length === 0) return html`<p class="note">The results have no configuration in common.</p>`;
  const shown = columns(base.name);
  const rows = lines.map((line) => shown.map(([, cell]) => cell(line)));
  const heads = shown.map(([head]) => head);
  const notes = [...(turns.includes(false) ? [NO_TURNS] : []), ...(turns.includes(true) ? [TURNS] : [])];
  return html`<h3>Against ${base.name}</h3>${table(`Throughput against ${base.name}`, heads, rows)}${notes.map(
    (note) => html`<p class="note">${note}</p>`,
  )}`;
}

const NO_TURNS =
  "What was not made alternating is not judged: whatever changed on the machine meanwhile is in these ratios. " +
  "raftmark compare with two revisions alternates.";
const TURNS = "What took turns is judged at 95 %, for all configurations of a result together.";

function compared(first: Config, second: Config, figure: Figure, alternating: boolean): Compared {
  const [a, b] = [first, second].map(({ row }) => row.proposalsPerS);
  const rate = (one: typeof a) => (one === null ? "void" : grouped(one.estimate));
  const { ratio } = figure;
  const interval = alternating ? (ratio?.interval ?? null) : null;
  return {
    configuration: first.label.slice(0, -` · ${first.source.name}`.length),
    other: second.source.name,
    baseRate: rate(a),
    otherRate: rate(b),
    ratio: ratio === null ? "–" : `${times(ratio.estimate)}×`,
    interval: interval === null ? "–" : `${interval.low.toFixed(2)} to ${interval.high.toFixed(2)}`,
    words: ratio === null ? "no round in which both count" : judgementOf(figure, alternating),
  };
}
