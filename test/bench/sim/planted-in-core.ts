// Planted faults of the core: of elections, of what commits, of logs that differ, of reads, of flow.
import { type Message, MsgHeartbeat, MsgVote, RawNode } from "../../../src/raft/index.js";
import { RaftLog } from "../../../src/raft/log.js";
import { Raft } from "../../../src/raft/raft.js";
import { ReadOnly } from "../../../src/raft/read-only.js";
import { Inflights } from "../../../src/raft/tracker/inflights.js";
import { Progress } from "../../../src/raft/tracker/progress.js";
import { ProgressTracker } from "../../../src/raft/tracker/tracker.js";
import { type Inside, type Planted, patch } from "./planted-fault.js";

export const PLANTED_IN_CORE: readonly Planted[] = [
  {
    name: "an entry of an earlier term commits by counting its copies",
    profile: "feud",
    nodes: 5,
    worlds: 600,
    checkers: /leader completeness|log matching|state machine|fault/,
    apply: () =>
      patch(RaftLog, () => ({
        maybeCommit(this: Inside, index: number) {
          if (index <= this.committed) return false;
          this.commitTo(index);
          return true;
        },
      })),
  },
  {
    name: "an append that was overtaken cuts off what came behind it",
    profile: "network",
    checkers: /durable|fault|log matching|leader completeness/,
    apply: () =>
      patch(RaftLog, (was) => ({
        findConflict(this: Inside, entries: readonly Inside[]) {
          const conflict = was.findConflict.call(this, entries);
          if (conflict !== 0 || entries.length === 0) return conflict;
          const { index } = entries[entries.length - 1];
          return index > this.committed && index < this.lastIndex() ? index : 0;
        },
      })),
  },
  {
    name: "a committed suffix is cut off with a conflict in front of it",
    profile: "network",
    checkers: /durable|log matching|leader completeness|commit|fault|state machine/,
    apply: () =>
      patch(RaftLog, (was) => ({
        appendFrom(this: Inside, entries: readonly Inside[], from: number) {
          const { committed } = this;
          if (entries[from].index > 1) this.committed = Math.min(committed, entries[from].index - 1);
          was.appendFrom.call(this, entries, from);
          this.committed = Math.min(committed, this.lastIndex());
        },
        findConflict(this: Inside, entries: readonly Inside[]) {
          return entries.length > 0 ? entries[0].index : 0;
        },
      })),
  },
  {
    name: "a follower commits what its leader has, as far as its own log goes",
    profile: "feud",
    checkers: /log matching|commit|state machine|fault|leader completeness/,
    apply: () =>
      patch(RaftLog, (was) => ({
        maybeAppend(this: Inside, prev: number, term: number, entries: Inside, committed: number) {
          const last = was.maybeAppend.call(this, prev, term, entries, committed);
          if (last !== -1) this.commitTo(Math.min(committed, this.lastIndex()));
          return last;
        },
      })),
  },
  {
    name: "a heartbeat says the leader's commit index, whatever the follower has",
    profile: "feud",
    checkers: /fault|log matching|commit|state machine/,
    apply: () =>
      patch(Raft, (was) => ({
        send(this: Inside, m: Message) {
          if (m.type === MsgHeartbeat) m.commit = this.raftLog.committed;
          was.send.call(this, m);
        },
      })),
  },
  {
    name: "a leader counts its own copy before it is durable",
    profile: "disk",
    nodes: 3,
    checkers: /durable quorum/,
    apply: () =>
      patch(Raft, (was) => ({
        appendEntry(this: Inside, entries: unknown) {
          const accepted = was.appendEntry.call(this, entries);
          if (accepted) this.trk.progress.get(this.id).maybeUpdate(this.raftLog.lastIndex());
          return accepted;
        },
      })),
  },
  {
    name: "votes of an earlier campaign count in a later one",
    profile: "feud",
    nodes: 5,
    checkers: /election safety|leader completeness|log matching/,
    apply: () => patch(ProgressTracker, () => ({ resetVotes: () => {} })),
  },
  {
    name: "a vote goes to whoever asks, though another has it",
    profile: "network",
    nodes: 5,
    checkers: /vote|election safety/,
    apply: () =>
      patch(RawNode, (was) => ({
        step(this: Inside, m: Message) {
          const { raft } = this;
          if (m.type === MsgVote && m.term === raft.term && raft.lead === 0 && raft.vote !== raft.id)
            raft.vote = 0;
          return was.step.call(this, m);
        },
      })),
  },
  {
    name: "a vote is forgotten with a restart",
    profile: "crash",
    nodes: 5,
    checkers: /vote|election safety/,
    apply: () =>
      patch(Raft, (was) => ({
        loadState(this: Inside, state: Inside) {
          was.loadState.call(this, state);
          this.vote = 0;
        },
      })),
  },
  {
    name: "a read is answered without asking a quorum",
    profile: "network",
    lease: false,
    checkers: /linearizable/,
    apply: () =>
      patch(ReadOnly, (was) => ({
        advance(this: Inside) {
          return was.advance.call(this, Number.MAX_SAFE_INTEGER);
        },
      })),
  },
  {
    name: "a rejection moves a follower's place forward only",
    profile: "feud",
    checkers: /liveness|settles/,
    apply: () =>
      patch(Progress, (was) => ({
        maybeDecrTo(this: Inside, rejected: number, hint: number) {
          return hint < this.next - 1 && rejected === this.next - 1
            ? false
            : was.maybeDecrTo.call(this, rejected, hint);
        },
      })),
  },
  {
    name: "the window of a follower counts messages, and no bytes",
    profile: "none",
    nodes: 3,
    checkers: /bounds|catch-up/,
    apply: () =>
      patch(Inflights, () => ({
        full(this: Inside) {
          return this.held === this.maxCount;
        },
      })),
  },
];
