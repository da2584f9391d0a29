// The checker of histories: histories that are fine, planted faults, and a twin that tries every order.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { findAnomaly, type Operation } from "../../../bench/sim/linearizable.js";
import { checkProperty } from "../../property.js";

function op(kind: Operation["kind"], value: number, from: number, to: number): Operation {
  return { kind, value, from, to, at: "node 1" };
}

test("reads that see the write under way, or the one before it, are fine", () => {
  const history = [op("write", 1, 0, 1), op("write", 2, 2, 6), op("read", 2, 3, 4), op("read", 1, 1.5, 3.5)];
  assert.equal(findAnomaly(history), null);
});

test("a stale read is found: it begins after the answer to a newer write", () => {
  const history = [op("write", 1, 0, 1), op("write", 2, 2, 3), op("read", 1, 3.5, 4)];
  assert.match(findAnomaly(history)!, /the read of 1 at node 1 \(3\.5 to 4\.0\)/);
});

test("a stale read is found between thousands that are right", () => {
  const history: Operation[] = [];
  for (let i = 1; i <= 5000; i++) {
    history.push(op("write", i, 4 * i, 4 * i + 1), op("read", i, 4 * i + 2, 4 * i + 3));
  }
  assert.equal(findAnomaly(history), null);
  assert.match(findAnomaly([...history, op("read", 2999, 4 * 3000 + 2, 4 * 3000 + 3)])!, /2999/);
});

test("what one read saw the next one sees", () => {
  const history = [op("write", 1, 0, 10), op("read", 1, 1, 2), op("read", 0, 3, 4)];
  assert.match(findAnomaly(history)!, /the read of 0/);
});

test("a write without an answer may have happened, late or never", () => {
  const open = op("write", 2, 2, Infinity);
  const before = op("write", 1, 0, 1);
  assert.equal(findAnomaly([before, open, op("read", 1, 50, 51)]), null);
  assert.equal(findAnomaly([before, open, op("read", 1, 50, 51), op("read", 2, 60, 61)]), null);
  assert.match(findAnomaly([before, open, op("read", 2, 50, 51), op("read", 1, 60, 61)])!, /1/);
});

test("a value that nobody wrote, and one read before it was written, are found", () => {
  assert.match(findAnomaly([op("read", 7, 0, 1)])!, /nobody wrote/);
  assert.match(findAnomaly([op("read", 7, 0, 1), op("write", 7, 2, 3)])!, /before/);
});

test("a swap tells what it found, and writes only if it expected that", () => {
  const swap = (value: number, expected: number, found: number, from: number): Operation => ({
    ...op("swap", value, from, from + 1),
    expected,
    found,
  });
  const history = [op("write", 1, 0, 1), swap(2, 1, 1, 2), swap(3, 1, 2, 4)];
  assert.equal(findAnomaly([...history, op("read", 2, 6, 7)]), null);
  assert.match(findAnomaly([...history, op("read", 3, 6, 7)])!, /the read of 3/);
  assert.match(findAnomaly([op("write", 1, 0, 1), swap(2, 0, 0, 2)])!, /swap of 2 for 0, which found 0,/);
});

/** Tries every order that the times allow. */
function isLinearizable(rest: readonly Operation[], value: number): boolean {
  if (rest.every(({ to }) => to === Infinity)) return true;
  const firstAnswer = Math.min(...rest.map(({ to }) => to));
  return rest.some((next) => {
    if (next.from > firstAnswer) return false;
    const saw = next.to === Infinity ? undefined : next.kind === "read" ? next.value : next.found;
    if (saw !== undefined && saw !== value) return false;
    const writes = next.kind === "write" || (next.kind === "swap" && next.expected === value);
    return isLinearizable(
      rest.filter((other) => other !== next),
      writes ? next.value : value,
    );
  });
}

test("it says what trying every order says", (t) => {
  const anOperation = fc.record({
    kind: fc.constantFrom("read" as const, "write" as const, "swap" as const),
    value: fc.integer({ min: 0, max: 4 }),
    expected: fc.integer({ min: 0, max: 4 }),
    from: fc.integer({ min: 0, max: 12 }),
    length: fc.integer({ min: 1, max: 8 }),
    open: fc.integer({ min: 0, max: 9 }),
  });
  const counts = { fine: 0, wrong: 0 };
  checkProperty(
    t,
    import.meta.url,
    fc.property(fc.array(anOperation, { maxLength: 8 }), (drawn) => {
      let written = 0;
      const history = drawn.map(({ kind, value, expected, from, length, open }, i): Operation => {
        const isOpen = kind !== "read" && open < 2;
        // No two times are the same: what happens in between is then no question of taste.
        const to = isOpen ? Infinity : from + length + 0.01 * i + 0.005;
        const operation = op(kind, kind === "read" ? value : ++written, from + 0.01 * i, to);
        if (kind !== "swap") return operation;
        return isOpen ? { ...operation, expected } : { ...operation, expected, found: value };
      });
      const expected = isLinearizable(history, 0);
      counts[expected ? "fine" : "wrong"]++;
      assert.equal(findAnomaly(history) === null, expected);
    }),
    3000,
  );
  assert.ok(process.env["SEED"] !== undefined || Math.min(counts.fine, counts.wrong) > 100);
});
