// The members of the group as a running node has them: takes committed changes into core and book, tells the link who
// is a member or may soon be one, and notices when this node is a member no more. Main thread.
import { RaftmarkError } from "../base/errors.js";
import { parseDialled } from "../link/address.js";
import type { Link } from "../link/index.js";
import {
  decodeConfChange,
  type Entry,
  isConfChangeV2,
  RaftError,
  type SnapshotMetadata,
} from "../raft/index.js";
import type { CallOptions, Member, MembershipChange, MembershipChanged } from "./api.js";
import { Departures } from "./departures.js";
import { decodeMemberRecord } from "./member-record.js";
import { tellDifferences } from "./membership.js";
import { type ChangeParts, MembershipCall } from "./membership-change.js";
import { type CheckedChange, checkChange } from "./membership-plan.js";
import type { ResolvedOptions } from "./options.js";
import type { Standing } from "./peer-hello.js";
import type { Teller } from "./teller.js";

export interface MembersParts extends Omit<ChangeParts, "departures"> {
  readonly teller: Teller;
  /**
   * The cluster's key: it may be too short for addresses beyond this machine. Null: addresses are the link's business.
   */
  readonly secret: string | null;
  /**
   * For how many ticks a removed member is still heard once a majority knows: the others may not know, and want its
   * vote.
   */
  readonly lingerTicks: number;
  /** The committed entries that are applied say that this node is no member any more. Once. */
  readonly onRemoved: (index: number) => void;
  /** The members changed, by the entry or the snapshot at `index`. */
  readonly onChanged: (index: number) => void;
}

export class Members {
  private readonly parts: MembersParts;
  private readonly departures: Departures;
  private readonly change: MembershipCall;
  /** Null: not started yet. */
  private link: Link | null = null;
  /** Whom the link was told of. */
  private known = new Map<number, string>();
  /** Removed members that are still heard, and for how many ticks. */
  private readonly leaving = new Map<number, number>();
  /** Index of the newest change that is not applied, as of the last turn. */
  private pending = 0;
  private isRemoved = false;
  /** A change is applied that the link was not told of. */
  private isUntold = false;
  /** What nodes say of themselves that joined or moved by a change that this node has not applied yet. */
  private readonly ahead = new Map<number, Standing>();
  /** Applied changes of members since the node opened. */
  changes = 0;

  constructor(parts: MembersParts) {
    this.parts = parts;
    this.departures = new Departures(parts);
    this.change = new MembershipCall({ ...parts, departures: this.departures });
  }

  /** Whom a link is to know from the start, without this node. */
  get addresses(): Record<number, string> {
    return Object.fromEntries(this.wanted());
  }

  /** The link is started, and knows the members in `known`. */
  begin(link: Link, known: Readonly<Record<number, string>>): void {
    this.link = link;
    this.known = new Map(Object.entries(known).map(([id, address]) => [Number(id), address]));
    this.known.delete(this.parts.id);
    this.sync();
    this.look(this.parts.rawNode.raft.raftLog.applied);
  }

  /**
   * Tells where the options differ from the log. `known` resolves when all that is committed is applied, within the time
   * that it is given. Where that is not to be had in TOLD_MS (nobody dials a node at another address than its log says), the
   * log alone counts, unless a peer knows of a later change.
   */
  async compare(options: ResolvedOptions, known: (timeoutMs?: number) => Promise<void>): Promise<void> {
    let is = await isKnown(known(TOLD_MS));
    if (is === false && this.isBehind) is = await isKnown(known());
    if (is === null) return;
    const isOpen = !is && this.parts.rawNode.raft.raftLog.unappliedConfChanges.length > 0;
    tellDifferences(options, this.list(), isOpen ? this.inLog() : null, this.parts.teller);
  }

  /** A peer has applied a change that is not in this node's log. */
  private get isBehind(): boolean {
    const newest = Math.max(
      this.appliedAt,
      ...this.parts.rawNode.raft.raftLog.unappliedConfChanges.slice(-1),
    );
    for (const { at } of this.ahead.values()) if (at > newest) return true;
    return false;
  }

  /** Ascending by id. */
  list(): Member[] {
    const { rawNode, book } = this.parts;
    const { trk } = rawNode.raft;
    const { incoming } = trk.voters;
    return trk.peerIds.map((id) => ({
      id,
      address: book.addressOf(id) ?? "",
      role: trk.progress.get(id)!.isLearner ? "learner" : incoming.ids.includes(id) ? "voter" : "leaving",
    }));
  }

