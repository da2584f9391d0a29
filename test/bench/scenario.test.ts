// Axes, their words, and how a scenario becomes a list of variants.
import assert from "node:assert/strict";
import { test } from "node:test";
import { AXES, AXIS_NAMES, type AxisValues, DEFAULT_SETTINGS, parseAxis } from "../../bench/harness/axes.js";
import { BenchError } from "../../bench/harness/bench-error.js";
import {
  describe,
  expand,
  loadGroups,
  resolveAxes,
  runOrder,
  varyingAxes,
} from "../../bench/harness/scenario.js";
import { SCENARIOS } from "../../bench/scenarios/all.js";
import { canonical } from "../../bench/scenarios/canonical.js";
import { editDistance, nearest } from "../../src/base/suggest.js";

test("every combination once, writers alternating fastest", () => {
  const variants = expand(resolveAxes(canonical, false, {}));
  assert.equal(variants.length, 9);
  assert.deepEqual(
    variants.slice(0, 4).map(({ settings }) => [settings.inFlight, settings.writer]),
    [
      [1, "inline-js"],
      [1, "inline-wasm"],
      [1, "pool-wasm"],
      [64, "inline-js"],
    ],
  );
  assert.deepEqual(
    variants.map(({ position }) => position),
    [0, 1, 2, 3, 4, 5, 6, 7, 8],
  );
  const texts = variants.map(({ settings }) => JSON.stringify(settings));
  assert.equal(new Set(texts).size, 9);
  for (const { settings } of variants) {
    const { nodes, entryBytes, durability } = settings;
    assert.deepEqual({ nodes, entryBytes, durability }, { nodes: 3, entryBytes: 256, durability: "fsync" });
  }
});

test("given axes override the scenario's, and the rest stays", () => {
  const axes = resolveAxes(canonical, true, { nodes: [1, 5], inFlight: [8] });
  const variants = expand(axes);
  assert.equal(variants.length, 6);
  assert.deepEqual(varyingAxes(axes), ["nodes", "writer"]);
  assert.equal(describe(variants[5].settings, varyingAxes(axes)), "pool-wasm, 5 nodes");
});

test("a matrix by mistake is refused", () => {
  const inFlight = Array.from({ length: 600 }, (_, i) => i + 1);
  assert.throws(() => expand(resolveAxes(canonical, true, { inFlight })), /1800 combinations.*more than 500/);
});

test("a random order is a permutation, and the same for the same seed", () => {
  const variants = expand(resolveAxes(canonical, false, {}));
  const once = runOrder(variants, "random", 7);
  assert.deepEqual(once, runOrder(variants, "random", 7));
  assert.notDeepEqual(once, variants);
  assert.deepEqual(
    [...once].sort((a, b) => a.position - b.position),
    variants,
  );
  assert.deepEqual(runOrder(variants, "table", 7), variants);
});

test("each round has its own order, the same for the same seed", () => {
  const variants = expand(resolveAxes(canonical, false, {}));
  const first = loadGroups(variants, "random", 7, 0);
  assert.deepEqual(first, loadGroups(variants, "random", 7, 0));
  assert.notDeepEqual(first, loadGroups(variants, "random", 7, 1));
  assert.deepEqual(loadGroups(variants, "table", 7, 3).flat(), variants);
});

test("what has one load is together, whatever the shuffle", () => {
  const variants = expand(resolveAxes(canonical, false, {}));
  for (let round = 0; round < 20; round++) {
    const groups = loadGroups(variants, "random", 7, round);
    assert.equal(groups.length, 3);
    for (const group of groups) {
      assert.equal(group.length, 3);
      assert.equal(new Set(group.map(({ settings }) => settings.inFlight)).size, 1, `round ${round}`);
    }
  }
});

