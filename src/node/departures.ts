// When removed members may be turned off: as soon as a majority of the remaining voters knows that the change is
// committed. Until then those who do not know it yet still count in the old membership (§6), and may need the removed
// members' votes. The leader makes this certain by appending an empty entry behind the newest change that it has
// applied, once its log holds no other change that is not applied. The message with that entry carries a commit index
// that includes the change, so when the entry commits, a majority of the new voters knows of the change and has
// everything before it. Other members recognize the entry: the only other empty entry is the first of a term. Main
// thread.

import { assert } from "../base/assert.js";
import { NO_DATA } from "../base/bytes.js";
import { type Entry, type RawNode, StateLeader } from "../raft/index.js";
import type { MemberBook } from "./member-book.js";

export interface DeparturesParts {
  readonly id: number;
  readonly rawNode: RawNode;
  readonly book: MemberBook;
}

export class Departures {
  private readonly parts: DeparturesParts;
  /** Index of the newest entry of that kind that is applied. */
  private knownAt = 0;
  /** The one that this node appended last. Invariant: as long as its term lasts it is in the log, or applied. */
  private appended = { index: 0, term: 0 };

  constructor(parts: DeparturesParts) {
    this.parts = parts;
  }

  /**
   * A majority of the voters knows of the newest change that removed somebody here. What a snapshot skipped cannot be waited
   * for.
   */
  get areKnown(): boolean {
    return this.parts.book.removedAt <= this.knownAt;
  }

  /** Once a turn. */
  turn(): void {
    const { id, rawNode, book } = this.parts;
    // Also where a snapshot says who was removed: others may wait for it.
    if (!book.hasRemoved || book.at <= this.knownAt) return;
    const { state, trk, term } = rawNode.raft;
    if (state !== StateLeader || !trk.progress.has(id)) return;
    if (this.appended.term === term && this.appended.index > book.at) return;
    // Refused, as when leadership is handed over, it is tried again.
    if (proposeNothing(rawNode)) this.appended = { index: rawNode.lastProposed.first, term };
  }

  /** An entry without bytes is applied. */
  passed(entry: Entry): void {
    assert(entry.size === 0, "an entry with bytes is a caller's");
    if (this.parts.rawNode.raft.raftLog.termOrZero(entry.index - 1) !== entry.term) return;
    this.knownAt = entry.index;
  }
}

/** Of a leader: an empty entry. False: it is refused, or could tell others of a change that only this node knows committed. */
export function proposeNothing(rawNode: RawNode): boolean {
  return rawNode.raft.raftLog.unappliedConfChanges.length === 0 && rawNode.propose(NO_DATA) === null;
}
