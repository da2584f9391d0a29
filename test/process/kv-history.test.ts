// The checker of what clients were told of keys: histories that are fine, and a planted fault of each kind that is found. A
// model of the service tells the histories, so that the faults are planted in it and not in the history.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Prng } from "../../src/base/prng.js";
import { ABSENT, type Change, KvHistory, type Seen } from "./kv-history.js";

/** A service of one key: what it should do, and by `fault`, what it should not. */
class Model {
  readonly history = new KvHistory();
  private readonly past: Seen[] = [ABSENT];
  private index = 0;
  private time = 0;

  get now(): Seen {
    return this.past.at(-1)!;
  }

  private tick(): number {
    return ++this.time;
  }

  begin(expected: Seen | null = null): Change {
    return this.history.begin("k", expected, this.tick(), "node 1");
  }

  /** What the log does with it. Null: its condition did not hold. */
  apply({ value, expected }: Change): Seen | null {
    this.index++;
    if (expected !== null && expected.revision !== this.now.revision) return null;
    this.past.push({ value, revision: this.index });
    return this.now;
  }

  /** Applies, and tells. */
  answer(change: Change): void {
    const made = this.apply(change);
    if (made === null) this.history.refuse(change, this.now.revision, this.tick());
    else this.history.done(change, made.revision, this.tick());
  }

  put(): void {
    this.answer(this.begin());
  }

  swap(expected: Seen = this.now): void {
    this.answer(this.begin(expected));
  }

  read(seen: Seen = this.now): void {
    this.history.read("k", seen, this.tick(), this.tick(), "node 2");
  }

  /** What a write has done goes away, as if its log had been lost. */
  forget(): void {
    this.past.pop();
  }

  get findings(): string[] {
    return this.history.findings();
  }
}

test("puts, sets of what is there and of what is not, and reads of each: fine", () => {
  const model = new Model();
  model.read();
  model.swap(ABSENT);
  const first = model.now;
  model.put();
  model.swap(first);
  model.swap();
  model.read();
  assert.deepEqual(model.findings, []);
  const { acknowledged, refused, reads } = model.history;
  assert.deepEqual([acknowledged, refused, reads], [3, 1, 2]);
});

test("a change without an answer may have happened, late or never; one that was called lost may not", () => {
  const model = new Model();
  model.put();
  const open = model.begin();
  model.read();
  model.apply(open);
  model.read();
  const never = model.begin(model.now);
  model.read();
  assert.deepEqual(model.findings, []);
  model.history.deny(never);
  model.apply(never);
  model.read();
  assert.match(model.findings.join(), /saw what nobody wrote/);
});

test("a stale read is found", () => {
  const model = new Model();
  model.put();
  const old = model.now;
  model.put();
  model.read(old);
  assert.match(model.findings.join(), /key k is not linearizable: the read of 1 at node 2/);
});

test("a lost write is found: by a read, and by a set that goes by what was there before", () => {
  for (const look of [(model: Model) => model.read(), (model: Model) => model.swap()]) {
    const model = new Model();
    model.put();
    model.put();
    model.forget();
    look(model);
    assert.match(model.findings.join(), /not linearizable/);
  }
});

test("a lost write of a key that was never written before is found", () => {
  const model = new Model();
  model.put();
  model.forget();
  model.read();
  assert.match(model.findings.join(), /the read of 0/);
});

test("a write that is applied twice is found, over another's and over its own", () => {
  const model = new Model();
  const twice = model.begin();
  model.answer(twice);
  model.put();
  model.apply(twice);
  model.read();
  assert.match(model.findings.join(), /value 1 has revision 3, and had 1: it was written twice/);
  const again = new Model();
  const own = again.begin();
  again.answer(own);
  again.apply(own);
  again.read();
  assert.match(again.findings.join(), /value 1 has revision 2, and had 1/);
});

test("a set that is applied twice is found: it is refused for what it made itself", () => {
  const model = new Model();
  model.put();
  const twice = model.begin(model.now);
  model.apply(twice);
  model.answer(twice);
  model.read();
  assert.match(model.findings.join(), /not linearizable: the swap of 2 for 1, which found 2, at/);
});

test("two sets of one revision cannot both be made", () => {
  const model = new Model();
  model.put();
  const expected = model.now;
  model.swap(expected);
  const second = model.begin(expected);
  model.history.done(second, 9, 100);
  assert.match(model.findings.join(), /not linearizable/);
});

test("a set that is refused though its condition holds, and one that goes back, are found", () => {
  const model = new Model();
  model.put();
  model.history.refuse(model.begin(model.now), model.now.revision, 50);
  assert.match(model.findings.join(), /which it expected/);
  model.history.done(model.begin({ value: 1, revision: 7 }), 6, 60);
  assert.match(model.findings.join(), /a set of revision 7 made revision 6/);
});

test("one revision with two values is found", () => {
  const model = new Model();
  model.put();
  model.put();
  model.read({ value: 1, revision: 2 });
  assert.match(model.findings.join(), /revision 2 was value 2, and is value 1 now/);
});

/** Callers whose changes overlap, wait, are lost or stay open; then `plant` spoils one thing. */
function busyHistory(seed: number, plant: "nothing" | "stale" | "lost" | "twice"): string[] {
  const random = new Prng(seed);
  const model = new Model();
  const waiting: Change[] = [];
  const seen: Seen[] = [ABSENT];
  const some = <T>(list: readonly T[]): T => list[random.below(list.length)]!;
  for (let i = 0; i < 2000; i++) {
    const what = random.below(8);
    if (what < 3) model.read();
    else if (what < 5) waiting.push(model.begin(what === 3 ? null : some(seen.slice(-3))));
    else if (waiting.length > 0) {
      const [change] = waiting.splice(random.below(waiting.length), 1);
      const fate = random.below(10);
      if (fate === 0) model.history.deny(change!);
      else if (fate === 1) model.apply(change!);
      else if (fate > 2) model.answer(change!);
    }
    seen.push(model.now);
  }
  const last = model.now;
  model.put();
  if (plant === "stale") model.read(last);
  if (plant === "lost") model.forget();
  if (plant === "twice") {
    const change = model.begin(model.now);
    model.apply(change);
    model.answer(change);
  }
  model.read();
  return model.findings;
}

test("a fault is found behind two thousand calls that are right", () => {
  for (let seed = 1; seed <= 20; seed++) {
    assert.deepEqual(busyHistory(seed, "nothing"), [], `seed ${seed}`);
    for (const plant of ["stale", "lost", "twice"] as const)
      assert.notDeepEqual(busyHistory(seed, plant), [], `seed ${seed}, ${plant}`);
  }
});
