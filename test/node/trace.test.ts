// What a trace keeps of proposals and appends. Real nodes are in test/process/trace.test.ts.
import assert from "node:assert/strict";
import { test } from "node:test";
import { APPEND, SAMPLE, SAMPLE_COLUMNS, sampleColumn, Trace } from "../../src/node/trace.js";
import { Entry, Message, MsgApp } from "../../src/raft/index.js";

const EVER = Number.POSITIVE_INFINITY;

function append(from: number, first: number, last: number): Message {
  const message = new Message(MsgApp);
  message.from = from;
  message.to = 3;
  message.entries = [];
  for (let index = first; index <= last; index++)
    message.entries.push(new Entry(0, 1, index, new Uint8Array(1)));
  return message;
}

function propose(trace: Trace, index: number): void {
  const ticket = trace.proposed();
  trace.taking();
  trace.taken(index, ticket);
}

test("one proposal in so many is followed", () => {
  const trace = new Trace(3);
  const followed = Array.from({ length: 9 }, () => trace.proposed() > 0);
  assert.deepEqual(followed, [false, false, true, false, false, true, false, false, true]);
});

test("a sample passes its stations in order, and names whose copy completed its quorum", () => {
  const trace = new Trace(1);
  for (const index of [10, 11, 12]) propose(trace, index);
  trace.received([]);
  trace.committed(9, 2);
  trace.committed(11, 2);
  trace.applied(11);
  trace.resolved(10);
  trace.resolved(11);
  trace.durable(0);
  trace.committed(12, 1);
  trace.applied(12);
  const samples = trace.samplesBetween(0, EVER);
  assert.deepEqual([...sampleColumn(samples, SAMPLE.index)], [10, 11], "12 is not resolved yet");
  assert.deepEqual([...sampleColumn(samples, SAMPLE.by)], [2, 2]);
  const times = [...samples.subarray(SAMPLE.proposedUs, SAMPLE.committedUs + 1), ...samples.subarray(6, 8)];
  assert.deepEqual(
    times,
    times.toSorted((a, b) => a - b),
  );
  trace.resolved(12);
  assert.deepEqual([...sampleColumn(trace.samplesBetween(0, EVER), SAMPLE.by)], [2, 2, 1]);
  assert.equal(trace.samplesBetween(0, samples[SAMPLE.proposedUs]).length, 0, "resolved later");
});

test("a follower's append knows when the last of its messages came in", () => {
  const trace = new Trace(1);
  trace.received([append(1, 1, 4)]);
  trace.received([append(1, 5, 8)]);
  trace.ready();
  trace.handed(1, [...append(1, 1, 4).entries, ...append(1, 5, 8).entries]);
  trace.durable(1);
  trace.responding();
  const found = trace.appendsOf(Float64Array.of(7, 9));
  assert.equal(found[APPEND.first], 1);
  assert.ok(found[APPEND.receivedUs] > 0);
  assert.ok(found[APPEND.handedUs] >= found[APPEND.receivedUs]);
  assert.ok(found[APPEND.respondedUs] >= found[APPEND.noticedUs]);
  assert.equal(found[APPEND.durableUs], 0, "no writer told");
  assert.equal(found[found.length / 2 + APPEND.first], 0, "9 is not known");
});

test("the first time an entry was given to the link for a node counts", () => {
  const trace = new Trace(1);
  trace.sending([append(1, 1, 4)]);
  const [first] = trace.sendingsOf(Float64Array.of(2), Float64Array.of(3));
  trace.sending([append(1, 1, 4)]);
  const sent = trace.sendingsOf(Float64Array.of(2, 2, 5), Float64Array.of(3, 2, 3));
  assert.ok(first > 0);
  assert.deepEqual([...sent], [first, 0, 0]);
});

test("the newest samples are kept", () => {
  const trace = new Trace(1);
  const count = 70_000;
  for (let index = 1; index <= count; index++) {
    propose(trace, index);
    trace.received([]);
    trace.committed(index, 2);
    trace.applied(index);
    trace.resolved(index);
  }
  const indices = sampleColumn(trace.samplesBetween(0, EVER), SAMPLE.index);
  assert.equal(indices.length, 65_536);
  assert.equal(indices.at(-1), count);
  assert.equal(indices[0], count - indices.length + 1);
  assert.equal(SAMPLE_COLUMNS, Object.keys(SAMPLE).length);
});