  /** Two memberships are in force; the leader leaves that by itself. */
  get isJoint(): boolean {
    return this.parts.rawNode.raft.trk.voters.outgoing.ids.length > 0;
  }

  /** The link was told of `peer`: it is, was or may soon be a member. */
  knows(peer: number): boolean {
    return this.known.has(peer);
  }

  /** What this node shows to others. */
  get standing(): Standing {
    const { id, rawNode, book } = this.parts;
    const isMember = rawNode.raft.trk.progress.has(id);
    return { at: isMember ? book.at : 0, given: book.isGiven(id), address: book.addressOf(id) ?? "" };
  }

  /**
   * A node with the cluster's key says where it stands: a change that is not applied here yet may have made it a
   * member, or moved it. Where this node is far behind, was away while others moved, or joins with an old list of
   * members, the other may be the leader, and then nobody else can tell this node of the change.
   */
  meet(id: number, standing: Standing | null): void {
    if (standing === null || this.parts.book.isRemoved(id) || standing.at <= this.appliedAt) return;
    const known = this.ahead.get(id);
    // A restarted node shows what it has applied since it started, which may be less than before.
    if (!isAddress(standing.address) || standing.at < (known?.at ?? 0)) return;
    if (known === undefined && this.ahead.size >= STRANGERS_MAX) return;
    this.ahead.set(id, standing);
    this.sync();
  }

  /** The book has all changes up to here. Within a batch of entries the core's `applied` is behind the book. */
  private get appliedAt(): number {
    return Math.max(this.parts.book.at, this.parts.rawNode.raft.raftLog.applied);
  }

  // ---- for callers

  /** The caller wakes the driver. */
  propose(change: MembershipChange, options?: CallOptions): Promise<MembershipChanged> {
    let checked: CheckedChange;
    try {
      checked = checkChange(change, this.parts.secret);
    } catch (error) {
      return Promise.reject(error);
    }
    return this.change.begin(checked, options);
  }

  get openCount(): number {
    return this.change.isOpen ? 1 : 0;
  }

  // ---- for the driver

  /** Once a turn, before proposals are taken. */
  // hot
  turn(): void {
    const { unappliedConfChanges: all } = this.parts.rawNode.raft.raftLog;
    const newest = all.length === 0 ? 0 : all[all.length - 1]!;
    if (newest !== this.pending) {
      this.pending = newest;
      this.sync();
    }
    this.departures.turn();
    if (this.change.isOpen) this.change.turn();
  }

  tick(): void {
    this.change.tick();
    if (!this.departures.areKnown) return;
    for (const [id, ticks] of this.leaving) {
      this.leaving.set(id, ticks - 1);
      if (ticks > 0) continue;
      this.leaving.delete(id);
      this.known.delete(id);
      this.link?.setPeer(id, null);
    }
  }

  /** A committed change of members takes effect. */
  applied(entry: Entry): void {
    const { rawNode, book, teller } = this.parts;
    const state = book.apply(rawNode, entry);
    if (state !== null) {
      this.changes++;
      const text = `the members are ${this.text()} now`;
      // By topic: a change is joint for a moment, and a restart replays them all.
      teller.info({ index: entry.index, ...state }, text, "members", "members");
      this.isUntold = true;
      this.parts.onChanged(entry.index);
      this.look(entry.index);
    }
    this.change.applied(entry, state);
  }

  /**
   * The entries of a call are applied. The link is told once: whom it is to know takes all changes that are in the log, and
   * a node that starts applies thousands in one turn.
   */
  // hot
  entriesApplied(): void {
    if (this.isUntold) this.sync();
  }

  /** An empty entry is applied: the first one of a leader's term, or one behind a change. */
  passed(entry: Entry): void {
    this.departures.passed(entry);
    if (this.change.isOpen) this.change.applied(entry, null);
  }

  /** A leader's snapshot replaced the state. */
  installed(metadata: SnapshotMetadata): void {
    this.parts.book.install(decodeMemberRecord(metadata.members));
    this.sync();
    this.parts.onChanged(metadata.index);
    this.look(metadata.index);
    this.change.skippedTo(metadata);
  }

  private look(index: number): void {
    const { book, id, onRemoved } = this.parts;
    if (this.isRemoved || !book.isRemoved(id)) return;
    this.isRemoved = true;
    onRemoved(index);
  }

  /** The members as a snapshot taken now stores them; undefined: there are none yet, and no snapshot can be taken. */
  get snapshotRecord(): Uint8Array | undefined {
    return this.parts.rawNode.raft.trk.peerIds.length === 0 ? undefined : this.parts.book.encode();
  }

