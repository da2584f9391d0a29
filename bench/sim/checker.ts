// What must hold in a world at every event, whatever happens in it, told by what its nodes do and not by what their
// driver says of it: Raft's five properties (Figure 3), what durable state promises, and what clients are told.
import { RaftmarkError } from "../../src/base/errors.js";
import type { CommittedEntry } from "../../src/node/api.js";
import {
  type Entry,
  type Message,
  MsgAppResp,
  MsgVoteResp,
  StateLeader,
  StateReplicate,
} from "../../src/raft/index.js";
import type { JointConfig } from "../../src/raft/quorum/index.js";
import { DurableView } from "./durable-view.js";
import type { SimProcess } from "./process.js";
import { nameOf, Registers } from "./registers.js";

/** What was broken, and which checker saw it. */
export interface Violation {
  readonly checker: string;
  readonly what: string;
}

/** An entry that somebody knows to be committed. */
interface Committed {
  readonly term: number;
  /** Of the leader that committed it. */
  readonly byTerm: number;
}

/** What a node has told others, in one life or an earlier one. */
interface Promises {
  term: number;
  /** By term: whom it voted for. */
  readonly votes: Map<number, number>;
  /** Acknowledged up to here, and by index with an entry of which term. */
  acked: number;
  readonly ackedTerms: number[];
  /** Index of the snapshot that stands for what is in front of it. */
  snapshot: number;
}

/** What is known of a node from its last event. */
interface Seen {
  life: number;
  term: number;
  vote: number;
  commit: number;
  leads: boolean;
  /** How often it found its disk silent. */
  stalls: number;
  applied: number;
  /** What its log begins behind. */
  base: number;
  /** What was applied when its members were looked at last. */
  conf: number;
  /** After its last event; null: it has just started. */
  voters: JointConfig | null;
  view: DurableView;
  /** By index: bytes of the entry that it sent for it last. */
  readonly sent: number[];
  readonly promises: Promises;
}

/** A call that waits. */
export interface Call {
  readonly what: string;
  readonly at: number;
  /** A place in the log that it has to be behind: of the last call that ended before it began. */
  readonly behind: number;
}

/** Bounds are looked at once in so many events of leaders: it takes long. */
const LOOKS_PER_BOUNDS = 32;
/** What one turn takes, and what the log writes around it. */
const BACKLOG_ROOM = 256 << 10;

export class Checker {
  violation: Violation | null = null;
  writes = 0;
  reads = 0;
  lostWrites = 0;
  /** The highest index of an acknowledged write. */
  acked = 0;
  /** The highest place in the log that a call which ended has shown. */
  private shown = 0;
  private readonly committed: Committed[] = [{ term: 0, byTerm: 0 }];
  private readonly leaders = new Map<number, number>();
  private readonly seen = new Map<number, Seen>();
  /** By payload: where it was applied. By index: the payload applied there. */
  private readonly places = new Map<string, number>();
  private readonly log: string[] = [];
  /** By index: what was applied there, and nothing was wrong with it. */
  private readonly applied: Uint8Array[] = [];
  private readonly payloads = new Map<string, Uint8Array>();
  /** What all of that comes to, and by index what it came to there. */
  private readonly model = new Registers();
  private readonly states: string[] = [];
  private readonly lost = new Set<string>();
  /** By index: the members that somebody had when that was applied last; and the newest of them. */
  private readonly confs = new Map<number, string>();
  private confAt = -1;
  private memberIds: ReadonlySet<number>;
  private looks = 0;

  private readonly processes: readonly SimProcess[];

  constructor(processes: readonly SimProcess[]) {
    this.processes = processes;
    this.memberIds = new Set(processes.filter(({ plan }) => plan.joins !== true).map(({ id }) => id));
    for (const process of processes) {
      this.seen.set(process.id, {
        life: 0,
        term: 0,
        vote: 0,
        commit: 0,
        leads: false,
        stalls: 0,
        applied: 0,
        base: 0,
        conf: -1,
        voters: null,
        view: new DurableView(process.disk),
        sent: [],
        promises: { term: 0, votes: new Map(), acked: 0, ackedTerms: [], snapshot: 0 },
      });
    }
  }

  get terms(): number {
    return this.leaders.size;
  }

  get commits(): number {
    return this.committed.length - 1;
  }

  /** Who led it, if anybody did. */
  leaderOf(term: number): number | undefined {
    return this.leaders.get(term);
  }

  hasLed(id: number): boolean {
    return [...this.leaders.values()].includes(id);
  }

  /** Of the entry that is committed there, if one is. */
  termOf(index: number): number | undefined {
    return this.committed[index]?.term;
  }

