// Hands committed entries to the state machine, in order and one call at a time. Entries count as applied when the call
// returns, or when the promise that it returned resolves; only the second costs a promise. What the core hands out
// meanwhile waits here. That is bounded, as the core hands out no more than its limit (Config.maxCommittedSizePerReady)
// before it hears that something was applied. Main thread.
import { assert } from "../base/assert.js";
import { type Entry, EntryNormal, type Message } from "../raft/index.js";
import type { StateMachine } from "./api.js";
import { resultsOf } from "./apply-results.js";
import { isThenable } from "./outside.js";
import { isOfSession } from "./session-entry.js";

/** What of a call's entries the state machine gets, where that is not all of them. */
export interface ApplyPlan {
  readonly toApply: Entry[];
  /** One for each normal entry, given what the state machine returned for those that it got. */
  results(returned: readonly unknown[] | undefined): readonly unknown[] | undefined;
}

export interface ApplierParts {
  readonly stateMachine: StateMachine;
  /** For entries that are not all plain: of sessions, of Raft, changes of members. */
  readonly plan: (entries: readonly Entry[]) => ApplyPlan;
  /**
   * `entries` are applied; the state machine returned `results` for the normal ones with data, or none. `responses` are
   * those of the messages that they came with.
   */
  readonly onApplied: (
    entries: readonly Entry[],
    results: readonly unknown[] | undefined,
    responses: readonly Message[],
  ) => void;
  /** Runs what a promise leads to; what it throws fences the node. */
  readonly guard: (work: () => void) => void;
  /** A promise was returned, or has resolved: `heldFrom` is another, and resume() is to be called from a turn. */
  readonly onHeld: () => void;
}

const THREW = "threw";
const REJECTED = "rejected";
const RETURNED = "returned what it must not";

export class Applier {
  private readonly parts: ApplierParts;
  /** The state machine has them, and has not said that it applied them. */
  private held: readonly Entry[] | null = null;
  /** Of MsgStorageApply: they come behind. */
  private waiting: Message[] = [];
  private hasEnded = false;
  /** Not null: what is thrown now is the state machine's, whatever it is: given these, it did so. */
  private given: readonly Entry[] | null = null;
  private failed = THREW;

  constructor(parts: ApplierParts) {
    this.parts = parts;
  }

  /** The state machine is at work. */
  get isBusy(): boolean {
    return this.held !== null;
  }

  /** All that was handed out is applied. */
  get isIdle(): boolean {
    return this.held === null && this.waiting.length === 0;
  }

  /** Not "": what is thrown now is the state machine's; how a sentence about it begins. */
  get blame(): string {
    const normal = (this.given ?? []).filter(isNormal);
    if (normal.length === 0) return "";
    const [first, last] = [normal[0]!.index, normal.at(-1)!.index];
    const what =
      first === last
        ? `entry ${first}. It stays in the log, and stops`
        : `one of the entries ${first} to ${last}. They stay in the log, and stop`;
    return `stateMachine.apply ${this.failed} on ${what} the node at each start, until apply is mended: `;
  }

  /** The first entry that the state machine holds, or is still to get; Infinity: there is none. */
  get heldFrom(): number {
    const entries = this.held ?? this.waiting[0]?.entries;
    return entries === undefined ? Infinity : entries[0]!.index;
  }

  /** Takes one MsgStorageApply. */
  // hot
  apply(message: Message): void {
    if (this.isIdle && !this.hasEnded) this.call(message.entries, message.responses);
    else this.waiting.push(message);
  }

  /** All that waits, in one call: from a turn, so that a snapshot can be taken between two calls. */
  resume(): void {
    const { waiting } = this;
    if (this.held !== null || waiting.length === 0 || this.hasEnded) return;
    this.waiting = [];
    const [{ entries, responses }] = waiting;
    if (waiting.length === 1) this.call(entries, responses);
    else
      this.call(
        waiting.flatMap((message) => message.entries),
        waiting.flatMap((message) => message.responses),
      );
  }

  /** No further call. */
  end(): void {
    this.hasEnded = true;
  }

  // hot
  private call(entries: readonly Entry[], responses: readonly Message[]): void {
    assert(this.held === null, "two calls of apply at once");
    // An array of the state machine's own, which may empty it: ours tells what was applied.
    const plan = allPlain(entries) ? null : this.parts.plan(entries);
    const normal = plan === null ? entries.slice() : plan.toApply;
    const count = normal.length;
    let returned: unknown;
    let promise: Promise<unknown> | null = null;
    if (count > 0) {
      this.given = entries;
      this.failed = THREW;
      returned = this.parts.stateMachine.apply(normal);
      this.failed = RETURNED;
      // A promise of ours: whatever theirs is, it is heard once.
      if (returned !== undefined && !Array.isArray(returned) && isThenable(returned))
        promise = Promise.resolve(returned);
      this.given = null;
    }
    if (promise === null)
      this.parts.onApplied(entries, this.results(entries, returned, count, plan), responses);
    else this.wait(promise, entries, count, plan, responses);
  }

  /** Of what was returned. Getters and the like in it are the state machine's, too. */
  // hot
  private results(
    entries: readonly Entry[],
    returned: unknown,
    count: number,
    plan: ApplyPlan | null,
  ): readonly unknown[] | undefined {
    this.given = entries;
    this.failed = RETURNED;
    const own = resultsOf(returned, count);
    const results = plan === null ? own : plan.results(own);
    this.given = null;
    return results;
  }

  private wait(
    promise: Promise<unknown>,
    entries: readonly Entry[],
    count: number,
    plan: ApplyPlan | null,
    responses: readonly Message[],
  ): void {
    const { guard, onHeld, onApplied } = this.parts;
    this.held = entries;
    onHeld();
    const applied = (value: unknown): void => {
      this.held = null;
      onApplied(entries, this.results(entries, value, count, plan), responses);
      onHeld();
    };
    promise.then(
      (value) => guard(() => applied(value)),
      (cause) =>
        guard(() => {
          this.held = null;
          this.given = entries;
          this.failed = REJECTED;
          throw cause;
        }),
    );
  }
}

// hot
export function isNormal(entry: Entry): boolean {
  return entry.type === EntryNormal && entry.size > 0;
}

/** The state machine gets them as they are. */
// hot
function allPlain(entries: readonly Entry[]): boolean {
  for (let i = 0; i < entries.length; i++) {
    const entry = entries[i];
    if (!isNormal(entry) || isOfSession(entry.bytes, entry.start, entry.size)) return false;
  }
  return true;
}
