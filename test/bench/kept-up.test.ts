// Whether an engine kept up with an offered load: against queues whose truth is known, and said alike everywhere.
import assert from "node:assert/strict";
import { test } from "node:test";
import { glanceOf } from "../../bench/report/glance.js";
import { fellBehind, keptUp, refusedShare } from "../../bench/report/kept-up.js";
import { renderPage } from "../../bench/report/page/page.js";
import type { Run } from "../../bench/report/result-schema.js";
import { verdict } from "../../bench/report/verdict.js";
import { rowsOf } from "../../bench/stats/rows.js";
import { openResult } from "./sample-page.js";

const [LOW, MIDDLE, HIGH] = [1000, 5000, 20_000];

interface Server {
  /** What is due at `atMs` is done so much later, and no sooner than the one before it leaves time for. */
  readonly latencyMs: number;
  readonly capacity: number;
  /** It stands still from then on, for so long. */
  readonly stall?: readonly [atMs: number, forMs: number];
}

const WINDOW_MS = 1000;

/** 1000 a second offered to it, in order. */
function served({ latencyMs, capacity, stall = [0, 0] }: Server): Run["series"] & { readonly done: number } {
  const [due, applied] = [0, 1].map(() => new Array<number>(WINDOW_MS / 100).fill(0));
  let done = 0;
  let freeAt = 0;
  for (let atMs = 0; atMs < WINDOW_MS; atMs++) {
    due[Math.floor(atMs / 100)]++;
    freeAt = Math.max(freeAt, atMs) + 1000 / capacity;
    if (freeAt >= stall[0]) freeAt = Math.max(freeAt, stall[0] + stall[1]);
    const doneAt = freeAt + latencyMs;
    if (doneAt >= WINDOW_MS) continue;
    applied[Math.floor(doneAt / 100)]++;
    done++;
  }
  return { stepMs: 100, due, applied, done };
}

function fallsBehind(server: Server): boolean {
  const { done, ...series } = served(server);
  const result = openResult();
  const row = rowsOf(result)[0];
  return fellBehind({ ...row, runs: row.runs.map((run) => ({ ...run, series, done })) });
}

test("an engine falls behind when what waits grows, not when an answer takes time", () => {
  for (const latencyMs of [0, 8, 30, 100]) {
    assert.equal(fallsBehind({ latencyMs, capacity: 1e6 }), false, `${latencyMs} ms of latency`);
    for (const capacity of [500, 900, 950])
      assert.equal(fallsBehind({ latencyMs, capacity }), true, `${capacity}/s after ${latencyMs} ms`);
  }
  for (const atMs of [100, 500, 800])
    assert.equal(
      fallsBehind({ latencyMs: 2, capacity: 1e6, stall: [atMs, 50] }),
      false,
      `a stall at ${atMs}`,
    );
});

/** 1000 to 50,000/s offered, of which each rate given here did and refused such shares. */
function offered(shares: Readonly<Record<number, { readonly done?: number; readonly refused?: number }>>) {
  const result = openResult();
  const runs = result.runs.map((run): Run => {
    const { done = 1, refused = 0 } = shares[run.settings.rate] ?? {};
    const due = run.load.due ?? 0;
    const failed = refused === 0 ? {} : { RAFT_OVERLOADED: refused * due };
    const proposalsPerS = done * due;
    return { ...run, done: done * due, proposalsPerS, failed, acknowledged: (1 - refused) * due };
  });
  const { verdict: _, ...body } = { ...result, runs };
  const page = renderPage([{ name: "one", result: { ...body, verdict: "" } }]);
  const tiles = /<ul class="tiles">[\s\S]*?<\/ul>/.exec(page)![0];
  const glance = Object.fromEntries(glanceOf(body).map(({ label, text }) => [label, text]));
  const text = tiles.replace(/<[^>]+>/g, " ").replace(/\s+/g, " ");
  return { rows: rowsOf(body), glance, verdict: verdict(body), tiles: text };
}

test("a load of which some was refused was not kept up with, and the share is said everywhere", () => {
  const { rows, glance, verdict: sentences, tiles } = offered({ [HIGH]: { done: 0.975, refused: 0.025 } });
  assert.deepEqual(rows.map(keptUp), [true, true, false, true]);
  assert.equal(refusedShare(rows[2]), 0.025);
  assert.match(glance["Run"], /^up to 5,000 proposals\/s: it keeps up \(to within 3 %\), with p50/);
  assert.match(
    glance["Limit"],
    /^at 20,000\/s offered it does 19,500\/s, and 2\.50 % of what came due was refused\.$/,
  );
  assert.match(sentences, /at 20,000\/s offered 2\.50 % of what came due was refused\./);
  assert.doesNotMatch(sentences, /falls behind/);
  assert.match(tiles, /highest load kept up with 5,000 .*refused 2\.50 % of what came due/);
  const all = offered({ [LOW]: { refused: 0.00001 } });
  assert.match(
    all.glance["Run"],
    /^less than 1,000\/s: there less than 0\.01 % of what came due was refused\.$/,
  );
});

test("above a load that was not kept up with none is called the highest", () => {
  const { glance, tiles } = offered({ [MIDDLE]: { done: 0.9 } });
  assert.match(glance["Run"], /^up to 1,000 proposals/);
  assert.match(tiles, /highest load kept up with 1,000 offered/);
  assert.doesNotMatch(tiles, /refused/);
});