  /** The index at which it was applied, if it was. */
  placeOf(name: string): number | undefined {
    return this.places.get(name);
  }

  fail(checker: string, what: string): void {
    this.violation ??= { checker, what };
  }

  // ---- nodes

  /** It opened: what it promised in earlier lives is still there. */
  opened(process: SimProcess): void {
    const seen = this.seen.get(process.id)!;
    const { hardState, lastIndex } = process.parts!.wal.recovered;
    const { promises } = seen;
    const who = `node ${process.id}`;
    seen.view = new DurableView(process.disk);
    seen.view.refresh();
    Object.assign(seen, { life: process.life, term: hardState.term, vote: hardState.vote, leads: false });
    seen.commit = hardState.commit;
    seen.applied = process.restoredAt;
    seen.base = 0;
    seen.voters = null;
    seen.conf = -1;
    seen.stalls = 0;
    // It knows nothing, and has to find that out before it says anything.
    if (process.isWiped) return;
    if (hardState.term < promises.term)
      this.fail(
        "durable term",
        `${who} promised term ${promises.term}, and starts again in ${hardState.term}`,
      );
    const vote = promises.votes.get(hardState.term);
    if (vote !== undefined && vote !== hardState.vote)
      this.fail(
        "durable vote",
        `${who} voted for ${vote} in term ${hardState.term}, and starts again with ${hardState.vote}`,
      );
    const { storage } = process.parts!.wal;
    for (let index = Math.min(promises.acked, this.commits); index > 0; index--) {
      if (promises.ackedTerms[index] !== this.committed[index].term) continue;
      // A snapshot of what is committed stands for it: what it holds was looked at when it was restored.
      if (index < storage.firstIndex() - 1) break;
      if (lastIndex >= index && storage.term(index) === this.committed[index].term) break;
      this.fail(
        "durable log",
        `${who} acknowledged entry ${index}, which is committed, and starts again without`,
      );
      break;
    }
  }

  /** After an event of it. */
  observe(process: SimProcess): void {
    const { parts } = process;
    if (parts === null) return;
    const seen = this.seen.get(process.id)!;
    const { raft } = parts.rawNode;
    const { term, vote } = raft;
    const { committed } = raft.raftLog;
    const who = `node ${process.id}`;
    if (parts.driver.disk.stalls > seen.stalls && process.isDiskQuick)
      this.fail("disk", `${who} takes its disk for silent, which has answered everything at once`);
    seen.stalls = parts.driver.disk.stalls;
    if (term < seen.term) this.fail("term", `${who} went back from term ${seen.term} to ${term}`);
    if (term === seen.term && vote !== seen.vote && seen.vote !== 0)
      this.fail("vote", `${who} voted for ${seen.vote} in term ${term}, and now for ${vote}`);
    if (committed < seen.commit)
      this.fail("commit index", `${who} went back from commit index ${seen.commit} to ${committed}`);
    const leads = raft.state === StateLeader;
    this.checkBase(process, seen);
    this.checkMembers(process, seen);
    if (leads && ++this.looks % LOOKS_PER_BOUNDS === 0) this.checkBounds(process);
    if (leads && (!seen.leads || term !== seen.term)) this.leads(process, term);
    // One that led may have committed in this event, and then heard of a later term.
    const led = seen.leads && !leads ? seen.term : 0;
    seen.term = term;
    seen.vote = vote;
    seen.leads = leads;
    if (committed > seen.commit) {
      this.advanced(process, seen, committed, leads ? term : led);
      seen.commit = committed;
    }
    seen.voters = raft.trk.voters;
  }

  /** Whoever has applied the log up to the same entry has the same members, at the same addresses. */
  private checkMembers({ id, parts }: SimProcess, seen: Seen): void {
    const { rawNode, driver, book } = parts!;
    const { trk, raftLog } = rawNode.raft;
    const { applied } = driver;
    // A snapshot is in the core before the state machine has it.
    if (applied === seen.conf || driver.isApplying || raftLog.hasNextOrInProgressSnapshot()) return;
    seen.conf = applied;
    // It joins, and has not heard who they are.
    if (trk.peerIds.length === 0) return;
    const { given, removed } = book.record();
    const text = JSON.stringify([trk.confState(), given, removed]);
    const known = this.confs.get(applied);
    if (known === undefined) this.confs.set(applied, text);
    else if (known !== text)
      this.fail("members", `node ${id} has ${text} at ${applied}, where another has ${known}`);
    if (applied <= this.confAt) return;
    this.confAt = applied;
    this.memberIds = new Set(trk.peerIds);
  }

