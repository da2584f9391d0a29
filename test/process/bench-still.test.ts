// A node of a bench that stands still is told long before its window is over. The tests wait for the most part, and so do it
// together.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { Result } from "../../bench/report/result-schema.js";
import { assertClean, Command, childrenOf, commandLineOf, hasJournal, scratchDir, until } from "./support.js";

const scratch = scratchDir("bench-still");
after(() => Command.killAll());
after(() => scratch.remove());

const ONE = ["--writer", "pool-wasm"];
const OVER_MS = 120_000;

describe("nodes that stand still", { concurrency: true }, () => {
  test("a node that stands still leaves its own run void, with the reason, and no other", async () => {
    const cwd = scratch.folder();
    const axes = ["--writer", "inline-js,pool-wasm", "--in-flight", "16", "--rounds", "2"];
    const words = [...axes, "--duration", "2s", "--warmup", "200ms", "--out", "out.json"];
    const command = new Command(cwd, "bench", ...words);
    const nodes = () => childrenOf(command.pid).filter((pid) => commandLineOf(pid).at(-1) === "node-3");
    await until("two clusters under load", OVER_MS, () => nodes().length === 2 && hasJournal(cwd));
    process.kill(nodes()[0], "SIGSTOP");
    assert.equal(await command.end(OVER_MS), 1, command.stderr);
    const { runs, interrupted } = Result.parse(JSON.parse(readFileSync(join(cwd, "out.json"), "utf8")));
    assert.equal(interrupted, false, "it went on");
    const [voids, sound] = [true, false].map((is) => runs.filter((run) => run.void.length > 0 === is));
    assert.equal(voids.length, 1);
    assert.match(
      voids[0].void[0],
      /^node 3 \(pid \d+\) did not answer "\w+" in \d+ ms: it stands still, or /,
    );
    assert.equal(sound.length, 3);
    assert.match(command.stdout, /void, row \d, round 1: node 3 .* did not answer/);
    assertClean(cwd);
  });

  for (const [name, node, axes] of [
    [
      "a leader that stands still under a client's load is told long before the window is over",
      1,
      ["--from", "client", "--nodes", "1"],
    ],
    ["a follower that stands still under the leader's own load is told as soon", 3, ["--nodes", "3"]],
  ] as const) {
    test(name, async () => {
      const cwd = scratch.folder();
      const words = [
        ...ONE,
        ...axes,
        "--in-flight",
        "16",
        "--rounds",
        "1",
        "--duration",
        "60s",
        "--warmup",
        "100ms",
      ];
      const command = new Command(cwd, "bench", ...words);
      const still = () => childrenOf(command.pid).find((pid) => commandLineOf(pid).at(-1) === `node-${node}`);
      await until("a load under way", OVER_MS, () => still() !== undefined && hasJournal(cwd));
      process.kill(still()!, "SIGSTOP");
      const told = new RegExp(`void: node ${node} .* gave no sign of life for 10000 ms under load`);
      await until("it to be told", OVER_MS, () => told.test(command.stdout));
      // Where the machine disturbed it, it is made again.
      command.child.kill("SIGINT");
      await command.end(OVER_MS);
      assertClean(cwd);
    });
  }
});
