// A comparison as text: a block a configuration for the terminal, tables for Markdown. Pure.

import { markdownTable } from "../report/markdown.js";
import { plural, short } from "../report/numbers.js";
import type { PerCommit } from "../report/result-schema.js";
import {
  type Comparison,
  type Counter,
  JUDGEMENTS,
  judgementOf,
  type Match,
  ratioSentence,
} from "./compare.js";

/** What the two sides are called. */
export interface Names {
  readonly base: string;
  readonly head: string;
}

const COUNTER_TITLES: Readonly<Record<keyof PerCommit, string>> = {
  messages: "messages",
  frames: "frames",
  sentBytes: "bytes sent",
  fsyncs: "durable writes",
  fsyncsWaited: "durable writes waited for",
  walBytes: "bytes logged",
  allocatedBytes: "bytes of heap, leader",
  turns: "turns, leader",
};

const NAME_WIDTH = 32;
function ratiosText({ alternating }: Comparison): string {
  return `ratios are head / base, ${alternating ? "with 95 % intervals, " : ""}over the rounds that both have`;
}

/** First of all, for each figure: in how many configurations head is better, worse, or neither. */
function answer({ matches, alternating }: Comparison): [string, string][] {
  const figures = matches.flatMap((match) => match.figures);
  return [...new Set(figures.map(({ name }) => name))].map((name) => {
    const judgements = figures
      .filter((figure) => figure.name === name)
      .map((figure) => judgementOf(figure, alternating));
    const counts = JUDGEMENTS.flatMap((judgement) => {
      const count = judgements.filter((each) => each === judgement).length;
      return count === 0 ? [] : [`${judgement} in ${count}`];
    });
    return [name, `${counts.join(", ")} of ${plural(judgements.length, "configuration")}`];
  });
}

export function renderComparison(comparison: Comparison, names: Names): string {
  const { matches, alternating } = comparison;
  const lines = [
    ...answer(comparison).map(([name, text]) => `${name.padEnd(NAME_WIDTH)} ${text}`),
    "",
    `base: ${names.base}`,
    `head: ${names.head}`,
    ratiosText(comparison),
  ];
  for (const match of matches) {
    lines.push("", match.name);
    for (const figure of match.figures) {
      const { name, unit, base, head } = figure;
      const values =
        base === null || head === null ? noPairText(match) : `${short(base)} to ${short(head)} ${unit}`;
      lines.push(
        `  ${name.padEnd(NAME_WIDTH - 2)} ${values.padEnd(34)} ${ratioSentence(figure, alternating)}`,
      );
    }
    for (const text of remarks(match)) lines.push(`  ${text}`);
    if (match.counters.length > 0) lines.push(`  per commit: ${match.counters.map(counterText).join("; ")}`);
  }
  if (matches.length === 0) lines.push("", "The two have no configuration in common.");
  lines.push("", ...notes(comparison));
  return `${lines.join("\n")}\n`;
}

export function comparisonMarkdown(comparison: Comparison, names: Names): string {
  const parts = [
    answer(comparison)
      .map(([name, text]) => `- ${name}: ${text}`)
      .join("\n"),
    `Base \`${names.base}\`, head \`${names.head}\`; ${ratiosText(comparison)}.`,
  ];
  for (const match of comparison.matches) {
    const rows = match.figures.map((figure) => [
      `${figure.name}, ${figure.unit}`,
      figure.base === null ? "–" : short(figure.base),
      figure.head === null ? "–" : short(figure.head),
      figure.base === null ? noPairText(match) : ratioSentence(figure, comparison.alternating),
    ]);
    const counted = match.counters.map(({ name, base, head }) => [
      `${COUNTER_TITLES[name]} per commit`,
      base === null ? "–" : short(base),
      head === null ? "–" : short(head),
      base === null || head === null ? `${base === null ? "base" : "head"} does not keep it` : "counted",
    ]);
    const table = [["", "base", "head", "head / base"], ["---", "---:", "---:", "---"], ...rows, ...counted];
    parts.push(`**${match.name}**`, markdownTable(table), ...remarks(match));
  }
  if (comparison.matches.length === 0) parts.push("The two have no configuration in common.");
  return `${[...parts, ...notes(comparison)].join("\n\n")}\n`;
}

function noPairText({ voids, disturbed }: Match): string {
  if (disturbed > 0 && voids === 0) return "no pair of undisturbed runs";
  return "no pair of runs that count";
}

function remarks({ voids, disturbed }: Match): string[] {
  const left = (count: number, what: string) =>
    count === 0
      ? []
      : [`${plural(count, `${what} run was`, `${what} runs were`)} left out, and what they were paired with`];
  return [...left(voids, "void"), ...left(disturbed, "disturbed")];
}

function counterText({ name, base, head }: Counter): string {
  const [from, to] = [base, head].map((value) => (value === null ? "not kept" : short(value)));
  return `${COUNTER_TITLES[name]} ${from === to ? from : `${from} to ${to}`}`;
}

/** How far the judgements hold together. */
function together({ matches, alternating }: Comparison): string[] {
  if (!alternating) return [];
  const judged = matches.flatMap(({ figures }) => figures.filter(({ ratio }) => ratio?.interval != null));
  const names = new Set(judged.map(({ name }) => name)).size;
  if (judged.length < 2) return [];
  const all =
    matches.length > 1
      ? ` holds for all of its ${matches.length} configurations together`
      : " is judged by itself";
  return [
    `at 95 % each of ${names} figures${all}: of equals, about one figure in 20 is called better or worse`,
  ];
}

function notes(comparison: Comparison): string[] {
  const { onlyBase, onlyHead, warnings } = comparison;
  return [
    ...onlyBase.map((name) => `only in base: ${name}`),
    ...onlyHead.map((name) => `only in head: ${name}`),
    ...warnings.map((text) => `warning: ${text}`),
    ...together(comparison),
  ];
}