  /** As of the newest entry that anybody has applied. */
  hasMember(id: number): boolean {
    return this.memberIds.has(id);
  }

  /** A log that begins later has a durable snapshot in place of what is gone, and that is of what is committed. */
  private checkBase({ id, parts }: SimProcess, seen: Seen): void {
    const base = parts!.wal.storage.firstIndex() - 1;
    if (base === seen.base) return;
    if (base < seen.base)
      this.fail("compaction", `the log of node ${id} began behind ${seen.base}, and now behind ${base}`);
    seen.base = base;
    seen.view.refresh();
    const { index, term } = seen.view.snapshot;
    if (index < base)
      this.fail(
        "compaction",
        `node ${id} cut its log up to ${base}, and its disk has a snapshot at ${index}`,
      );
    this.checkPoint(id, index, term);
  }

  private checkPoint(id: number, index: number, term: number): void {
    if (this.committed[index]?.term !== term)
      this.fail("snapshot", `node ${id} has a snapshot at ${index} of term ${term}, which is not committed`);
  }

  /** It answers whoever asked for a snapshot, when it had applied up to `applied`, with this one. */
  taken({ id }: SimProcess, applied: number, index: number, term: number): void {
    this.checkPoint(id, index, term);
    if (index < applied)
      this.fail(
        "snapshot",
        `node ${id} was asked for a snapshot at ${applied}, and answers with one at ${index}`,
      );
    const { view } = this.seen.get(id)!;
    view.refresh();
    if (view.snapshot.index < index)
      this.fail(
        "snapshot",
        `node ${id} says it has a snapshot at ${index}, its disk one at ${view.snapshot.index}`,
      );
  }

  /** Its state machine took this state for the one at `index`. */
  restored({ id }: SimProcess, index: number, term: number, state: string): void {
    this.checkPoint(id, index, term);
    let at = index;
    while (at > 0 && this.states[at] === undefined) at--;
    const right = at === 0 ? new Registers().text : this.states[at];
    if (state !== right)
      this.fail("snapshot", `node ${id} starts from ${state} at ${index}, where the state is ${right}`);
    this.seen.get(id)!.applied = index;
  }

  /** What waits in a leader, for its disk and for its followers, is no more than its options say. */
  private checkBounds({ id, plan, sizes, parts }: SimProcess): void {
    const { rawNode, wal } = parts!;
    const { trk, msgs } = rawNode.raft;
    // What is let in when there is room may cross the limit.
    const crossing = Math.max(sizes.maxSizePerMsg, sizes.maxProposalBytes);
    for (const [peer, { state, match, next }] of trk.progress) {
      if (peer === id || state !== StateReplicate || next - match <= 1) continue;
      // What waits for a Ready is not sent, and what this node sent at those places in an earlier term was something else.
      const unsent = msgs.find(({ to, entries }) => to === peer && entries.length > 0);
      const bytes = this.bytesOf(id, match + 1, unsent?.entries[0].index ?? next);
      if (bytes > sizes.maxInflightBytes + crossing)
        this.fail("bounds", `node ${id} has sent ${bytes} bytes to node ${peer} that are not acknowledged`);
    }
    if (wal.backlogBytes > plan.maxQueuedBytes + crossing + BACKLOG_ROOM)
      this.fail("bounds", `node ${id}, which leads, has ${wal.backlogBytes} bytes waiting for its disk`);
  }

  /** Payload of the entries [lo, hi), as node `id` sent them last. */
  bytesOf(id: number, lo: number, hi: number): number {
    const { sent } = this.seen.get(id)!;
    let bytes = 0;
    for (let index = lo; index < hi; index++) bytes += sent[index] ?? 0;
    return bytes;
  }

  /** All of them have the same members. */
  agree(processes: readonly SimProcess[]): void {
    const states = processes.map(({ parts }) => JSON.stringify(parts!.rawNode.raft.trk.confState()));
    const other = states.findIndex((state) => state !== states[0]);
    if (other > 0)
      this.fail("members", `node ${processes[other].id} has members ${states[other]}, others ${states[0]}`);
  }

  private leads(process: SimProcess, term: number): void {
    const { id } = process;
    const other = this.leaders.get(term);
    if (other !== undefined && other !== id)
      this.fail("election safety", `nodes ${other} and ${id} both lead term ${term}`);
    this.leaders.set(term, id);
    this.promise(id, term, id);
    const { raftLog } = process.parts!.rawNode.raft;
    for (let index = this.commits; index > 0; index--) {
      const entry = this.committed[index];
      if (entry.byTerm >= term) continue;
      if (index >= raftLog.firstIndex() - 1 && raftLog.term(index) !== entry.term)
        this.fail(
          "leader completeness",
          `node ${id} leads term ${term} without entry ${index}, which is committed`,
        );
      break;
    }
  }

