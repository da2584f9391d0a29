// What a trace keeps of proposals and appends. Real nodes are in test/process/trace.test.ts.
import assert from "node:assert/strict";
import { test } from "node:test";
import { APPEND, SAMPLE, SAMPLE_COLUMNS, sampleColumn, Trace } from "../../src/node/trace.js";
import { Entry, Message, MsgApp, MsgAppResp } from "../../src/raft/index.js";

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
  trace.took(index);
  const ticket = trace.proposed(0);
  trace.taking(1);
  if (ticket > 0) trace.taken(index, ticket);
  trace.took(index + 1);
}

/** As the quorum's answer would. */
function answer(index: number): Message {
  const message = new Message(MsgAppResp);
  message.index = index;
  return message;
}

test("entries whose index is a multiple are followed, wherever their proposals stood in a batch", () => {
  const trace = new Trace(3);
  trace.took(100);
  const followed = Array.from({ length: 9 }, (_, ahead) => trace.proposed(ahead) > 0);
  assert.deepEqual(followed, [false, false, true, false, false, true, false, false, true]);
});

test("a proposal that got another index than foreseen is no sample", () => {
  const trace = new Trace(3);
  trace.took(99);
  const ticket = trace.proposed(0);
  trace.taking(1);
  trace.taken(100, ticket);
  trace.committed(100, 2);
  trace.applied(100);
  trace.resolved(100);
  assert.equal(trace.samplesBetween(0, EVER).length, 0);
});

test("appends and messages without a followed entry leave no row", () => {
  const trace = new Trace(10);
  const message = append(1, 11, 19);
  trace.received([message]);
  trace.ready(message.entries);
  trace.handed(1, message.entries);
  trace.sending([message]);
  assert.equal(trace.appendsOf(Float64Array.of(15))[APPEND.first], 0);
  assert.equal(trace.sendingsOf(Float64Array.of(15), Float64Array.of(3))[0], 0);
  const next = append(1, 20, 20);
  trace.received([next]);
  trace.ready(next.entries);
  trace.handed(2, next.entries);
  trace.durable(2);
  const row = trace.appendsOf(Float64Array.of(20));
  assert.equal(row[APPEND.first], 20);
  assert.ok(row[APPEND.receivedUs] > 0 && row[APPEND.noticedUs] >= row[APPEND.handedUs]);
});

test("a trace that is told not to follow notes nothing until it is told to", () => {
  const trace = new Trace(10);
  const message = append(1, 11, 20);
  trace.follow(0);
  propose(trace, 10);
  trace.sending([message]);
  assert.equal(trace.sendingsOf(Float64Array.of(20), Float64Array.of(3))[0], 0);
  trace.follow(10);
  trace.sending([message]);
  assert.ok(trace.sendingsOf(Float64Array.of(20), Float64Array.of(3))[0] > 0);
  trace.took(30);
  assert.ok(trace.proposed(0) > 0);
});

test("tables are not counted as garbage to come", () => {
  const before = process.memoryUsage().external;
  const trace = new Trace(1);
  assert.ok(process.memoryUsage().external - before < 1e6, "V8 would collect the heap more often for them");
  assert.equal(trace.samplesBetween(0, EVER).length, 0);
});

test("a sample passes its stations in order, and names whose copy completed its quorum", () => {
  const trace = new Trace(1);
  for (const index of [10, 11, 12]) propose(trace, index);
  trace.received([answer(11)]);
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
  const entries = [...append(1, 1, 4).entries, ...append(1, 5, 8).entries];
  trace.ready(entries);
  trace.handed(1, entries);
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
    trace.received([answer(index)]);
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
