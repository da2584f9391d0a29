// What clients were told of keys of the service, and whether that can be: each key is a register with compare-and-set, its
// history linearizable; no value has two revisions, no revision two values. Values are numbers that one call alone writes;
// 0 stands for a key that is absent. Knows nothing of HTTP.
import { findAnomaly, type Operation } from "../../bench/sim/linearizable.js";

/** What a key had at some time. Revision 0: it was absent. */
export interface Seen {
  readonly value: number;
  readonly revision: number;
}

export const ABSENT: Seen = { value: 0, revision: 0 };

/** A change that was asked for. Until it is settled, it may have happened at any time since, or never. */
export interface Change {
  readonly key: string;
  readonly value: number;
  /** Null: a put, whatever is there. */
  readonly expected: Seen | null;
  readonly from: number;
  readonly at: string;
  /** Infinity: not answered. */
  to: number;
  /** The revision that its condition met, where that was another than it expected; null: the condition held, or none was. */
  met: number | null;
}

type Read = Seen & { readonly from: number; readonly to: number; readonly at: string };

/** All that is known of one key. */
class KeyHistory {
  readonly changes = new Set<Change>();
  readonly reads: Read[] = [];
  readonly valueAt = new Map<number, number>([[0, 0]]);
  readonly revisionOf = new Map<number, number>([[0, 0]]);
  isChecked = true;

  /** Null, or why it cannot have had this. */
  note({ value, revision }: Seen): string | null {
    const known = this.valueAt.get(revision);
    const before = this.revisionOf.get(value);
    if (known !== undefined && known !== value)
      return `revision ${revision} was value ${known}, and is value ${value} now`;
    if (before !== undefined && before !== revision)
      return `value ${value} has revision ${revision}, and had ${before}: it was written twice, or written again`;
    this.valueAt.set(revision, value);
    this.revisionOf.set(value, revision);
    return null;
  }

  operations(): Operation[] {
    const all: Operation[] = this.reads.map(({ value, from, to, at }) => ({
      kind: "read",
      value,
      from,
      to,
      at,
    }));
    for (const { value, expected, from, to, at, met } of this.changes) {
      const hint = this.revisionOf.get(value) ?? Infinity;
      if (expected === null) {
        all.push({ kind: "write", value, from, to, at, hint });
        continue;
      }
      const swap: Operation = { kind: "swap", value, expected: expected.value, from, to, at, hint };
      if (to === Infinity) {
        all.push(swap);
        continue;
      }
      const found = met === null ? expected.value : this.valueAt.get(met);
      // A revision that nobody else was told of: what it stood for is not known, so that this answer says little.
      if (found !== undefined) all.push({ ...swap, found });
    }
    return all;
  }
}

export class KvHistory {
  private readonly keys = new Map<string, KeyHistory>();
  private readonly contradictions: string[] = [];
  private nextValue = 1;
  /** Answers that told of an effect. */
  acknowledged = 0;
  reads = 0;
  /** Conditions that did not hold. */
  refused = 0;
  /** Changes that were called lost. */
  lost = 0;

  /** Changes whose outcome nobody knows. */
  get open(): number {
    let open = 0;
    for (const { changes } of this.keys.values()) for (const { to } of changes) if (to === Infinity) open++;
    return open;
  }

  /** A change is about to be asked for, of `at`. It writes a value of its own. */
  begin(key: string, expected: Seen | null, from: number, at: string): Change {
    const change: Change = { key, value: this.nextValue++, expected, from, at, to: Infinity, met: null };
    this.of(key).changes.add(change);
    return change;
  }

  /** It was made, and its key had `revision` then. */
  done(change: Change, revision: number, to: number): void {
    this.acknowledged++;
    change.to = to;
    const { key, value, expected } = change;
    if (expected !== null && revision <= expected.revision)
      this.contradictions.push(`${key}: a set of revision ${expected.revision} made revision ${revision}`);
    this.note(key, { value, revision }, change.at);
  }

  /** Its condition did not hold: nothing was changed, as the key had `revision`. */
  refuse(change: Change, revision: number, to: number): void {
    this.refused++;
    change.to = to;
    change.met = revision;
    if (revision === change.expected?.revision)
      this.contradictions.push(
        `${change.key}: refused at ${change.at} for revision ${revision}, which it expected`,
      );
  }

  /** It was not made, and will not be. */
  deny(change: Change): void {
    this.lost++;
    this.of(change.key).changes.delete(change);
  }

  /** A read was answered. */
  read(key: string, seen: Seen, from: number, to: number, at: string): void {
    this.reads++;
    this.of(key).reads.push({ ...seen, from, to, at });
    this.note(key, seen, at);
  }

  /** Every key that anybody changed, and was told so, or may have. */
  get changedKeys(): string[] {
    return [...this.keys].filter(([, { changes }]) => changes.size > 0).map(([key]) => key);
  }

  /** What cannot be, of all that came since the last check and what came before it. Empty: everything can. */
  findings(): string[] {
    const found = this.contradictions.splice(0);
    for (const [key, history] of this.keys) {
      if (history.isChecked) continue;
      history.isChecked = true;
      const anomaly = findAnomaly(history.operations());
      if (anomaly !== null) found.push(`key ${key} is not linearizable: ${anomaly}`);
    }
    return found;
  }

  private note(key: string, seen: Seen, at: string): void {
    const wrong = this.of(key).note(seen);
    if (wrong !== null) this.contradictions.push(`key ${key}, at ${at}: ${wrong}`);
  }

  private of(key: string): KeyHistory {
    let history = this.keys.get(key);
    if (history === undefined) {
      history = new KeyHistory();
      this.keys.set(key, history);
    }
    history.isChecked = false;
    return history;
  }
}