test("an impossible combination is refused with what to give instead", () => {
  const refusals: [Partial<AxisValues>, RegExp][] = [
    [
      { nodes: [3, 1], followerDelayMs: [0, 5] },
      /--follower-delay-ms .*one node has none; give --nodes 2 or more/,
    ],
    [
      { event: ["kill-leader"], nodes: [1], from: ["client"] },
      /1 node cannot spare it; give --nodes 3 or more/,
    ],
    [{ event: ["kill-leader"] }, /give --from client/],
    [{ event: ["pause-follower"], link: ["memory"] }, /all nodes are in one; give --link sockets/],
    [{ event: ["restart"] }, /give --log-mb/],
    [{ event: ["catch-up"] }, /the log that the node lacks; give --log-mb/],
    [{ event: ["catch-up"], logMb: [5], nodes: [2] }, /2 nodes cannot spare it; give --nodes 3 or more/],
    [{ event: ["snapshots"] }, /give --state-mb/],
    [{ stateMb: [5] }, /give --event snapshots too/],
    [{ logMb: [5] }, /give --event restart/],
    [{ arrivals: ["poisson"] }, /give --rate/],
    [{ arrivals: ["constant", "poisson"], rate: [0, 1000] }, /a closed loop has no such time; give --rate/],
    [{ batching: ["off"], batchBytes: [9] }, /give one of the two/],
    [{ rate: [1000], inFlight: [1, 64] }, /--in-flight does nothing; give one of the two/],
    [{ rate: [1000], inFlight: [64] }, /--in-flight does nothing; give one of the two/],
    [{ rate: [0, 1000], inFlight: [1, 64] }, /--in-flight does nothing; give one of the two/],
    [{ reads: ["lease"] }, /give --reads-per-write 1 or more/],
    [{ reads: ["safe", "lease"], readsPerWrite: [0, 1] }, /give --reads-per-write 1 or more/],
    [{ writer: ["inline-js"], busyPollUs: [50] }, /give --writer pool-wasm/],
    [{ writer: ["inline-js", "pool-wasm"], busyPollUs: [0, 50] }, /give --writer pool-wasm/],
    [{ link: ["sockets", "memory"], nodes: [1, 3] }, /--link is between nodes/],
    [{ frameTags: ["off"], link: ["memory"] }, /--frame-tags .* --link sockets/],
    [{ maxInflightMsgs: [1], nodes: [1] }, /give --nodes 2 or more/],
    [{ rate: [1000], perCall: [1, 16] }, /--per-call .* with --rate each .*; give one of the two/],
    [{ from: ["client"], inFlight: [64], perCall: [16] }, /--per-call .* give --from leader/],
    [{ inFlight: [64, 8], perCall: [16] }, /more than --in-flight 8, .* give --in-flight 16 or more/],
    [{ inFlight: [100], perCall: [16] }, /not a number of calls of 16; give --in-flight 96,/],
  ];
  for (const [given, message] of refusals) {
    assert.throws(
      () => expand(resolveAxes(canonical, true, given)),
      (error) => error instanceof BenchError && error.kind === "usage" && message.test(error.message),
      JSON.stringify(given),
    );
  }
});

test("an axis may do nothing in some rows, as long as they differ in another", () => {
  const rows = (given: Partial<AxisValues>) =>
    expand(resolveAxes(canonical, true, given)).map(({ settings }) => [settings.rate, settings.inFlight]);
  const writer = ["pool-wasm" as const];
  // The scenario's own numbers in flight are not the caller's words.
  assert.deepEqual(rows({ writer, rate: [0, 1000] }), [
    [0, 1024],
    [1000, 1024],
  ]);
  assert.deepEqual(rows({ writer, rate: [0, 1000], inFlight: [64] }), [
    [0, 64],
    [1000, 64],
  ]);
  assert.deepEqual(rows({ writer, rate: [0, 1000], arrivals: ["poisson"] }), [
    [0, 1024],
    [1000, 1024],
  ]);
  assert.equal(rows({ busyPollUs: [50] }).length, 6);
  assert.equal(rows({ writer, inFlight: [64, 128], perCall: [1, 16, 64] }).length, 6);
});

test("words of an axis become values", () => {
  assert.deepEqual(parseAxis("nodes", "1,3, 5"), [1, 3, 5]);
  assert.deepEqual(parseAxis("nodes", "3,3"), [3]);
  assert.deepEqual(parseAxis("durability", "fsync,none,o_dsync"), ["fsync", "none", "o_dsync"]);
});

test("a bad word is refused with what is allowed and what was meant", () => {
  const refusals: [Parameters<typeof parseAxis>[0], string, RegExp][] = [
    [
      "writer",
      "pool-wsm",
      /"pool-wsm" is not one of inline-js, inline-wasm, pool-wasm\. Did you mean pool-wasm\?/,
    ],
    ["writer", "pool", /Did you mean pool-wasm\?/],
    ["writer", "quux", /is not one of inline-js, inline-wasm, pool-wasm\.$/],
    ["nodes", "-1", /"-1" is not allowed: it takes whole numbers from 1 to 9/],
    ["nodes", "3,,5", /"" is not allowed/],
    ["inFlight", "1e3", /whole numbers from 1 to 65536/],
    ["perCall", "0", /--per-call: "0" is not allowed: it takes whole numbers from 1 to 4096/],
    ["entryBytes", "15", /whole numbers from 16 to 1048576/],
    ["entryBytes", "256B", /not allowed/],
    ["durability", "constructor", /is not one of/],
  ];
  for (const [name, text, message] of refusals) {
    assert.throws(
      () => parseAxis(name, text),
      (error) => error instanceof BenchError && error.kind === "usage" && message.test(error.message),
      `${name}=${text}`,
    );
  }
});

test("every scenario's values are allowed, and it varies what it compares", () => {
  for (const { name, axes, compares } of SCENARIOS) {
    for (const values of [axes.full, axes.smoke]) {
      assert.ok((values[compares]?.length ?? 0) > 1, `${name} does not vary ${compares}`);
      for (const axis of AXIS_NAMES) {
        for (const value of values[axis] ?? [DEFAULT_SETTINGS[axis]]) {
          assert.deepEqual(parseAxis(axis, String(value)), [value], `${name}: --${AXES[axis].flag} ${value}`);
        }
      }
    }
  }
});

test("edit distance and the nearest word", () => {
  assert.equal(editDistance("", "abc"), 3);
  assert.equal(editDistance("writer", "wirter"), 1);
  assert.equal(editDistance("kitten", "sitting"), 3);
  assert.equal(nearest("canoncal", ["canonical", "other"]), "canonical");
  assert.equal(nearest("zzz", ["canonical", "other"]), null);
});