  /** `byTerm`: which it led; 0: none. */
  private advanced(process: SimProcess, before: Seen, to: number, byTerm: number): void {
    const { raft } = process.parts!.rawNode;
    const { raftLog } = raft;
    for (let index = before.commit + 1; index <= to; index++) {
      const term = raftLog.term(index) as number;
      const known = this.committed[index];
      if (known !== undefined) {
        // A snapshot stands for what is in front of it.
        if (known.term !== term && index >= raftLog.firstIndex() - 1)
          this.fail(
            "log matching",
            `node ${process.id} commits entry ${index} of term ${term}, which was committed of term ${known.term}`,
          );
        continue;
      }
      if (byTerm === 0)
        this.fail("commit", `node ${process.id}, a follower, is the first to know entry ${index} committed`);
      this.committed.push({ term, byTerm });
    }
    if (byTerm === 0) return;
    const term = raftLog.term(to) as number;
    const holders = new Set<number>();
    for (const [id, { view, promises }] of this.seen) {
      view.refresh();
      // It had it, and said so, before its directory was emptied; from then on it takes no part.
      const hadIt =
        this.processes[id - 1]!.isWiped && (promises.ackedTerms[to] === term || promises.snapshot >= to);
      if (view.holds(to, term) || hadIt) holders.add(id);
    }
    // In one event it may commit, and then apply a change of the voters that it committed with.
    const { voters } = raft.trk;
    const wrong = lacking(voters, holders);
    if (wrong === null || (before.voters !== null && lacking(before.voters, holders) === null)) return;
    this.fail("durable quorum", `node ${process.id} commits entry ${to}, which ${wrong} have on their disks`);
  }

  /** Node `id` is about to send `messages`. */
  sends(process: SimProcess, messages: readonly Message[]): void {
    const seen = this.seen.get(process.id)!;
    for (const { type, term, to, index, reject, entries } of messages) {
      for (const entry of entries) seen.sent[entry.index] = entry.size;
      if (reject || (type !== MsgVoteResp && type !== MsgAppResp)) continue;
      if (process.isWiped)
        this.fail(
          "lost log",
          `node ${process.id}, whose directory was emptied, answers ${to} in term ${term}`,
        );
      seen.view.refresh();
      const { hardState, lastIndex, terms } = seen.view;
      seen.promises.term = Math.max(seen.promises.term, term);
      if (hardState.term < term)
        this.fail(
          "durable term",
          `node ${process.id} answers in term ${term}, and its disk has ${hardState.term}`,
        );
      if (type === MsgVoteResp) {
        this.promise(process.id, term, to);
        if (hardState.term === term && hardState.vote !== to)
          this.fail("durable vote", `node ${process.id} votes for ${to}, and its disk has ${hardState.vote}`);
      } else if (hardState.term === term) {
        if (lastIndex < index)
          this.fail(
            "durable ack",
            `node ${process.id} acknowledges ${index} in term ${term}, and its disk ends at ${lastIndex}`,
          );
        const { snapshot } = seen.view;
        seen.promises.snapshot = Math.max(seen.promises.snapshot, snapshot.index);
        const { ackedTerms } = seen.promises;
        // What stood behind an entry of an earlier term went with it, if others commit it or not.
        if (ackedTerms[index] !== undefined && ackedTerms[index] !== terms[index]) {
          ackedTerms.length = index;
          seen.promises.acked = index;
        }
        for (let at = index; at > snapshot.index && ackedTerms[at] !== terms[at]; at--) {
          ackedTerms[at] = terms[at];
        }
        seen.promises.acked = Math.max(seen.promises.acked, index);
      }
    }
  }

  private promise(id: number, term: number, vote: number): void {
    const { promises } = this.seen.get(id)!;
    const before = promises.votes.get(term);
    if (before !== undefined && before !== vote)
      this.fail("vote", `node ${id} voted for ${before} and for ${vote} in term ${term}`);
    promises.votes.set(term, vote);
    promises.term = Math.max(promises.term, term);
  }

