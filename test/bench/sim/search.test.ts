// A search over many worlds, and how it ends.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { search } from "../../../bench/sim/search.js";

const MAIN = fileURLToPath(new URL("../../../src/cli/main.js", import.meta.url));
const ENDLESS = { first: 1, seeds: Infinity, ms: Infinity, steps: 50, profile: "none", processes: 2 };

test("who has seen enough gets what was found so far", { timeout: 60_000 }, async () => {
  const controller = new AbortController();
  const found = await search(
    ENDLESS,
    ({ worlds }) => {
      if (worlds === 3) controller.abort();
    },
    controller.signal,
  );
  assert.equal(found.worlds, 3);
  assert.ok(found.events > 0);
  assert.deepEqual(found.failures, []);
});

test("Ctrl-C ends a search with a tally", { timeout: 60_000 }, async () => {
  const words = ["sim", "--minutes", "1000", "--profile", "none", "--steps", "50"];
  // A terminal's Ctrl-C goes to the whole group.
  const child = spawn(process.execPath, [MAIN, ...words], { detached: true });
  const printed = text(child.stdout);
  let said = "";
  child.stderr.on("data", (data) => {
    if (said === "") process.kill(-child.pid!, "SIGINT");
    said += data;
  });
  const [status] = await once(child, "exit");
  assert.equal(status, 130, said);
  assert.match(await printed, /^interrupted, nothing broke: \d+ worlds?, \d+ events \(/);
});
