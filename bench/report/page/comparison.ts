// Several results side by side: every configuration that is in the first and in another, and the ratio of their
// throughputs. Says that no difference is found where the interval holds 1. Pure.
import { differs, PAIRS_MIN, ratioInterval } from "../../stats/intervals.js";
import { validRuns } from "../../stats/rows.js";
import { grouped, short, times } from "../numbers.js";
import { type Html, html } from "./html.js";
import type { Config, Model } from "./model.js";
import { table } from "./tables.js";

/** Bootstrap intervals are drawn with this: the same page from the same results. */
const SEED = 1;

export function comparisonTable(model: Model): Html {
  const [base, ...others] = model.results;
  const rows = others.flatMap((other) =>
    model.configs
      .filter(({ source }) => source === base)
      .flatMap((first) => {
        const second = model.configs.find((config) => config.source === other && sameSettings(config, first));
        return second === undefined ? [] : [compared(first, second)];
      }),
  );
  const caution = html`<p class="note">The results were not made alternating, so whatever changed on the machine between
    them is in these ratios; <code>raftmark compare</code> with two revisions alternates.</p>`;
  if (rows.length === 0) return html`<p class="note">The results have no configuration in common.</p>`;
  const head = [
    "configuration",
    "result",
    base.name,
    "its proposals/s",
    "ratio",
    "95 % interval",
    "in words",
  ];
  return html`<h3>Against ${base.name}</h3>${table(`Throughput against ${base.name}`, head, rows)}${caution}`;
}

function sameSettings(a: Config, b: Config): boolean {
  return JSON.stringify(a.row.settings) === JSON.stringify(b.row.settings);
}

function compared(first: Config, second: Config): string[] {
  const name = first.label.slice(0, first.label.lastIndexOf(" · "));
  const [a, b] = [first, second].map(({ row }) => row.proposalsPerS);
  const shown = [a, b].map((rate) => (rate === null ? "void" : grouped(rate.estimate)));
  const row = (words: string, ratio: string, interval: string) => [
    name,
    words,
    ratio,
    interval,
    ...shown,
    second.source.name,
  ];
  if (a === null || b === null) return row("void", "–", "–");
  const [bases, heads] = [first, second].map((each) =>
    validRuns(each.row.runs).map((run) => run.proposalsPerS),
  );
  const pairs = Math.min(bases.length, heads.length);
  if (pairs < PAIRS_MIN) {
    return row(`nothing can be told from ${pairs} rounds`, `${times(b.estimate / a.estimate)}×`, "–");
  }
  const ratio = ratioInterval(bases.slice(0, pairs), heads.slice(0, pairs), SEED);
  const words = differs(ratio) ? (ratio.estimate > 1 ? "faster" : "slower") : "no difference found";
  return row(words, `${times(ratio.estimate)}×`, `${short(ratio.low)} to ${short(ratio.high)}`);
}
