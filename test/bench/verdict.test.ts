// A verdict names a winner only where the rounds prove it, for the whole table at once; a disturbed run proves nothing.
// The long version of the simulations: npm run bench:selftest -- verdict.
import assert from "node:assert/strict";
import { test } from "node:test";
import { cpuTaken, diskMoved } from "../../bench/harness/disturbance.js";
import { glanceOf } from "../../bench/report/glance.js";
import { renderPage } from "../../bench/report/page/page.js";
import { standingsOf } from "../../bench/report/standings.js";
import { tableRows } from "../../bench/report/table.js";
import { verdict } from "../../bench/report/verdict.js";
import { Family, normals } from "../../bench/stats/family.js";
import { rowsOf } from "../../bench/stats/rows.js";
import { Prng } from "../../src/base/prng.js";
import { type Outcome, sampleResult, sampleRun } from "./sample-result.js";

const SEED = 11;

/** One place: configurations of `factor` each, under 10 % of noise. */
function familyOf(factors: readonly number[], rounds: number, normal: () => number, places = 1): Family {
  const place = () =>
    factors.map(
      (factor) => new Map(Array.from({ length: rounds }, (_, i) => [i, Math.log(factor) + 0.1 * normal()])),
    );
  return new Family(Array.from({ length: places }, place));
}

/** Whether any statement of a table of three configurations is proven. */
function names(family: Family, places: number): boolean {
  const pairs = [
    [0, 1],
    [0, 2],
    [1, 2],
  ] as const;
  return pairs.some(([a, b]) => {
    const all = [
      family.overall(a, b),
      ...Array.from({ length: places }, (_, place) => family.at(place, a, b)),
    ];
    return all.some((compared) => compared?.proven);
  });
}

test("of tables of equals, at most 5 % name a winner; the README's shape, any number of rounds", () => {
  const normal = normals(new Prng(SEED));
  const tables = 400;
  for (const rounds of [1, 2, 3, 6, 10]) {
    let named = 0;
    for (let i = 0; i < tables; i++) if (names(familyOf([1, 1, 1], rounds, normal, 3), 3)) named++;
    // Three deviations above 5 % of 400.
    assert.ok(named <= 33, `${named} of ${tables} with ${rounds} rounds, seed ${SEED}`);
    if (rounds < 3) assert.equal(named, 0);
  }
});

test("all intervals of a table hold a true difference at once, in 95 % of tables", () => {
  const normal = normals(new Prng(SEED));
  for (const rounds of [4, 10]) {
    let missed = 0;
    for (let i = 0; i < 400; i++) {
      const family = familyOf([1.3, 1.1, 1], rounds, normal, 3);
      const holds = [
        [0, 1, 1.3 / 1.1],
        [0, 2, 1.3],
        [1, 2, 1.1],
      ].every(([a, b, truth]) =>
        [family.overall(a, b)!, ...[0, 1, 2].map((place) => family.at(place, a, b)!)].every(
          ({ interval }) => interval!.low <= truth && truth <= interval!.high,
        ),
      );
      if (!holds) missed++;
    }
    // Three deviations above 5 % of 400.
    assert.ok(missed <= 33, `${missed} of 400 with ${rounds} rounds, seed ${SEED}`);
  }
});

