// A storage whose old entries are not at hand (Storage.atHand): what is sent and applied waits for them, and nothing else.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type Message,
  MsgApp,
  MsgAppResp,
  MsgHeartbeat,
  MsgHeartbeatResp,
  MsgSnap,
} from "../../src/raft/index.js";
import { Network } from "./network.js";
import { SlowStorage } from "./slow-storage.js";

/** Node 1 leads; 3 lacks the last ten entries, of which nothing is at hand. Messages to 3 wait in `queue`. */
function lagging(): { network: Network; storage: SlowStorage; toThree: () => Message[] } {
  const network = new Network({
    voters: [1, 2, 3],
    config: { asyncStorageWrites: true },
    storage: () => new SlowStorage(),
  });
  network.elect(1);
  network.isolate(3);
  for (let i = 0; i < 10; i++) {
    network.propose(1, `e${i}`);
    network.settle();
  }
  network.raw(1).reportUnreachable(3);
  network.queue = [];
  const toThree = (): Message[] => {
    while (network.get(1).handleReady()) {
      // Only its messages are wanted.
    }
    const sent = network.queue.filter(({ to }) => to === 3);
    network.queue = [];
    return sent;
  };
  toThree();
  return { network, storage: network.get(1).storage as SlowStorage, toThree };
}

function answer(m: Message, type: Message["type"], more: Partial<Message> = {}): Message {
  return Object.assign(Object.create(Object.getPrototypeOf(m)), m, {
    type,
    from: 3,
    to: 1,
    ...more,
  }) as Message;
}

test("a probe goes without entries that are not at hand, and entries follow when they were read", () => {
  const { network, storage, toThree } = lagging();
  const raw = network.raw(1);
  for (let i = 0; i < 2; i++) raw.tick();
  const heartbeat = toThree().find(({ type }) => type === MsgHeartbeat)!;
  raw.step(answer(heartbeat, MsgHeartbeatResp));
  const [probe, ...others] = toThree();
  assert.deepEqual([probe!.type, probe!.entries.length, others.length], [MsgApp, 0, 0]);
  raw.step(answer(probe!, MsgAppResp));
  assert.deepEqual(toThree(), [], "it is being read");
  assert.equal(storage.read(), 3);
  raw.entriesRead(3);
  const indexes: number[] = [];
  for (let sent = toThree(); sent.length > 0; sent = toThree()) {
    for (const m of sent) indexes.push(...m.entries.map(({ index }) => index));
    if (storage.read() === 3) raw.entriesRead(3);
  }
  assert.deepEqual(indexes, [3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
});

test("who waits for an entry that is compacted meanwhile gets a snapshot", () => {
  const { network, storage, toThree } = lagging();
  const raw = network.raw(1);
  raw.tick();
  const heartbeat = toThree().find(({ type }) => type === MsgHeartbeat)!;
  raw.step(answer(heartbeat, MsgHeartbeatResp));
  const [probe] = toThree();
  raw.step(answer(probe!, MsgAppResp));
  assert.deepEqual(toThree(), []);
  storage.createSnapshot(10, null, new Uint8Array(1));
  storage.compact(10);
  raw.entriesRead(3);
  assert.deepEqual(
    toThree().map(({ type }) => type),
    [MsgSnap],
  );
});

test("a call for a reader that waits for nothing, or is none, changes nothing", () => {
  const { network, toThree } = lagging();
  const before = JSON.stringify(network.raw(1).raft.trk.peers);
  for (const reader of [0, 1, 2, 99]) network.raw(1).entriesRead(reader);
  network.raw(2).entriesRead(3);
  assert.deepEqual(toThree(), []);
  assert.equal(JSON.stringify(network.raw(1).raft.trk.peers), before);
});
