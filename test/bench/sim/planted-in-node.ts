// Planted faults around the core: of promises, of reads that wait, of clocks, of the log's files, of frames.
import { RaftmarkError } from "../../../src/base/errors.js";
import type { RaftNodeOptions } from "../../../src/node/api.js";
import { Applier } from "../../../src/node/applier.js";
import { CallWatch } from "../../../src/node/call-watch.js";
import { CommittedFeed } from "../../../src/node/committed.js";
import { Driver } from "../../../src/node/driver.js";
import { LeaseClock } from "../../../src/node/lease-clock.js";
import { PeerLogs } from "../../../src/node/peer-logs.js";
import { Proposals } from "../../../src/node/proposals.js";
import { RaftNode } from "../../../src/node/raft-node.js";
import { Reads } from "../../../src/node/reads.js";
import { RawNode } from "../../../src/raft/index.js";
import { SpareDescriptors } from "../../../src/wal/disk/spare-descriptors.js";
import { asyncFs } from "../../../src/wal/disk/wal-fs.js";
import { RingWal } from "../../../src/wal/log/wal.js";
import { DurableLog } from "../../../src/wal/read/wal-storage.js";
import { appendedIn, type Inside, type Planted, patch } from "./planted-fault.js";

const lost = () => new RaftmarkError("RAFT_PROPOSAL_DROPPED", "lost, as far as this node can see");

/** Syncs that function `caller` asks for are not done. */
function unsynced(caller: string): () => void {
  const fs = asyncFs as unknown as Record<string, (...args: unknown[]) => unknown>;
  const { fdatasync, syncDir } = fs;
  const isAsked = (): boolean => new Error().stack?.includes(` ${caller} `) === true;
  fs["fdatasync"] = (fd) => (isAsked() ? undefined : fdatasync!(fd));
  fs["syncDir"] = (dir) => (isAsked() ? undefined : syncDir!(dir));
  return () => {
    Object.assign(fs, { fdatasync, syncDir });
  };
}

