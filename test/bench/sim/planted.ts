// Faults put into the built classes one at a time, each of which the simulator must find: of consensus, of durability, of
// flow and of the wire. Those of reads, more of the core and of what is around it are in files of their own.

import { Applier } from "../../../src/node/applier.js";
import { Driver } from "../../../src/node/driver.js";
import { Reads } from "../../../src/node/reads.js";
import { EntryNormal, type Message } from "../../../src/raft/index.js";
import { RaftLog } from "../../../src/raft/log.js";
import { VoteWon } from "../../../src/raft/quorum/index.js";
import { MajorityConfig } from "../../../src/raft/quorum/majority.js";
import { Inflights } from "../../../src/raft/tracker/inflights.js";
import { Progress } from "../../../src/raft/tracker/progress.js";
import { asyncFs } from "../../../src/wal/disk/wal-fs.js";
import { RingWal } from "../../../src/wal/log/wal.js";
import { FrameReader } from "../../../src/wire/frame.js";
import { type Inside, type Planted, patch } from "./planted-fault.js";
import { PLANTED_IN_ANSWERS } from "./planted-in-answers.js";
import { PLANTED_IN_CORE } from "./planted-in-core.js";
import { PLANTED_IN_FORWARDING } from "./planted-in-forwarding.js";
import { PLANTED_IN_MEMBERS } from "./planted-in-members.js";
import { PLANTED_IN_NODE } from "./planted-in-node.js";
import { PLANTED_IN_READS } from "./planted-in-reads.js";
import { PLANTED_IN_SNAPSHOTS } from "./planted-in-snapshots.js";

function withFs(name: "fdatasync" | "syncDir"): () => void {
  const fs = asyncFs as unknown as Record<string, unknown>;
  const was = fs[name];
  fs[name] = () => {};
  return () => {
    fs[name] = was;
  };
}

export const PLANTED: readonly Planted[] = [
  {
    name: "an append is acknowledged before it is durable",
    profile: "none",
    checkers: /durable/,
    apply: () =>
      patch(Driver, (was) => ({
        append(this: Inside, message: Message, wal: unknown) {
          const out = message.responses.filter(({ to }) => to !== this.parts.id);
          message.responses = message.responses.filter(({ to }) => to === this.parts.id);
          was.append.call(this, message, wal);
          if (out.length > 0) this.parts.link.send(0, out);
        },
      })),
  },
  {
    name: "the vote is not stored",
    profile: "none",
    checkers: /durable vote/,
    apply: () =>
      patch(RingWal, (was) => ({
        append(this: Inside, state: Inside, entries: unknown, sync: boolean) {
          return was.append.call(this, state === null ? null : { ...state, vote: 0 }, entries, sync);
        },
      })),
  },
  {
    name: "the term is not stored",
    profile: "none",
    checkers: /durable/,
    apply: () =>
      patch(RingWal, (was) => ({
        append(this: Inside, _state: Inside, entries: unknown, sync: boolean) {
          return was.append.call(this, null, entries, sync);
        },
      })),
  },
  {
    name: "a sync of a file does nothing",
    profile: "none",
    checkers: /durable/,
    apply: () => withFs("fdatasync"),
  },
  {
    name: "a sync of a directory does nothing",
    profile: "none",
    checkers: /durable/,
    apply: () => withFs("syncDir"),
  },
  {
    name: "one copy is a quorum",
    profile: "none",
    nodes: 3,
    checkers: /durable quorum/,
    apply: () =>
      patch(MajorityConfig, () => ({
        committedIndex(this: Inside, acked: Inside) {
          return Math.max(...this.ids.map((id: number) => acked.ackedIndex(id)));
        },
      })),
  },
  {
    name: "half of the votes elect",
    profile: "network",
    nodes: 4,
    checkers: /election safety/,
    apply: () =>
      patch(MajorityConfig, (was) => ({
        voteResult(this: Inside, votes: ReadonlyMap<number, boolean>) {
          const yes = this.ids.filter((id: number) => votes.get(id) === true).length;
          return 2 * yes >= this.ids.length ? VoteWon : was.voteResult.call(this, votes);
        },
      })),
  },
  {
    name: "a voter does not compare logs",
    profile: "all",
    checkers: /leader completeness|log matching|fault/,
    apply: () => patch(RaftLog, () => ({ isUpToDate: () => true })),
  },
  {
    name: "a follower takes entries wherever its log ends",
    profile: "all",
    checkers: /log matching|fault|durable|commit|state machine/,
    apply: () =>
      patch(RaftLog, (was) => ({
        maybeAppend(this: Inside, prev: number, _term: number, entries: unknown, committed: number) {
          const at = Math.min(prev, this.lastIndex());
          return was.maybeAppend.call(this, prev, this.termOrZero(at), entries, committed);
        },
      })),
  },
  {
    name: "a follower keeps entries that conflict with the leader's",
    profile: "all",
    checkers: /log matching|fault|durable|state machine/,
    apply: () =>
      patch(RaftLog, () => ({
        findConflict(this: Inside, entries: readonly Inside[]) {
          return entries.find(({ index }) => index > this.lastIndex())?.index ?? 0;
        },
      })),
  },
  {
    name: "an acknowledgement counts for one entry more",
    profile: "none",
    nodes: 3,
    checkers: /durable quorum|fault/,
    apply: () =>
      patch(Progress, (was) => ({
        maybeUpdate(this: Inside, n: number) {
          return was.maybeUpdate.call(this, n + 1);
        },
      })),
  },
  {
    name: "messages in flight are not freed",
    profile: "none",
    nodes: 3,
    checkers: /liveness|settles/,
    apply: () => patch(Inflights, () => ({ freeLE: () => {} })),
  },
  {
    name: "committed entries are applied twice",
    profile: "none",
    checkers: /apply order/,
    apply: () =>
      patch(Applier, (was) => ({
        call(this: Inside, entries: Inside[], responses: unknown) {
          const normal = entries.filter(({ type, size }) => type === EntryNormal && size > 0);
          if (normal.length > 0) this.parts.stateMachine.apply(normal);
          was.call.call(this, entries, responses);
        },
      })),
  },
  {
    name: "a read is let go before its index is applied",
    profile: "all",
    checkers: /linearizable/,
    apply: () =>
      patch(Reads, (was) => ({
        confirmed(this: Inside, states: readonly Inside[], applied: number) {
          was.confirmed.call(this, states, applied);
          for (const round of this.rounds) if (round.index !== 0) round.index = 1;
          was.applied.call(this, Math.max(1, applied));
        },
      })),
  },
  {
    name: "a frame's checksum is not looked at",
    profile: "network",
    checkers: /wire|fault|payload/,
    apply: () =>
      patch(FrameReader, () => ({
        checkSettled: () => null,
      })),
  },
  ...PLANTED_IN_READS,
  ...PLANTED_IN_CORE,
  ...PLANTED_IN_NODE,
  ...PLANTED_IN_SNAPSHOTS,
  ...PLANTED_IN_MEMBERS,
  ...PLANTED_IN_FORWARDING,
  ...PLANTED_IN_ANSWERS,
];
