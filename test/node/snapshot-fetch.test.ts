// The end that fetches a snapshot: what it lets come, and what it takes for no piece.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { SnapshotLaneEvents } from "../../src/link/index.js";
import { SnapshotFetch } from "../../src/node/snapshot-fetch.js";
import { beginPiece, decodeSnapshotMessage, sealPiece, type Want } from "../../src/node/snapshot-wire.js";
import { meta } from "../wal/helpers.js";

const NAME = { group: 0, index: 50, term: 2 };

test("more than there is room for is not taken: the connection is given up, and memory does not grow", async () => {
  let events: SnapshotLaneEvents | null = null;
  const limits: number[] = [];
  const fetch = new SnapshotFetch({
    group: 0,
    from: 2,
    metadata: meta(50, 2),
    tickMs: 100,
    windowBytes: 1000,
    openLane: (given) => {
      events = given;
      const send = (bytes: Uint8Array): boolean => limits.push((decodeSnapshotMessage(bytes) as Want).to) > 0;
      return { send, close: () => {} };
    },
  });
  const piece = (at: number, size: number): boolean => {
    const bytes = beginPiece(NAME, 5000, at, size);
    sealPiece(bytes);
    return events!.onMessage(bytes);
  };
  events!.onOpen();
  assert.deepEqual(limits, [1000]);
  assert.equal(piece(0, 600), true);
  assert.equal(piece(600, 401), false);
  assert.equal(fetch.received, 600);
  assert.equal(piece(600, 400), true);
  assert.equal(piece(1000, 1), false);
  // What went on to the disk makes room.
  await fetch.next();
  assert.deepEqual(limits, [1000, 1600]);
  assert.equal(piece(1000, 600), true);
});