export const PLANTED_IN_NODE: readonly Planted[] = [
  {
    name: "a write is acknowledged when it is in the leader's log",
    profile: "none",
    nodes: 3,
    checkers: /acknowledged|linearizable/,
    apply: () =>
      patch(Proposals, (was) => ({
        appendedAt(this: Inside, term: number, first: number, count: number) {
          const batch = this.waiting.slice(0, count);
          was.appendedAt.call(this, term, first, count);
          for (const one of batch)
            if (this.settle(one)) one.resolve({ index: one.index, term, result: undefined });
        },
      })),
  },
  {
    name: "a leader that is deposed calls lost what it appended",
    profile: "network",
    checkers: /mayCommit/,
    apply: () =>
      patch(Proposals, (was) => ({
        tick(this: Inside, leads: boolean) {
          if (!leads) for (const one of appendedIn(this)) this.rejectOne(one, lost());
          was.tick.call(this, leads);
        },
      })),
  },
  {
    name: "a proposal that was aborted is called lost, though it is in the log",
    profile: "network",
    checkers: /mayCommit/,
    apply: () =>
      patch(Proposals, (was) => ({
        giveUp(this: Inside, proposal: Inside, end: unknown) {
          if (proposal.index === 0) was.giveUp.call(this, proposal, end);
          else this.rejectOne(proposal, lost());
        },
      })),
  },
  {
    name: "a node that closes calls lost what is in its log",
    profile: "crash",
    checkers: /mayCommit/,
    apply: () =>
      patch(Proposals, (was) => ({
        end(this: Inside, why: RaftmarkError) {
          if (why.code === "RAFT_CLOSED") for (const one of this.takeAppended()) this.rejectOne(one, lost());
          was.end.call(this, why);
        },
      })),
  },
  {
    name: "a caller's own time does not end its call",
    profile: "network",
    checkers: /settles/,
    apply: () =>
      patch(CallWatch, (was) => ({
        add(this: Inside, call: unknown) {
          was.add.call(this, call, undefined);
        },
      })),
  },
  {
    name: "a read that got no answer is not asked again",
    profile: "network",
    checkers: /settles/,
    apply: () => patch(Reads, () => ({ askAgain: () => {} })),
  },
  {
    name: "a follower's state machine is behind what its reads are told",
    profile: "none",
    nodes: 3,
    checkers: /history/,
    apply: () =>
      patch(Driver, (was) => {
        const behind = (work: string) =>
          function (this: Inside, ...args: unknown[]) {
            const { raft } = this.parts.rawNode;
            const { parts } = this.applier;
            const { stateMachine } = parts;
            const late: Inside[] = (this.late ??= []);
            const catchUp = () => void (late.length > 0 && stateMachine.apply(late.splice(0)));
            if (raft.lead === raft.id) catchUp();
            else {
              const later = (all: Inside[]) => {
                late.push(...all);
                setTimeout(catchUp, 1);
              };
              parts.stateMachine = { apply: later };
            }
            was[work].apply(this, args);
            parts.stateMachine = stateMachine;
          };
        return { handleReady: behind("handleReady"), durable: behind("durable") };
      }),
  },
  {
    name: "entries count as applied when apply has returned its promise",
    profile: "crash",
    checkers: /apply order|history|acknowledged|answer/,
    apply: () =>
      patch(Applier, () => ({
        wait(this: Inside, _: unknown, entries: unknown, __: number, ___: unknown, responses: unknown) {
          this.parts.onApplied(entries, undefined, responses);
        },
      })),
  },
  {
    name: "who iterates over what is committed does not get what had to be read from a segment",
    profile: "all",
    checkers: /feed/,
    apply: () =>
      patch(CommittedFeed, (was) => ({
        load(this: Inside) {
          const { raftLog } = this.feeds.rawNode.raft;
          const isAway = !raftLog.atHand(this.reader, this.index);
          if (isAway && this.index < this.feeds.applied()) this.index++;
          return was.load.call(this);
        },
      })),
  },
  {
    name: "a lease does not count the time for which its host slept",
    profile: "feud",
    nodes: 3,
    lease: true,
    checkers: /linearizable/,
    apply: () =>
      patch(LeaseClock, () => ({
        elapsedMs(this: Inside) {
          return this.monotonicMs() - this.start;
        },
      })),
  },
  {
    name: "what is found when a log opens is not synced",
    profile: "crash",
    checkers: /durable|fault/,
    apply: () => unsynced("syncFound"),
  },
  {
    name: "the name of the data directory is not synced",
    profile: "crash",
    checkers: /durable/,
    apply: () => unsynced("syncAbove"),
  },
  {
    name: "a process that stood still takes its disk for silent",
    profile: "network",
    checkers: /disk/,
    apply: () =>
      patch(RingWal, () => ({
        silentMs(this: Inside) {
          if (this.appends.length === 0) return 0;
          return performance.now() - Math.max(this.answeredAt, this.appends.peek(0).at);
        },
      })),
  },
  {
    name: "a leader whose disk is silent leads on",
    profile: "disk",
    checkers: /liveness|settles/,
    apply() {
      const undo = [
        patch(RawNode, () => ({ stepDown: () => {} })),
        patch(Driver, (was) => ({
          tick(this: Inside) {
            was.tick.call(this);
            if (this.disk.isSilent) this.control((rawNode: RawNode) => rawNode.tick());
          },
        })),
      ];
      return () => {
        for (const one of undo.reverse()) one();
      };
    },
  },
  {
    name: "a member whose directory was emptied is welcome",
    profile: "disk",
    nodes: 5,
    checkers: /lost log|fault|durable|vote|leader completeness|log matching/,
    apply: () => patch(PeerLogs, () => ({ refusalOf: () => null })),
  },
  {
    name: "the options say who the members are, whatever the log says",
    profile: "crash",
    nodes: 3,
    checkers: /members/,
    apply() {
      const given = new Map<number, readonly number[]>();
      const { open } = RaftNode;
      RaftNode.open = (options: RaftNodeOptions) => {
        given.set(process.pid, Object.keys(options.peers).map(Number));
        return open.call(RaftNode, options);
      };
      const undo = patch(DurableLog, (was) => ({
        initialState(this: Inside) {
          const state = was.initialState.call(this);
          return {
            ...state,
            confState: { ...state.confState, voters: given.get(process.pid) ?? state.confState.voters },
          };
        },
      }));
      return () => {
        undo();
        RaftNode.open = open;
      };
    },
  },
  {
    name: "a log has no descriptor to spare",
    profile: "disk",
    checkers: /fault|disk/,
    apply: () => patch(SpareDescriptors, () => ({ giveUp: () => false, refill: () => {} })),
  },
  {
    name: "a lease does not heed that another member promises less",
    profile: "leases",
    nodes: 3,
    lease: true,
    checkers: /linearizable/,
    apply: () =>
      patch(PeerLogs, (was) => ({
        meet(this: Inside, peer: number, hello: unknown) {
          const refusal = was.meet.call(this, peer, hello);
          this.leastPromiseMs = Infinity;
          return refusal;
        },
      })),
  },
];