test("values that tie, two modes, a configuration that varies more: of equals, at most 5 % name a winner", () => {
  const prng = new Prng(SEED);
  const normal = normals(prng);
  const mode = () => (prng.below(2) === 0 ? 0.3 : 0) + 0.01 * normal();
  const shapes: [string, places: number, members: number, rounds: number, of: (member: number) => number][] =
    [
      ["ties", 3, 2, 3, () => Math.log(100 + prng.below(2))],
      ["two modes", 3, 2, 3, mode],
      ["uneven", 6, 6, 6, (member) => (member === 0 ? 0.3 : 0.03) * normal()],
    ];
  const tables = 600;
  for (const [name, places, members, rounds, of] of shapes) {
    let named = 0;
    for (let i = 0; i < tables; i++) {
      const runs = (member: number) =>
        new Map(Array.from({ length: rounds }, (_, round) => [round, of(member)]));
      const place = () => Array.from({ length: members }, (_, member) => runs(member));
      const family = new Family(Array.from({ length: places }, place));
      const said = Array.from({ length: members }, (_, a) =>
        Array.from({ length: a }, (_, b) => [
          family.overall(a, b),
          ...Array.from({ length: places }, (_, at) => family.at(at, a, b)),
        ]),
      );
      if (said.flat(2).some((compared) => compared?.proven)) named++;
    }
    // Two and a half deviations above 5 % of 600.
    assert.ok(named <= 43, `${name}: ${named} of ${tables}, seed ${SEED}`);
  }
});

test("so many rounds as are said to be needed prove what was seen more often than not", () => {
  const normal = normals(new Prng(SEED));
  let [told, kept] = [0, 0];
  for (let i = 0; i < 300; i++) {
    const { proven, estimate, roundsNeeded } = familyOf([1.1, 1], 4, normal).at(0, 0, 1)!;
    if (proven || roundsNeeded === null) continue;
    told++;
    if (familyOf([estimate, 1], roundsNeeded, normal).at(0, 0, 1)!.proven) kept++;
  }
  assert.ok(told > 100 && kept >= 0.65 * told, `${kept} of ${told}, seed ${SEED}`);
});

test("processes that serve all loads of a round are one piece of chance, however many loads there are", () => {
  const normal = normals(new Prng(SEED));
  const tables = 400;
  const rounds = 6;
  let named = 0;
  for (let i = 0; i < tables; i++) {
    const births = [0, 1, 2].map(() => Array.from({ length: rounds }, () => 0.1 * normal()));
    const place = () =>
      births.map((birth) => new Map(birth.map((value, round) => [round, value + 0.02 * normal()])));
    const family = new Family(Array.from({ length: 6 }, place));
    if ([family.overall(0, 1), family.overall(0, 2), family.overall(1, 2)].some((said) => said?.proven))
      named++;
  }
  assert.ok(named <= 33, `${named} of ${tables}, seed ${SEED}`);
});

test("a true 15 % is found by ten rounds", () => {
  const normal = normals(new Prng(SEED));
  let found = 0;
  for (let i = 0; i < 200; i++) {
    const family = familyOf([1.15, 1, 1], 10, normal);
    if (family.at(0, 0, 1)?.proven || family.at(0, 0, 2)?.proven) found++;
  }
  assert.ok(found >= 150, `${found} of 200, seed ${SEED}`);
});

test("rounds that happen to agree prove nothing where the rest of the place scatters", () => {
  const rounds = (...values: number[]) => new Map(values.map((value, i) => [i, value]));
  // The first two differ by 5 % in all three rounds, almost to the digit; the third says what a run varies by.
  const still = [rounds(0.05, 0.0501, 0.0499), rounds(0, 0.0001, 0)];
  assert.equal(new Family([still]).at(0, 0, 1)?.proven, true);
  const scattered = new Family([[...still, rounds(0.2, -0.2, 0.1)]]);
  assert.equal(scattered.at(0, 0, 1)?.proven, false);
});

test("a comparison says the same from both sides, and pairs rounds in which both count", () => {
  const family = new Family([
    [
      new Map([
        [0, 1],
        [1, 1.3],
        [4, 1.2],
      ]),
      new Map([
        [1, 0.3],
        [2, 9],
        [4, 0.2],
      ]),
    ],
  ]);
  const [one, other] = [family.at(0, 0, 1)!, family.at(0, 1, 0)!];
  assert.equal(one.rounds, 2);
  assert.ok(Math.abs(one.estimate - Math.E) < 1e-9);
  assert.ok(Math.abs(one.estimate * other.estimate - 1) < 1e-9);
  assert.equal(one.proven, false, "two rounds never prove");
});

