// Lookups of peers' names: few under way, and none that a dialler waits for longer than it has to.
import assert from "node:assert/strict";
import type { LookupFunction } from "node:net";
import { test } from "node:test";
import { Names } from "../../src/link/names.js";

type Callback = Parameters<LookupFunction>[2];

/** The system's lookups, each answered when the test says so. */
function nameServer(lateMs = 60_000) {
  const asked: { readonly hostname: string; readonly callback: Callback }[] = [];
  const names = new Names((hostname, _options, callback) => asked.push({ hostname, callback }), lateMs);
  const lookup = (hostname: string, all = false) =>
    new Promise<string>((resolve) =>
      names.lookup(hostname, { all }, (error, address) => resolve(error?.code ?? String(address))),
    );
  const answer = (address: string) => asked.pop()!.callback(null, address, 4);
  const fail = (code: string) => asked.pop()!.callback(Object.assign(new Error(code), { code }), "");
  return { asked, lookup, answer, fail };
}

test("a name has one lookup at a time, for all who want it meanwhile; names and options are told apart", async () => {
  const { asked, lookup, answer } = nameServer();
  const both = Promise.all([lookup("a"), lookup("a")]);
  assert.equal(asked.length, 1);
  answer("1.1.1.1");
  assert.deepEqual(await both, ["1.1.1.1", "1.1.1.1"]);
  const [again, other, all] = [lookup("a"), lookup("b"), lookup("a", true)];
  assert.deepEqual(
    asked.map(({ hostname }) => hostname),
    ["a", "b", "a"],
  );
  for (const address of ["3.3.3.3", "2.2.2.2", "1.1.1.2"]) answer(address);
  assert.deepEqual(await Promise.all([again, other, all]), ["1.1.1.2", "2.2.2.2", "3.3.3.3"]);
});

test("where a lookup is late, the answer before counts, also for who comes later; without one it is waited for", async () => {
  const { asked, lookup, answer } = nameServer(1);
  const first = lookup("a");
  await new Promise((resolve) => setTimeout(resolve, 20));
  answer("1.1.1.1");
  assert.equal(await first, "1.1.1.1");
  assert.deepEqual([await lookup("a"), await lookup("a"), asked.length], ["1.1.1.1", "1.1.1.1", 1]);
  answer("1.1.1.2");
  const next = lookup("a");
  answer("1.1.1.3");
  assert.equal(await next, "1.1.1.3");
});

test("where no name server answers, the answer before counts; that there is no such name is told", async () => {
  const { lookup, answer, fail } = nameServer();
  const failing = lookup("a");
  fail("EAI_AGAIN");
  assert.equal(await failing, "EAI_AGAIN");
  const known = lookup("a");
  answer("1.1.1.1");
  await known;
  for (const [code, given] of [
    ["EAI_AGAIN", "1.1.1.1"],
    ["ENOTFOUND", "ENOTFOUND"],
  ] as const) {
    const next = lookup("a");
    fail(code);
    assert.equal(await next, given);
  }
});
