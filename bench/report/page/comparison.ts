// Several results side by side: every configuration that is in the first and in another, and the ratio of their
// throughputs. Says that no difference is found where the interval holds 1. Pure.
import { configurationKey } from "../../compare/configurations.js";
import { differs, PAIRS_MIN } from "../../stats/intervals.js";
import { ratioOfRows } from "../../stats/ratio.js";
import { grouped, short, times } from "../numbers.js";
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
  /** The rounds are enough to judge it. */
  readonly judged: boolean;
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
  const lines = others.flatMap((other) =>
    model.configs
      .filter(({ source }) => source === base)
      .flatMap((first) => {
        const second = model.configs.find((config) => config.source === other && sameSettings(config, first));
        return second === undefined ? [] : [compared(first, second)];
      }),
  );
  const caution = html`<p class="note">The results were not made alternating, so whatever changed on the machine between
    them is in these ratios; <code>raftmark compare</code> with two revisions alternates.${together(lines)}</p>`;
  if (lines.length === 0) return html`<p class="note">The results have no configuration in common.</p>`;
  const shown = columns(base.name);
  const rows = lines.map((line) => shown.map(([, cell]) => cell(line)));
  const heads = shown.map(([head]) => head);
  return html`<h3>Against ${base.name}</h3>${table(`Throughput against ${base.name}`, heads, rows)}${caution}`;
}

function sameSettings(a: Config, b: Config): boolean {
  return configurationKey(a.row.settings) === configurationKey(b.row.settings);
}

function compared(first: Config, second: Config): Compared {
  const [a, b] = [first, second].map(({ row }) => row.proposalsPerS);
  const rate = (one: typeof a) => (one === null ? "void" : grouped(one.estimate));
  const line = {
    configuration: first.label.slice(0, -` · ${first.source.name}`.length),
    other: second.source.name,
    baseRate: rate(a),
    otherRate: rate(b),
    interval: "–",
    judged: false,
  };
  const ratio = ratioOfRows(first.row, second.row);
  if (ratio === null) return { ...line, ratio: "–", words: "no round in which both count" };
  const text = { ...line, ratio: `${times(ratio.estimate)}×` };
  if (ratio.pairs < PAIRS_MIN) return { ...text, words: tooFew(ratio.pairs) };
  const words = differs(ratio) ? (ratio.estimate > 1 ? "faster" : "slower") : "no difference found";
  return { ...text, interval: `${short(ratio.low)} to ${short(ratio.high)}`, words, judged: true };
}

/** What is judged one by one is not as sure taken together. */
function together(lines: readonly Compared[]): string {
  const count = lines.filter(({ judged }) => judged).length;
  return count < 2
    ? ""
    : ` ${count} ratios are judged, each by itself at 95 %: of equals, about one in 20 is called faster or slower.`;
}

function tooFew(pairs: number): string {
  return `nothing can be told from ${pairs === 1 ? "one round" : `${pairs} rounds`}`;
}
