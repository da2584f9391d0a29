// Ctrl-C: what ends in order keeps what it has, however long it then takes to show it.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";

const MODULE = new URL("../../src/cli/interrupt.js", import.meta.url).href;

/** Runs `body`, which has `untilInterrupted`, in a process of its own. */
function run(body: string) {
  const program = `import { untilInterrupted } from ${JSON.stringify(MODULE)};\n${body}`;
  return spawnSync(process.execPath, ["--input-type=module", "-e", program], { encoding: "utf8" });
}

const ABORTED = `(signal) => new Promise((resolve) => {
  const held = setInterval(() => {}, 1000);
  signal.addEventListener("abort", () => resolve("kept", clearInterval(held)));
  process.kill(process.pid, "SIGINT");
})`;

test("the deadline is for the work alone, not for showing what it kept", () => {
  const ended = run(`
    const kept = await untilInterrupted(${ABORTED}, 1);
    await new Promise((resolve) => setTimeout(resolve, 100));
    process.stdout.write(kept);`);
  assert.deepEqual([ended.status, ended.stdout, ended.stderr], [0, "kept", ""]);
});

test("what does not end in order is ended, and that is said", () => {
  const ended = run(`
    setInterval(() => {}, 1000);
    await untilInterrupted(() => new Promise(() => process.kill(process.pid, "SIGINT")), 1);`);
  assert.equal(ended.status, 130);
  assert.equal(ended.stderr, "raftmark: interrupted, and it did not end in order: what was done is lost.\n");
});

test("asked twice in a moment, as by a terminal and by npm, is asked once; twice by a person is at once", () => {
  const twice = (ms: number) =>
    run(`
      const held = setInterval(() => {}, 1000);
      const again = () => process.kill(process.pid, "SIGINT");
      const work = (signal) => new Promise((resolve) => {
        signal.addEventListener("abort", () => {
          setTimeout(again, ${ms});
          setTimeout(resolve, ${ms} + 300, "kept");
        });
        again();
      });
      process.stdout.write(await untilInterrupted(work));
      clearInterval(held);`);
  const once = twice(1);
  assert.deepEqual([once.status, once.stdout], [0, "kept"]);
  const hurried = twice(1000);
  assert.deepEqual([hurried.status, hurried.stdout], [130, ""]);
});

test("work that has much to end in order is given the time that it asks for, and no more", () => {
  const slow = (allowMs: number) =>
    run(`
      const held = setInterval(() => {}, 1000);
      const work = (signal, allow) => new Promise((resolve) => {
        signal.addEventListener("abort", () => {
          allow(${allowMs});
          setTimeout(resolve, 1000, "kept");
        });
        process.kill(process.pid, "SIGINT");
      });
      process.stdout.write(await untilInterrupted(work, 100));
      clearInterval(held);`);
  const patient = slow(60_000);
  assert.deepEqual([patient.status, patient.stdout], [0, "kept"]);
  const late = slow(1);
  assert.deepEqual([late.status, late.stdout], [130, ""]);
});
