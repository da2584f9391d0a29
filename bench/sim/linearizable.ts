// Whether what clients saw of a register can have happened at one moment each (Herlihy and Wing's linearizability):
// Wing and Gong's search for an order ("Testing and Verifying Concurrent Objects", 1993), which remembers where it has
// been, as Lowe has it ("Testing for Linearizability", 2017). Registers are looked at one by one, which says the same
// of a map of them. Knows nothing of Raft.
import { assert } from "../../src/base/assert.js";

/** A call on a register, from when it was made to when its answer was there. Registers begin with 0. */
export interface Operation {
  /** A swap writes if it finds what it expects. */
  readonly kind: "read" | "write" | "swap";
  /** What was written, by nobody else; or what was read. */
  readonly value: number;
  readonly from: number;
  /** Infinity: no answer, or one that leaves open what happened. It may have happened at any time, or never. */
  readonly to: number;
  /** Who it was asked of, for the report. */
  readonly at: string;
  /** Of a swap: what it expects; and what it found, if it was answered. */
  readonly expected?: number;
  readonly found?: number;
  /** Where it is likely to come among the others: orders are tried in this one first. Left out: by its answer. */
  readonly hint?: number;
}

/** A call or an answer, in the order of time: a doubly linked list of what is not in the order yet. */
interface Moment {
  readonly operation: Operation;
  /** Of its call among all calls. */
  readonly id: number;
  readonly isCall: boolean;
  /** Of a call: its answer; null if there is none. */
  answer: Moment | null;
  before: Moment | null;
  after: Moment | null;
}

/** A state of the search: what may come next, and what was tried last, from where the register had `value`. */
interface Step {
  readonly options: readonly Moment[];
  next: number;
  taken: Moment | null;
  readonly value: number;
  readonly last: number;
}

/** A search that has been in so many places, and so many for each call, will hardly end. */
const PLACES_MAX = 100_000;
const PLACES_PER_CALL_MAX = 20;

/** What cannot be: null if the operations of a register are linearizable. */
export function findAnomaly(operations: readonly Operation[]): string | null {
  const written = new Map<number, Operation>();
  for (const operation of operations) {
    if (operation.kind === "read") continue;
    assert(!written.has(operation.value) && operation.value !== 0, "two writes of one value");
    written.set(operation.value, operation);
  }
  for (const operation of operations) {
    const saw = seen(operation);
    if (saw === null || saw === 0) continue;
    const write = written.get(saw);
    if (write === undefined) return `${describe(operation)} saw what nobody wrote`;
    if (operation.to < write.from) return `${describe(operation)} saw it before ${describe(write)}`;
  }
  return new Search(relevant(operations)).run();
}

/** What it was answered about the register's value before it; null: nothing. */
function seen({ kind, value, to, found }: Operation): number | null {
  if (to === Infinity || kind === "write") return null;
  return kind === "read" ? value : found!;
}

/** All but what says nothing: reads without an answer, and writes without one that nobody saw, which need not have been. */
function relevant(operations: readonly Operation[]): Operation[] {
  const looked = new Set<number | null>();
  for (const operation of operations) {
    looked.add(seen(operation));
    // Whether it found it is not known.
    if (operation.kind === "swap" && operation.to === Infinity) looked.add(operation.expected!);
  }
  return operations.filter(({ kind, value, to }) => to < Infinity || (kind !== "read" && looked.has(value)));
}

class Search {
  /** In front of the first moment. */
  private readonly head: Moment;
  private value = 0;
  /** The highest id of a call in the order so far. */
  private last = -1;
  private answersLeft = 0;
  /** Values whose writes are in the order. */
  private readonly written = new Set<number>([0]);
  /** Where it has been: which calls are in the order, and the register's value then. */
  private readonly visited = new Set<string>();
  private readonly placesMax: number;
  /** The last answer that no order came past. */
  private stuckAt: Moment | null = null;