/** Rounds of two writers; pool-wasm does three times as much. */
function result(rounds: number, of: (round: number) => Partial<Outcome>) {
  const outcomes = (["inline-js", "pool-wasm"] as const).map((writer, i) => ({
    settings: { writer },
    proposalsPerS: 1000 * (1 + 2 * i),
  }));
  const runs = outcomes.flatMap((outcome, position) =>
    Array.from({ length: rounds }, (_, round) => {
      const proposalsPerS = outcome.proposalsPerS * (1 + 0.02 * ((round * 7 + position) % 3));
      return { ...sampleRun(position, { ...outcome, proposalsPerS, ...of(round) }), round };
    }),
  );
  const leftOut = runs.filter(({ disturbed }) => disturbed.length > 0).length;
  return { ...sampleResult(outcomes), runs, disturbance: { repeated: 2, leftOut } };
}

test("disturbed runs are left out of figures and comparisons, and that is said", () => {
  assert.match(verdict(result(6, () => ({}))), /^Fastest is pool-wasm: it beats inline-js by 3\.0×/);
  const [why] = cpuTaken(0.6);
  const some = result(6, (round) =>
    round < 2 ? { disturbed: [why], otherCpuShare: 0.6, proposalsPerS: 9e9 } : {},
  );
  assert.match(
    verdict(some),
    /^Fastest is pool-wasm: it beats inline-js by 3\.0×.* 4 of 12 runs were disturbed, after 2 had been made again, and no comparison counts them: other programs took up to 60 % of the CPU\.$/,
  );
  assert.ok(
    rowsOf(some).every(({ proposalsPerS, disturbed }) => proposalsPerS!.high < 4000 && disturbed === 2),
  );
  const all = result(6, () => ({ disturbed: [why], otherCpuShare: 0.6 }));
  assert.match(verdict(all), /^Nothing can be compared: .*Every run was disturbed/);
  assert.equal(standingsOf(rowsOf(all), "writer")?.overall.length, 0);
  assert.match(
    glanceOf(all)[1].text,
    /; void or disturbed runs leave no two side by side in one round\. Disturbed: every run/,
  );
  assert.equal(rowsOf(all)[0].proposalsPerS !== null, true, "they are shown where there is nothing else");
});

test("the highest that is told is of undisturbed runs where there are any: others' figures say what disturbed them", () => {
  const made = result(6, () => ({}));
  const runs = made.runs.map((run) => (run.position === 1 ? { ...run, disturbed: cpuTaken(0.6) } : run));
  const some = { ...made, runs, disturbance: { repeated: 0, leftOut: 6 } };
  assert.match(verdict(some), /Highest seen: inline-js /);
  assert.match(glanceOf(some)[0].text, / with inline-js\.$/);
});

test("of rounds of which few count it is said how many, and no fewer are asked for than were made", () => {
  const made = result(6, (round) => (round > 0 ? { void: ["logs: x"] } : {}));
  const one = { ...made, options: { ...made.options, rounds: 6 } };
  assert.match(
    verdict(one),
    /^1 of 6 rounds counts, and that proves nothing yet: pool-wasm was seen at 3\.1×/,
  );
  assert.match(
    glanceOf(one)[1].text,
    /^not at all after 1 of 6 rounds, .*: it takes at least 3 that count\./,
  );
});

test("a row of which one round counts is not named as highest, nor shown, without that being said", () => {
  const made = result(6, () => ({}));
  const runs = made.runs.map((run) =>
    run.position === 1 && run.round > 0 ? { ...run, void: ["logs: x"] } : run,
  );
  const thin = { ...made, runs, options: { ...made.options, rounds: 6 } };
  const said = / with pool-wasm \(of one round alone, where 6 were made\)\./;
  assert.match(
    glanceOf(thin)
      .map(({ text }) => text)
      .join(" "),
    said,
  );
  assert.match(verdict(thin), /ighest seen: pool-wasm with .* ms \(of one round alone, where 6 were made\)/);
  assert.deepEqual(
    tableRows(thin).map((cells) => /round/.test(cells.join(" "))),
    [false, false, true],
  );
  assert.ok(tableRows(thin)[2].includes("1 of 6 rounds"));
});

