// What does not fit a frame is split, and says the same.
import assert from "node:assert/strict";
import { test } from "node:test";
import { crc32c } from "../../src/base/crc32c.js";
import { FrameSender } from "../../src/link/frame-sender.js";
import { Entry, Message, MsgApp, MsgAppResp } from "../../src/raft/raftpb/index.js";
import { FrameReader, FrameWriter, messageBytesMax } from "../../src/wire/index.js";
import { response } from "./ear.js";

const MAX_BYTES = 4096;

/** A sender of frames of at most MAX_BYTES, and what arrives. */
function sender(targetBytes = MAX_BYTES) {
  const arrived: Message[] = [];
  const frames: number[] = [];
  const reader = new FrameReader({ clusterId: 1, self: 2, crc32c });
  const writer = new FrameWriter({
    clusterId: 1,
    from: 1,
    crc32c,
    targetBytes,
    maxBytes: MAX_BYTES,
  });
  const sending = new FrameSender(writer, (_to, frame) => {
    frames.push(frame.length);
    assert.equal(reader.read(frame.slice(), 1, arrived), null);
    return true;
  });
  return { sending, arrived, frames };
}

/** Entries 11, 12, ... of these sizes; each has a term of its own. */
function appendOf(sizes: readonly number[]): Message {
  const entries = sizes.map((size, i) => new Entry(0, 5 + i, 11 + i, new Uint8Array(size).fill(i + 1)));
  return Object.assign(new Message(MsgApp), {
    from: 1,
    to: 2,
    term: 999_999,
    index: 10,
    logTerm: 4,
    commit: 9,
    entries,
  });
}

for (const [what, sizes] of [
  ["large entries", [3000, 1500, 1500, 3800, 10, 10, 3000]],
  ["tiny entries", new Array<number>(2000).fill(1)],
] as const) {
  test(`an append of ${what} above the frame's limit goes in parts that follow each other`, () => {
    const { sending, arrived, frames } = sender();
    assert.equal(sending.send(0, 2, [response(1, 2, 1), appendOf(sizes), response(1, 2, 2)]), true);
    assert.deepEqual([arrived[0]!.type, arrived.at(-1)!.type], [MsgAppResp, MsgAppResp]);
    let [index, term] = [10, 4];
    for (const part of arrived.slice(1, -1)) {
      assert.deepEqual([part.type, part.term, part.commit], [MsgApp, 999_999, 9]);
      assert.deepEqual([part.index, part.logTerm], [index, term]);
      assert.ok(part.entries.length > 0);
      for (const entry of part.entries) {
        assert.equal(entry.index, index + 1);
        assert.equal(entry.data.length, sizes[index - 10]);
        ({ index, term } = entry);
      }
    }
    assert.equal(index, 10 + sizes.length);
    assert.ok(Math.max(...frames) <= MAX_BYTES);
    assert.equal(sending.stats().framesDropped, 0);
  });
}

test("an append above what a good frame has goes in parts, the larger entries alone, and as few as they can be", () => {
  const { sending, arrived, frames } = sender(1024);
  assert.equal(sending.send(0, 2, [appendOf([300, 300, 300, 2000, 100, 100, 300])]), true);
  assert.deepEqual(
    arrived.map(({ index, logTerm, entries }) => [index, logTerm, entries.map(({ size }) => size)]),
    [
      [10, 4, [300, 300]],
      [12, 6, [300]],
      [13, 7, [2000]],
      [14, 8, [100, 100, 300]],
    ],
  );
  assert.equal(frames.length, 4);
  assert.equal(sending.stats().framesDropped, 0);
});

test("an entry above the frame's limit is dropped, with what follows it in its append, and nothing else", () => {
  const { sending, arrived } = sender();
  assert.equal(sending.send(0, 2, [appendOf([100, 5000, 100]), response(1, 2, 2)]), false);
  assert.deepEqual(
    arrived.map((message) => message.type),
    [MsgApp, MsgAppResp],
  );
  assert.equal(arrived[0]!.entries.length, 1);
  assert.equal(sending.stats().framesDropped, 1);
});

test("tiny entries that fit are not taken for too many", () => {
  const { sending, frames } = sender();
  const message = appendOf(new Array<number>(200).fill(1));
  assert.ok(messageBytesMax(message) > MAX_BYTES);
  assert.equal(sending.send(0, 2, [message]), true);
  assert.equal(frames.length, 1);
});
