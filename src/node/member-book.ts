// Where the members listen, and which ids are used up, as of what is applied; who the members are is the core's to say.
// The book changes only with entries of the log, so it is the same on all members at the same index. What a node was
// begun with (its options) counts for that node alone. Main thread.
import { RaftmarkError } from "../base/errors.js";
import { type ConfState, decodeConfChange, type Entry, RaftError, type RawNode } from "../raft/index.js";
import {
  decodeMemberRecord,
  encodeMemberRecord,
  type MemberRecord,
  REMOVED_KEPT_MAX,
} from "./member-record.js";

export class MemberBook {
  private readonly initial: Map<number, string>;
  private given: Map<number, string>;
  private removed: Set<number>;
  private readonly logIds = new Map<number, string>();
  /** Index of the newest change that is applied; 0: there was none. */
  at = 0;
  /** Of the newest that removed somebody, if it was applied here, and no snapshot came since; else 0. */
  removedAt = 0;

  /** `initial`: what the node was begun with. `record`: of the snapshot that its log begins behind; null: there is none. */
  constructor(initial: ReadonlyMap<number, string>, record: MemberRecord | null) {
    this.initial = new Map(initial);
    this.given = new Map();
    this.removed = new Set();
    if (record !== null) this.take(record);
  }

  private take(record: MemberRecord): void {
    this.at = Math.max(this.at, record.at);
    this.given = tableOf(record.given);
    this.removed = new Set(record.removed);
    for (const [id, address] of tableOf(record.initial))
      if (!this.initial.has(id)) this.initial.set(id, address);
    for (const [id, logId] of tableOf(record.logs))
      if (!this.logIds.has(id) && !this.removed.has(id)) this.logIds.set(id, logId);
  }

  /** The members' logs, as far as a change told of them: for who joined later than one of them was lost. */
  get logs(): ReadonlyMap<number, string> {
    return this.logIds;
  }

  /** Undefined: nobody said. */
  addressOf(id: number): string | undefined {
    return this.given.get(id) ?? this.initial.get(id);
  }

  /** A change gave its address: that one counts for all members. */
  isGiven(id: number): boolean {
    return this.given.has(id);
  }

  /** Ids are used up. */
  get hasRemoved(): boolean {
    return this.removed.size > 0;
  }

  /** It was a member, and its id is not to be used again. */
  isRemoved(id: number): boolean {
    return this.removed.has(id);
  }

  /** Whom the node was begun with, and where they listen. */
  get begunWith(): ReadonlyMap<number, string> {
    return this.initial;
  }

  /**
   * A committed change of members takes effect, in the core and here. Null: it leads to no membership, so that nothing
   * changed, as on every other member. Throws RAFT_MEMBERSHIP_DIFFERS if it was made from another membership than the
   * node has.
   */
  apply(rawNode: RawNode, entry: Entry): ConfState | null {
    const change = decodeConfChange(entry)!;
    const record = decodeMemberRecord(change.context);
    if (record?.before !== undefined) begin(rawNode, record.before, entry.index);
    const before = rawNode.raft.trk.peerIds;
    const state = rawNode.applyConfChange(change);
    if (state instanceof RaftError) return null;
    if (record !== null) this.take(record);
    this.at = entry.index;
    const { progress } = rawNode.raft.trk;
    for (const id of before) {
      if (progress.has(id)) continue;
      this.remove(id);
      this.removedAt = entry.index;
    }
    return state;
  }

  private remove(id: number): void {
    this.given.delete(id);
    this.logIds.delete(id);
    this.removed.add(id);
    if (this.removed.size > REMOVED_KEPT_MAX) this.removed.delete(this.removed.values().next().value!);
  }

  /** A leader's snapshot took the state's place. */
  install(record: MemberRecord | null): void {
    this.removedAt = 0;
    if (record !== null) this.take(record);
  }

  /** As of now; `given` with these instead of what is known for their ids, and `logs` where none is. */
  record(
    given: ReadonlyMap<number, string> = new Map(),
    before?: ConfState,
    logs: ReadonlyMap<number, string> = new Map(),
  ): MemberRecord {
    return {
      before,
      given: Object.fromEntries([...this.given, ...given]),
      initial: Object.fromEntries(this.initial),
      at: before === undefined ? this.at : 0,
      removed: [...this.removed],
      logs: Object.fromEntries([...logs, ...this.logIds]),
    };
  }

  encode(): Uint8Array {
    return encodeMemberRecord(this.record());
  }
}

/** A node that joins begins with the membership that the first change it meets was made from. */
function begin(rawNode: RawNode, before: ConfState, index: number): void {
  const own = rawNode.raft.trk.confState();
  if (textOf(own) === textOf(before)) return;
  if (rawNode.raft.trk.peerIds.length === 0 && rawNode.adoptConfState(before)) return;
  const text =
    `the change of members at index ${index} was made from ${textOf(before)}, and this node has ${textOf(own)}: its log ` +
    'was begun with other members than the cluster has (a new member wants initialClusterState "existing"). Remove it, ' +
    "and add a new member with a new id and an empty directory (docs/operate.md, Changing members)";
  throw new RaftmarkError("RAFT_MEMBERSHIP_DIFFERS", text);
}

/** As people read it; the same for the same membership. */
function textOf(state: ConfState): string {
  const ids = (list: readonly number[]): string => [...list].sort((a, b) => a - b).join(", ");
  const { voters, learners, votersOutgoing, learnersNext, autoLeave } = state;
  const parts = [`voters ${ids(voters) || "none"}`];
  if (learners.length > 0) parts.push(`learners ${ids(learners)}`);
  if (votersOutgoing.length > 0) parts.push(`leaving voters ${ids(votersOutgoing)}`);
  if (learnersNext.length > 0) parts.push(`learners next ${ids(learnersNext)}`);
  if (autoLeave) parts.push("joint");
  return parts.join("; ");
}

function tableOf(table: Readonly<Record<string, string>>): Map<number, string> {
  return new Map(Object.entries(table).map(([id, address]) => [Number(id), address]));
}