  apply(process: SimProcess, entries: readonly Entry[]): void {
    // What it applies it may have learned to be committed in this event.
    this.observe(process);
    const seen = this.seen.get(process.id)!;
    const who = `node ${process.id}`;
    for (const entry of entries) {
      const { index, term, data } = entry;
      if (index <= seen.applied) this.fail("apply order", `${who} applied ${index} after ${seen.applied}`);
      seen.applied = index;
      // The very bytes that were found right here when somebody applied them first.
      const before = this.applied[index];
      if (before !== undefined && this.committed[index].term === term && isEqual(before, data)) continue;
      const text = nameOf(data);
      const known = this.log[index];
      if (known === undefined) {
        this.log[index] = text;
        this.model.apply([entry]);
        this.states[index] = this.model.text;
      }
      if (known !== undefined && known !== text)
        this.fail("state machine safety", `${who} applied ${text} at ${index}, where ${known} was applied`);
      const place = this.places.get(text);
      if (place === undefined) this.places.set(text, index);
      else if (place !== index)
        this.fail("exactly once", `${who} applied ${text} at ${index}, and it was applied at ${place}`);
      const proposed = this.payloads.get(text);
      if (proposed === undefined || !isEqual(proposed, data))
        this.fail("payload", `${who} applied other bytes than were proposed as ${text}`);
      if (this.lost.has(text))
        this.fail("mayCommit", `${who} applied ${text}, which its caller was told is lost`);
      if (this.committed[index]?.term !== term)
        this.fail("commit", `${who} applied ${text} at ${index} of term ${term}, which is not committed`);
      if (this.violation === null) this.applied[index] = proposed!;
    }
  }

  /** Somebody who iterates over what it commits got `entry` behind the one at `last`: no other than was applied there. */
  feed({ id }: SimProcess, last: number, { index, data, session }: CommittedEntry): void {
    const text = nameOf(data);
    // One of a session that was proposed again, and passed over.
    const isAgain = session !== undefined && (this.places.get(text) ?? Infinity) < index;
    if (!isAgain && this.log[index] !== text)
      this.fail("feed", `node ${id} gave ${text} at ${index}, where ${this.log[index]} was applied`);
    if (index <= last) this.fail("feed", `node ${id} gave ${index} behind ${last}`);
    for (let at = last + 1; at < index; at++)
      if (this.log[at] !== undefined)
        this.fail("feed", `node ${id} gave ${index} behind ${last}, without ${at}`);
  }

  // ---- clients

  begin(what: string, at: number): Call {
    return { what, at, behind: this.shown };
  }

  /** A write of these bytes begins. */
  propose(data: Uint8Array): void {
    this.payloads.set(nameOf(data), data);
  }

  acknowledge(call: Call, data: Uint8Array, index: number): void {
    const text = nameOf(data);
    this.writes++;
    if (this.log[index] !== text)
      this.fail("acknowledged", `${text} was acknowledged at ${index}, where ${this.log[index]} is`);
    if (index <= call.behind)
      this.fail(
        "linearizable",
        `${call.what} took place at ${index}, and began when ${call.behind} had been seen`,
      );
    this.acked = Math.max(this.acked, index);
    this.shown = Math.max(this.shown, index);
  }

  /** A call ended with `error`: a refusal that its caller knows what to do with, and no bug's. */
  refused(call: Call, error: unknown): void {
    if (error instanceof RaftmarkError) return;
    this.fail("answer", `${call.what} ends with ${error instanceof Error ? error.stack : String(error)}`);
  }

  /** It was rejected. */
  reject(data: Uint8Array, error: RaftmarkError): void {
    if (error.mayCommit) return;
    const text = nameOf(data);
    if (this.places.has(text))
      this.fail("mayCommit", `${text} was applied, and then called lost: ${error.message}`);
    this.lost.add(text);
    this.lostWrites++;
  }

  /** A read was let go on a node that has applied up to `applied`. */
  read(call: Call, applied: number, now: number): void {
    this.reads++;
    if (applied < call.behind) {
      const ms = (us: number): string => (us / 1000).toFixed(3);
      this.fail(
        "linearizable",
        `stale: ${call.what}, asked at ${ms(call.at)} ms and let go at ${ms(now)} ms, saw the log up to ${applied}, ` +
          `and ${call.behind} had been seen before it was asked`,
      );
    }
    this.shown = Math.max(this.shown, applied);
  }
}

function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && Buffer.compare(a, b) === 0;
}

/** Of which half of the voters no majority is among `holders`; null: of none. */
function lacking({ incoming, outgoing }: JointConfig, holders: ReadonlySet<number>): string | null {
  for (const { ids } of [incoming, outgoing]) {
    const having = ids.filter((id) => holders.has(id)).length;
    if (ids.length > 0 && 2 * having <= ids.length) return `${having} of ${ids.length} nodes`;
  }
  return null;
}
