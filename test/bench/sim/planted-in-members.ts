// Planted faults around changes of members: what a snapshot keeps of them, who is let in, and what a removal leaves.

import { MemberBook } from "../../../src/node/member-book.js";
import { encodeMemberRecord } from "../../../src/node/member-record.js";
import { Members } from "../../../src/node/members.js";
import { MembershipCall } from "../../../src/node/membership-change.js";
import { ProgressTracker } from "../../../src/raft/tracker/tracker.js";
import { type Inside, type Planted, patch } from "./planted-fault.js";

export const PLANTED_IN_MEMBERS: readonly Planted[] = [
  {
    name: "a snapshot does not keep where the members listen that were added",
    profile: "members",
    checkers: /members/,
    apply: () =>
      patch(MemberBook, () => ({
        encode(this: Inside) {
          return encodeMemberRecord({ ...this.record(), given: {} });
        },
      })),
  },
  {
    name: "committed changes of members have no effect on some nodes",
    profile: "members",
    checkers: /members|liveness|fault/,
    apply: () =>
      patch(MemberBook, (was) => ({
        apply(this: Inside, rawNode: Inside, entry: Inside) {
          const before = rawNode.raft.trk.confState();
          const state = was.apply.call(this, rawNode, entry);
          if (rawNode.raft.id % 2 === 0 && before.voters.length > 0) rawNode.raft.installConfState(before);
          return state;
        },
      })),
  },
  {
    name: "a member that is not known yet is turned away",
    profile: "members",
    checkers: /liveness/,
    apply: () => patch(Members, () => ({ meet(this: Inside) {} })),
  },
  {
    name: "a learner's answer confirms a read as a voter's does",
    profile: "members",
    nodes: 3,
    lease: false,
    checkers: /linearizable/,
    apply: () =>
      patch(ProgressTracker, () => ({
        confirmedRound(this: Inside, self: number, lastRound: number) {
          const rounds = this.peerIds.map((id: number) =>
            id === self ? lastRound : this.progress.get(id).heartbeatRound,
          );
          return rounds.sort((a: number, b: number) => b - a)[this.voterNodes().length >> 1];
        },
      })),
  },
  {
    name: "a change of members is answered when it is in the leader's log",
    profile: "members",
    checkers: /acknowledged/,
    apply: () =>
      patch(MembershipCall, (was) => ({
        turn(this: Inside) {
          was.turn.call(this);
          if (this.call !== null && this.call.index > 0) this.resolve(this.call);
        },
      })),
  },
  {
    name: "a change of members whose time is up is called lost, though it is in the log",
    profile: "members",
    checkers: /mayCommit/,
    apply: () =>
      patch(MembershipCall, (was) => ({
        giveUp(this: Inside, call: Inside, end: unknown) {
          call.index = 0;
          was.giveUp.call(this, call, end);
        },
      })),
  },
  {
    name: "a change of members goes on when its caller's time is up",
    profile: "members",
    checkers: /settles/,
    apply: () => patch(MembershipCall, () => ({ giveUp() {} })),
  },
];