test("drift from round to round and steal are told with their size, and how sure it is takes them in", () => {
  const sureText = (of: (round: number) => Partial<Outcome>) => {
    const made = result(6, of);
    return glanceOf(made).find(({ label }) => label === "How sure")!.text;
  };
  assert.doesNotMatch(
    sureText(() => ({})),
    /in one round than in another/,
    "rounds lie 4 % apart",
  );
  assert.match(
    sureText((round) => ({
      proposalsPerS: round === 3 ? 1300 : 1000,
      stolenCpuShare: 0.07,
      otherCpuShare: 0.08,
    })),
    / But the same configuration did up to 30 % more in one round than in another, and the host of this virtual machine took up to 7 % of the CPU \(steal\)\.$/,
  );
  assert.deepEqual(cpuTaken(0.12, 0.05), [
    "other programs took 12 % (5 % by the host of this virtual machine: steal) of the CPU",
  ]);
});

/** Throughput by round; null: a void run. Two in flight windows of one row are two rows. */
function table(rows: readonly (readonly [Partial<Outcome["settings"]>, readonly (number | null)[]])[]) {
  const runs = rows.flatMap(([settings, rates], position) =>
    rates.map((rate, round) => {
      const of = { settings, proposalsPerS: rate ?? 9e9, void: rate === null ? ["logs: x"] : [] };
      return { ...sampleRun(position, of), round };
    }),
  );
  return { ...sampleResult([]), runs };
}

const MS = { unit: "ms", better: "lower" as const, meaning: "" };

test("noise that hides a large difference is not called a small difference, and a round alone gives no range", () => {
  const wild = table([
    [{ writer: "inline-js" }, [100, 200, 120]],
    [{ writer: "pool-wasm" }, [190, 110, 130]],
  ]);
  const sure = glanceOf(wild)[1].text;
  assert.match(sure, /anything from 0\.\d+× to \d[\d.]*× is possible: noise hides that much; longer windows/);
  assert.doesNotMatch(sure + verdict(wild), /too small|so little/);
  const lost = table([[{ event: "kill-leader", from: "client" }, [100, 100]]]);
  for (const [i, run] of lost.runs.entries()) {
    run.measures = { newLeaderMs: { ...MS, value: 270 + 100 * i }, firstCommitMs: { ...MS, value: 380 } };
  }
  assert.match(verdict(lost), /stands 320 \(270–370\) ms after kill -9 and commits after 380 ms/);
});

test("what beats another is faster than it in the rounds that both have", () => {
  // The highest mean is inline-js's, of rounds that pool-wasm does not have.
  const slower = [100, 101, 99, 100, 1000, 1010, 990, 1000];
  const faster = [200, 201, 199, 200, null, null, null, null];
  const made = table([
    [{ writer: "inline-js" }, slower],
    [{ writer: "pool-wasm" }, faster],
  ]);
  assert.match(verdict(made), /^Fastest is pool-wasm: it beats inline-js by 2\.0×/);
  assert.equal(glanceOf(made)[0].text, "pool-wasm: it beats inline-js.");
});