  end(error: RaftmarkError): void {
    this.change.end(error);
  }

  // ---- the link

  private sync(): void {
    const { link, known, leaving } = this;
    this.isUntold = false;
    if (link === null) return;
    const { appliedAt } = this;
    for (const [id, { at }] of this.ahead) if (at <= appliedAt) this.ahead.delete(id);
    const wanted = this.wanted();
    for (const [id, address] of wanted) {
      leaving.delete(id);
      if (known.get(id) === address) continue;
      known.set(id, address);
      link.setPeer(id, address);
    }
    const { book, lingerTicks } = this.parts;
    for (const id of known.keys()) {
      if (wanted.has(id) || leaving.has(id)) continue;
      leaving.set(id, book.isRemoved(id) ? lingerTicks : 0);
    }
  }

  /**
   * Whom the link is to know: the members, and whoever a change in the log makes one, who may lead before this node
   * hears that the change is committed. A node that has no members yet hears those that it was begun with.
   */
  private wanted(): Map<number, string> {
    const { id, rawNode, book } = this.parts;
    const { trk } = rawNode.raft;
    const wanted = new Map<number, string>();
    const want = (member: number, address: string | undefined): void => {
      if (member !== id && address !== undefined) wanted.set(member, address);
    };
    if (trk.peerIds.length === 0) for (const [member, address] of book.begunWith) want(member, address);
    for (const member of trk.peerIds) want(member, book.addressOf(member));
    // A first member's own address need not be where others reach it (a proxy, a mapped port): there the options count.
    for (const [member, { address, given }] of this.ahead)
      if (given || !wanted.has(member)) want(member, address);
    for (const [member, address] of this.inLog()) if (!wanted.has(member)) want(member, address);
    return wanted;
  }

  /**
   * Ids that changes in the log make members, which are not applied here, with their addresses. The newest that says what it
   * was made from tells of all before it, so that those need not be read: a node that starts may have thousands.
   */
  private inLog(): Map<number, string | undefined> {
    const { raftLog } = this.parts.rawNode.raft;
    const all = raftLog.unappliedConfChanges;
    const found = new Map<number, string | undefined>();
    for (let at = all.length - 1; at >= 0; at--) {
      const page = raftLog.slice(all[at]!, all[at]! + 1, Infinity);
      const change = page instanceof RaftError ? null : decodeConfChange(page[0]!);
      const record = decodeMemberRecord(change?.context);
      // Leaving the joint state says nothing.
      if (change === null || record === null || !isConfChangeV2(change)) continue;
      const { before, given } = record;
      const ids = [
        ...change.changes.map(({ nodeId }) => nodeId),
        ...(before?.voters ?? []),
        ...(before?.learners ?? []),
      ];
      for (const member of ids) if (!found.has(member)) found.set(member, given[member]);
      if (before !== undefined) break;
    }
    return found;
  }

  private text(): string {
    const { trk } = this.parts.rawNode.raft;
    const { voters, learners, votersOutgoing } = trk.confState();
    const learning = learners.length > 0 ? `, learners ${learners.join(", ")}` : "";
    const leaving = votersOutgoing.length > 0 ? ` (joint with ${votersOutgoing.join(", ")})` : "";
    return `${voters.join(", ")}${learning}${leaving}`;
  }
}

/** From a start until the differences between options and log are told, at the latest where nobody can be asked. */
const TOLD_MS = 2_000;

/** False: there is no leader to tell, or not in time. Null: the node ends. */
async function isKnown(known: Promise<void>): Promise<boolean | null> {
  const code = await known.then(
    () => null,
    (error: RaftmarkError) => error.code,
  );
  if (code === null) return true;
  return code === "RAFT_NO_LEADER" || code === "RAFT_TIMEOUT" ? false : null;
}

/** Bound of Members.ahead: no group has as many nodes. */
const STRANGERS_MAX = 64;

function isAddress(text: string): boolean {
  try {
    parseDialled(text, "address");
    return true;
  } catch {
    return false;
  }
}

/** Why calls of a node that was removed reject. */
export function removedError(id: number, why: string): RaftmarkError {
  const text =
    `node ${id} was removed from the cluster (${why}): it stops, and its id is not to be used again. A member in its place ` +
    "has a new id and an empty directory (docs/operate.md, Changing members)";
  return new RaftmarkError("RAFT_REMOVED", text);
}
