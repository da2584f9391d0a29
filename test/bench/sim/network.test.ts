// The simulated network by itself: what stays of the faults when they are over.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Dice } from "../../../bench/sim/dice.js";
import { FAIR, type Port, SimNetwork } from "../../../bench/sim/network.js";
import { Schedule } from "../../../bench/sim/schedule.js";
import { LaneBulk } from "../../../src/link/lanes.js";
import type { Inside } from "./planted-fault.js";

/** Two nodes whose connection stands; the sizes of the frames that came, in their order. */
function twoNodes() {
  const schedule = new Schedule();
  const came: number[] = [];
  const receive = (_: number, bytes: Uint8Array): null => {
    came.push(bytes.length);
    return null;
  };
  const link = { isOpen: true, receive, tellPeer: () => {} } as Inside;
  const port: Port = { link, enter: (_, work) => work() };
  const network = new SimNetwork([1, 2], schedule, new Dice(1), {
    port: () => port,
    sends: () => {},
    frame: () => {},
    fail: assert.fail,
  });
  const path = (network as Inside).path(1, 2);
  path.open = true;
  const post = (size: number): void => {
    assert.ok(network.post(1, 2, LaneBulk, new Uint8Array(size), 1 << 20));
  };
  return { network, schedule, path, came, post };
}

test("frames that were held on a narrow path hold up nothing when the faults are over", () => {
  const { network, schedule, came, post } = twoNodes();
  network.weather = { ...FAIR, bytesPerMs: 1 };
  network.cut(1, 2, "hold");
  post(8_000);
  network.heal();
  network.weather = FAIR;
  post(10);
  while (schedule.step(Infinity));
  assert.deepEqual(came, [10, 8_000]);
});

test("a connection that is made anew does not wait for what was on its way in the one before", () => {
  const { network, schedule, path, came, post } = twoNodes();
  network.weather = { ...FAIR, bytesPerMs: 1 };
  post(8_000);
  network.redial(1, 2);
  network.weather = FAIR;
  path.open = true;
  post(10);
  while (came.length === 0 && schedule.step(Infinity));
  assert.deepEqual(came, [10]);
});
