// Whom a leader that ends asks to take over, and how often.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Shutdown } from "../../src/node/shutdown.js";
import { MsgTimeoutNow } from "../../src/raft/index.js";
import { Network } from "../raft/network.js";

/** Node 1 leads and ends; until the network is healed nobody can take over. Looks and ticks; returns whom it asked. */
function ending(stays: boolean): { network: Network; turns: (count: number) => number[] } {
  const network = new Network({ voters: [1, 2, 3], config: { checkQuorum: true, preVote: true } });
  network.elect(1);
  network.drops = (m) => m.type === MsgTimeoutNow;
  const rawNode = network.raw(1);
  const asked: number[] = [];
  const shutdown = new Shutdown({
    rawNode,
    connected: new Set([2, 3]),
    queued: () => 0,
    underWay: () => 0,
    control: (call) => call(rawNode),
    onHandOver: (heir) => asked.push(heir),
  });
  shutdown.stays = stays;
  const turns = (count: number): number[] => {
    for (let i = 0; i < count; i++) {
      shutdown.look();
      network.tick();
    }
    return asked;
  };
  return { network, turns };
}

test("a leader that was removed asks again whom it asked before: they may not have applied the removal yet", () => {
  const { network, turns } = ending(true);
  assert.deepEqual(turns(35).slice(0, 3), [2, 3, 2]);
  network.heal();
  turns(20);
  assert.notEqual(network.leader()!.id, 1);
});

test("any other asks each once", () => {
  assert.deepEqual(ending(false).turns(50), [2, 3]);
});

test("two very long election timeouts are no timer that ends at once", (t) => {
  const timers = t.mock.method(globalThis, "setTimeout");
  const rawNode = new Network({ voters: [1] }).raw(1);
  const shutdown = new Shutdown({
    rawNode,
    connected: new Set(),
    queued: () => 0,
    underWay: () => 1,
    control: () => {},
    onHandOver: () => {},
  });
  shutdown.within(2 ** 32);
  shutdown.end();
  assert.deepEqual(
    timers.mock.calls.map((call) => call.arguments[1]),
    [2 ** 31 - 1],
  );
});