test("who has too few runs that count is named, and nobody is called fastest", () => {
  const [slow, fast, faster] = [100, 200, 400].map((rate) => [rate, rate + 1, rate - 1, rate, rate + 2]);
  const none = [null, null, null, null, null];
  const missing = /But inline-wasm is not compared: too few of the runs count\.$/;
  const allVoid = table([
    [{ writer: "inline-js" }, slow],
    [{ writer: "pool-wasm" }, fast],
    [{ writer: "inline-wasm" }, none],
  ]);
  const voidAtOne = table([
    [{ writer: "inline-js", inFlight: 1 }, slow],
    [{ writer: "pool-wasm", inFlight: 1 }, fast],
    [{ writer: "inline-wasm", inFlight: 1 }, none],
    [{ writer: "inline-js", inFlight: 64 }, slow],
    [{ writer: "pool-wasm", inFlight: 64 }, fast],
    [{ writer: "inline-wasm", inFlight: 64 }, faster],
  ]);
  for (const made of [allVoid, voidAtOne]) {
    assert.match(verdict(made), /^Pool-wasm beats inline-js by 2\.0×.* Inline-wasm is not compared: too few/);
    assert.match(glanceOf(made)[0].text, missing);
  }
  assert.match(verdict(voidAtOne), /All 5 comparisons of this table hold/, "those with rounds in common");
  const placeVoid = table([
    [{ writer: "inline-js", inFlight: 1 }, none],
    [{ writer: "pool-wasm", inFlight: 1 }, none],
    [{ writer: "inline-js", inFlight: 64 }, slow],
    [{ writer: "pool-wasm", inFlight: 64 }, fast],
  ]);
  assert.match(
    verdict(placeVoid),
    /^Pool-wasm beats inline-js by 2\.0× \(.*\) at 64 in flight\..* Nothing is said of 1 in flight: no run counts there\./,
  );
});

test("what a void run has lost is not called nothing", () => {
  const settings = { event: "kill-leader" as const, from: "client" as const };
  const lossOf = (lost: number) => {
    const made = table([[settings, [100, 100, null]]]);
    const runs = made.runs.map((run) => ({
      ...run,
      measures: {
        newLeaderMs: { ...MS, value: 270 },
        firstCommitMs: { ...MS, value: 280 },
        acknowledgedLost: { ...MS, unit: "proposals", value: run.void.length > 0 ? lost : 0 },
      },
    }));
    return { ...made, runs };
  };
  assert.match(verdict(lossOf(2100)), /; 2,100 acknowledged proposals were LOST\.$/);
  assert.match(glanceOf(lossOf(2100))[1].text, /2,100 acknowledged proposals were LOST/);
  const page = renderPage([{ name: "one", result: { ...lossOf(2100), verdict: "" } }]);
  assert.match(page, /acknowledged and lost<\/span><strong>2,100 /);
  assert.match(verdict(lossOf(0)), /nothing acknowledged was lost, as far as runs count \(1 void\)\.$/);
});

test("a row that no event befell is not told as if one had", () => {
  const made = table([
    [{ event: "kill-leader", from: "client" }, [100]],
    [{ event: "none", from: "client" }, [100]],
  ]);
  made.runs[0].measures = { newLeaderMs: { ...MS, value: 270 }, firstCommitMs: { ...MS, value: 280 } };
  assert.doesNotMatch(verdict(made), /undisturbed a new leader/);
  made.runs.reverse();
  assert.match(verdict(made), /a new leader stands 270 ms after kill -9 and commits after 280 ms/);
});

test("what an open loop refused is counted where its other figures are", () => {
  const made = table([[{ rate: 1000 }, [500, 510, null]]]);
  for (const run of made.runs) {
    run.failed = { OVERLOAD: run.void.length > 0 ? 7777 : 10 };
    run.load = { ...run.load, kind: "open", ratePerS: 1000, due: 1000 };
  }
  assert.match(verdict(made), /505\/s are done and 20 that came due were not even queued/);
});

test("what makes a run a disturbed one", () => {
  assert.deepEqual(cpuTaken(0.05), []);
  assert.deepEqual(cpuTaken(0.25), ["other programs took 25 % of the CPU"]);
  assert.deepEqual(diskMoved({ before: 210, after: 380 }, 200), []);
  assert.deepEqual(diskMoved({ before: 3, after: 30 }, 4), [], "memory");
  assert.match(diskMoved({ before: 210, after: 700 }, 200)[0], /took 210 µs before it and 700 µs after it/);
  assert.equal(diskMoved({ before: 80, after: 210 }, 200).length, 1, "faster is no better");
});
