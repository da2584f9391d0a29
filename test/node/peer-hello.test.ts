// What a node shows when a connection opens: the bytes are those of the versions before, and what those end before is
// read as not said.
import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeHello, encodeHello, type Hello, NO_LOG_ID } from "../../src/node/peer-hello.js";

const HELLO: Hello = {
  logId: "0102030405060780",
  incarnation: 0xbde6f95ed583bdc2n,
  lastIndex: 2 ** 40 + 7,
  promiseMs: 900,
  standing: { at: 2 ** 33 + 5, given: true, address: "wss://b:1" },
};

/** Of HELLO without a standing, as the first version that had promises encoded it. */
const PLAIN = "01" + "0102030405060780" + "c2bd83d55ef9e6bd" + "0700000000010000" + "0000000000208c40";
const ADDRESS = "7773733a2f2f623a31";

function hex(hello: Hello): string {
  return Buffer.from(encodeHello(hello)).toString("hex");
}

function parsed(hex: string): Hello | null {
  return decodeHello(Buffer.from(hex, "hex"));
}

test("the bytes are those that other versions show and read", () => {
  const whole = `${PLAIN}000028000000004201${ADDRESS}`;
  assert.equal(hex(HELLO), whole);
  assert.deepEqual(parsed(whole), HELLO);
  const standing = { at: 2 ** 33 + 5, given: false, address: "wss://b:1" };
  assert.deepEqual(parsed(hex({ ...HELLO, standing })), { ...HELLO, standing });
  assert.equal(hex({ ...HELLO, standing: null }), PLAIN);
  const none = { ...HELLO, logId: NO_LOG_ID };
  assert.equal(hex(none), whole.replace(HELLO.logId, "0000000000000000"));
  assert.deepEqual(parsed(hex(none)), none);
});

test("what an older version ends before is not said, and a later version says nothing", () => {
  const plain = { ...HELLO, standing: null };
  assert.deepEqual(parsed(PLAIN), plain);
  assert.deepEqual(parsed(PLAIN.slice(0, -16)), { ...plain, promiseMs: Infinity });
  assert.equal(parsed(PLAIN.slice(0, -18)), null);
  assert.equal(parsed(""), null);
  assert.equal(parsed(`02${PLAIN.slice(2)}`), null);
});

test("a promise or a standing that cannot be is none", () => {
  for (const promiseMs of [-1, Number.NaN])
    assert.equal(decodeHello(encodeHello({ ...HELLO, promiseMs }))!.promiseMs, Infinity);
  const standings = [
    { at: 0, given: false, address: "" },
    { at: 0, given: true, address: "wss://b:1" },
    { at: 0.5, given: true, address: "wss://b:1" },
    { at: 2 ** 53, given: true, address: "wss://b:1" },
    { at: 9, given: true, address: "" },
  ];
  for (const standing of standings)
    assert.equal(decodeHello(encodeHello({ ...HELLO, standing }))!.standing, null);
  assert.equal(parsed(`${PLAIN}000028000000004202${ADDRESS}`)!.standing, null);
  // One at the limit is shown, and one above it is not.
  const at512 = { at: 9, given: true, address: "x".repeat(512) };
  assert.deepEqual(parsed(hex({ ...HELLO, standing: at512 }))!.standing, at512);
  assert.equal(hex({ ...HELLO, standing: { ...at512, address: "x".repeat(513) } }), PLAIN);
});
