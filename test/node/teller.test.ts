// What a node tells people: not too often, and in the end how things stand.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Teller } from "../../src/node/teller.js";

function teller() {
  let now = 0;
  const lines: string[] = [];
  const at = (level: string) => (fields: object, text: string) => {
    const { repeated } = fields as { repeated?: number };
    lines.push(`${level} ${text}${repeated === undefined ? "" : ` (${repeated} more)`}`);
  };
  const logger = { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
  const made = new Teller(1, logger, () => now);
  const pass = (ms: number): void => {
    now += ms;
    made.tick();
  };
  return { made, lines, pass };
}

test("a peer that comes and goes is told of now and then, and in the end how it stands", () => {
  const { made, lines, pass } = teller();
  const change = (connected: boolean): void =>
    made.info({}, connected ? "here" : "gone", `peer 2 ${connected}`, "peer 2");
  change(true);
  pass(300);
  change(false);
  pass(300);
  change(true);
  assert.deepEqual(lines, ["info here", "info gone"]);
  pass(300);
  assert.equal(lines.length, 2);
  pass(100);
  assert.deepEqual(lines.splice(0), ["info here", "info gone", "info here (1 more)"]);
  pass(60_000);
  assert.deepEqual(lines, [], "once");
});

test("what was held back is not told when it is not so any more", () => {
  const { made, lines, pass } = teller();
  made.info({}, "here", "here", "peer");
  pass(500);
  // Held back, and then it is gone again, which is told at once.
  made.info({}, "here", "here", "peer");
  made.info({}, "gone", "gone", "peer");
  pass(60_000);
  assert.deepEqual(lines, ["info here", "info gone"]);
  // Another topic, and lines of none, are not concerned.
  made.warn({}, "often", "often");
  made.warn({}, "often", "often");
  pass(60_000);
  assert.deepEqual(lines.slice(2), ["warn often"]);
});
