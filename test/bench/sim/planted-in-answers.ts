// Planted faults in what a node says when it is asked: its status, who leads, a snapshot that it took by hand, and what
// becomes of a call of many whose caller does not wait for it.

import { RaftmarkError } from "../../../src/base/errors.js";
import { LeaderWatch } from "../../../src/node/leader-watch.js";
import { Proposals } from "../../../src/node/proposals.js";
import { Snapshots } from "../../../src/node/snapshots.js";
import { RawNode, StateLeader } from "../../../src/raft/index.js";
import { type Inside, type Planted, patch } from "./planted-fault.js";

export const PLANTED_IN_ANSWERS: readonly Planted[] = [
  {
    name: "a node says that all in its log is committed",
    profile: "all",
    checkers: /status/,
    apply: () =>
      patch(RawNode, (was) => ({
        basicStatus(this: Inside) {
          const status = was.basicStatus.call(this);
          return { ...status, hardState: { ...status.hardState, commit: status.lastIndex } };
        },
      })),
  },
  {
    name: "a node that was deposed says that it leads on",
    profile: "all",
    checkers: /status/,
    apply: () =>
      patch(RawNode, (was) => ({
        basicStatus(this: Inside) {
          const { softState, ...status } = was.basicStatus.call(this);
          if (softState.raftState === StateLeader) this.led = softState;
          return { ...status, softState: this.led ?? softState };
        },
      })),
  },
  {
    name: "who waits for a leader is not told of one",
    profile: "all",
    checkers: /settles/,
    apply: () =>
      patch(LeaderWatch, () => ({
        changed(this: Inside, leader: number) {
          this.leader = leader;
        },
      })),
  },
  {
    name: "who waits for a leader is told of somebody that it knows",
    profile: "all",
    checkers: /^leader$/,
    apply: () =>
      patch(LeaderWatch, () => ({
        next: (): Promise<number> => Promise.resolve(1),
      })),
  },
  {
    name: "a snapshot that was asked for is answered with the one before",
    profile: "snapshots",
    checkers: /snapshot/,
    apply: () =>
      patch(Snapshots, (was) => ({
        ask(this: Inside, options: unknown) {
          return this.last === null ? was.ask.call(this, options) : Promise.resolve(this.last);
        },
      })),
  },
  {
    name: "a snapshot that was asked for is answered before it is recorded",
    profile: "snapshots",
    checkers: /snapshot/,
    apply: () =>
      patch(Snapshots, (was) => ({
        take(this: Inside, metadata: Inside) {
          const { index, term } = metadata;
          if (index > 0)
            this.settle(this.asked.splice(0), (one: Inside) => one.resolve({ index, term, bytes: 0 }));
          was.take.call(this, metadata);
        },
      })),
  },
  {
    name: "a call of many goes on when its caller's time is up",
    profile: "none",
    checkers: /settles/,
    apply: () => patch(Proposals, () => ({ giveUpAll() {} })),
  },
  {
    name: "a call of many that its caller gives up is called lost, though it is in the log",
    profile: "none",
    checkers: /mayCommit/,
    apply: () =>
      patch(Proposals, (was) => ({
        giveUpAll(this: Inside, { runs }: Inside, end: unknown) {
          for (const run of runs) {
            if (run.settled) continue;
            const reject = run.reject;
            run.reject = function (this: Inside, error: RaftmarkError) {
              reject.call(this, RaftmarkError.withoutStack(error.code, error.message, { mayCommit: false }));
            };
            was.giveUp.call(this, run, end);
          }
        },
      })),
  },
];