  constructor(operations: readonly Operation[]) {
    const calls = operations.slice().sort((a, b) => a.from - b.from);
    const moments: Moment[] = [];
    calls.forEach((operation, id) => {
      const call: Moment = { operation, id, isCall: true, answer: null, before: null, after: null };
      moments.push(call);
      if (operation.to === Infinity) return;
      call.answer = { ...call, isCall: false };
      moments.push(call.answer);
      this.answersLeft++;
    });
    // At one time, calls come first: they overlap.
    moments.sort((a, b) => timeOf(a) - timeOf(b) || Number(b.isCall) - Number(a.isCall) || a.id - b.id);
    this.head = { operation: calls[0]!, id: -1, isCall: false, answer: null, before: null, after: null };
    this.placesMax = PLACES_MAX + PLACES_PER_CALL_MAX * calls.length;
    let at = this.head;
    for (const moment of moments) {
      at.after = moment;
      moment.before = at;
      at = moment;
    }
  }

  run(): string | null {
    if (this.answersLeft === 0) return null;
    const steps: Step[] = [this.step()];
    for (;;) {
      const step = steps[steps.length - 1];
      if (step === undefined)
        return this.describeStuck("fits in no order of what was called before its answer");
      if (step.taken !== null) this.putBack(step);
      const call = step.options[step.next++];
      if (call === undefined) {
        steps.pop();
        continue;
      }
      this.take(call);
      step.taken = call;
      if (this.answersLeft === 0) return null;
      if (this.isNew()) steps.push(this.step());
      if (this.visited.size > this.placesMax) return this.describeStuck("fitted in no order that was tried");
    }
  }

  /** What may come next. */
  private step(): Step {
    const { value, last } = this;
    return { options: this.options(), next: 0, taken: null, value, last };
  }

  private options(): Moment[] {
    const options: Moment[] = [];
    let at = this.head.after;
    for (; at?.isCall === true; at = at.after) {
      const { operation } = at;
      const saw = seen(operation);
      if (saw !== null && saw !== this.value) {
        // What it saw was overwritten, and no value comes back.
        if (this.written.has(saw)) {
          this.noteStuck(at.answer);
          return [];
        }
        continue;
      }
      // It changes nothing: if it can come now, it may as well.
      if (saw !== null && valueAfter(operation, saw) === saw) return [at];
      options.push(at);
    }
    if (options.length === 0) this.noteStuck(at);
    return options.sort((a, b) => hintOf(a) - hintOf(b) || a.id - b.id);
  }

  private noteStuck(answer: Moment | null): void {
    if (answer !== null && (this.stuckAt === null || answer.id > this.stuckAt.id)) this.stuckAt = answer;
  }

  /** Puts `call` next. */
  private take(call: Moment): void {
    const { operation, answer, id } = call;
    this.value = valueAfter(operation, this.value);
    this.written.add(this.value);
    this.last = Math.max(this.last, id);
    unlink(call);
    if (answer === null) return;
    unlink(answer);
    this.answersLeft--;
  }

  private putBack(step: Step): void {
    const call = step.taken!;
    if (call.answer !== null) {
      link(call.answer);
      this.answersLeft++;
    }
    link(call);
    if (this.value !== step.value) this.written.delete(this.value);
    this.value = step.value;
    this.last = step.last;
    step.taken = null;
  }

  /** Whether no order of the same calls that ends with the same value was tried. */
  private isNew(): boolean {
    const before = this.visited.size;
    // All calls up to the last are in the order, but for these.
    let place = `${this.value} ${this.last}`;
    for (let at = this.head.after; at !== null && at.id < this.last; at = at.after) {
      if (at.isCall) place += ` ${at.id}`;
    }
    this.visited.add(place);
    return this.visited.size > before;
  }

  private describeStuck(how: string): string {
    return `${describe((this.stuckAt ?? this.head).operation)} ${how}`;
  }
}

function timeOf({ isCall, operation }: Moment): number {
  return isCall ? operation.from : operation.to;
}

function hintOf({ operation }: Moment): number {
  return operation.hint ?? operation.to;
}

function valueAfter({ kind, value, expected }: Operation, before: number): number {
  return kind === "write" || (kind === "swap" && before === expected) ? value : before;
}

function unlink({ before, after }: Moment): void {
  before!.after = after;
  if (after !== null) after.before = before;
}

/** In the reverse order of unlink. */
function link(moment: Moment): void {
  moment.before!.after = moment;
  if (moment.after !== null) moment.after.before = moment;
}

function describe({ kind, value, from, to, at, expected, found }: Operation): string {
  const what =
    kind === "swap"
      ? `${value} for ${expected}${found === undefined ? "" : `, which found ${found},`}`
      : value;
  return `the ${kind} of ${what} at ${at} (${from.toFixed(1)} to ${to.toFixed(1)})`;
}
