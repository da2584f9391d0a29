// Planted faults of reads and of what proposals say of their fate; each was one of the engine's own before it was mended.
import { createHash } from "node:crypto";
import { RaftmarkError } from "../../../src/base/errors.js";
import { Proposals } from "../../../src/node/proposals.js";
import { Reads } from "../../../src/node/reads.js";
import { type Entry, type Message, RawNode } from "../../../src/raft/index.js";
import { Raft } from "../../../src/raft/raft.js";
import { ReadOnly } from "../../../src/raft/read-only.js";
import { appendedIn, type Inside, type Planted, patch } from "./planted-fault.js";

const CONTEXT_BYTES = 8;

/** The round of the newest request with this context; heartbeats carry `part` of a request's context. */
function byContext(part: (context: Uint8Array) => Uint8Array): () => void {
  const requestOf = (status: Inside) => part(status.request.entries[0].data);
  return patch(ReadOnly, (was) => ({
    startRound(this: Inside, now: number) {
      was.startRound.call(this, now);
      const newest = this.pending.at(-1);
      return newest === undefined ? new Uint8Array(0) : requestOf(newest);
    },
    roundOf(this: Inside, context: Uint8Array) {
      const status = this.pending.find((one: Inside) => Buffer.compare(requestOf(one), context) === 0);
      return status?.round ?? 0;
    },
  }));
}

/** The lease as `holds` has it, given the time of sending that counts now. */
function lease(holds: (raft: Inside, sent: number) => boolean): () => void {
  return patch(Raft, () => ({
    holdsLease(this: Inside) {
      return holds(this, this.readOnly.sent(this.trk.confirmedRound(this.id, this.readOnly.lastRound)));
    },
  }));
}

function leaseTicks(raft: Inside): number {
  return (raft.settings.electionTick - 1) * 0.9 - 1;
}

export const PLANTED_IN_READS: readonly Planted[] = [
  {
    name: "requests of different nodes are told apart by their counts alone",
    profile: "reads",
    nodes: 5,
    lease: false,
    worlds: 600,
    checkers: /linearizable|settles/,
    apply: () => byContext((context) => context.slice(-CONTEXT_BYTES)),
  },
  {
    name: "an answer to an earlier heartbeat confirms a later request",
    profile: "all",
    nodes: 5,
    lease: false,
    checkers: /linearizable/,
    apply: () => patch(ReadOnly, () => ({ roundOf: (): number => Number.MAX_SAFE_INTEGER })),
  },
  {
    name: "a request joins the round that is under way",
    profile: "all",
    nodes: 5,
    lease: false,
    checkers: /linearizable/,
    apply: () =>
      patch(ReadOnly, () => ({
        addRequest(this: Inside, index: number, request: Message) {
          this.pending.push({ request, index, round: this.last });
        },
      })),
  },
  {
    name: "a request of an earlier incarnation has the identity of a later one",
    profile: "feud",
    nodes: 5,
    lease: false,
    checkers: /linearizable/,
    apply: () =>
      patch(Reads, () => ({
        sequenceOf: (context: Uint8Array) => Number(Buffer.from(context).readBigUInt64BE(context.length - 8)),
      })),
  },
  {
    name: "a request is asked anew under the identity it had",
    profile: "reads",
    nodes: 3,
    lease: false,
    checkers: /linearizable/,
    apply() {
      const undo = [
        // As long as a heartbeat's context may be.
        byContext((context) => createHash("sha256").update(context).digest().subarray(0, CONTEXT_BYTES)),
        patch(Reads, () => ({
          askAgain(this: Inside, rawNode: RawNode, ticks: number) {
            for (const round of this.rounds) {
              if (round.index !== 0 || round.askedTicks < ticks) continue;
              round.asked = true;
              round.askedTicks = 0;
              const newest = Math.max(this.sequence, round.sequence);
              this.sequence = round.sequence - 1;
              this.request(rawNode);
              this.sequence = newest;
            }
          },
        })),
      ];
      return () => {
        for (const one of undo.reverse()) one();
      };
    },
  },
  {
    name: "a sole voter answers before it has committed in its term",
    profile: "crash",
    nodes: 1,
    lease: false,
    checkers: /linearizable/,
    apply: () =>
      patch(Raft, (was) => ({
        committedEntryInCurrentTerm(this: Inside) {
          return this.trk.voterNodes().length === 1 || was.committedEntryInCurrentTerm.call(this);
        },
      })),
  },
  {
    name: "a leader answers before it has committed in its term",
    profile: "all",
    nodes: 5,
    lease: false,
    checkers: /linearizable/,
    apply: () => patch(Raft, () => ({ committedEntryInCurrentTerm: () => true })),
  },
  {
    name: "a lease never runs out",
    profile: "network",
    nodes: 5,
    lease: true,
    checkers: /linearizable/,
    apply: () => lease((raft) => !raft.leaseGivenUp && raft.leadTransferee === 0),
  },
  {
    name: "a lease counts from the answers",
    profile: "reads",
    nodes: 5,
    lease: true,
    checkers: /linearizable/,
    apply() {
      const answered = new WeakMap<object, { round: number; at: number }>();
      const undo = [
        patch(RawNode, (was) => ({
          step(this: Inside, m: Message) {
            const result = was.step.call(this, m);
            const { raft } = this;
            const round = raft.trk.confirmedRound(raft.id, raft.readOnly.lastRound);
            const before = answered.get(raft)?.round ?? 0;
            if (round !== before)
              answered.set(raft, { round, at: round > before ? raft.leaseClock() : -Infinity });
            return result;
          },
        })),
        lease((raft) => {
          if (raft.leaseGivenUp || raft.leadTransferee !== 0) return false;
          return raft.leaseClock() - (answered.get(raft)?.at ?? -Infinity) < leaseTicks(raft);
        }),
      ];
      return () => {
        for (const one of undo.reverse()) one();
      };
    },
  },
  {
    name: "a lease is kept during a transfer and after it was tried",
    profile: "network",
    nodes: 5,
    lease: true,
    checkers: /linearizable/,
    apply: () => lease((raft, sent) => raft.leaseClock() - sent < leaseTicks(raft)),
  },
  {
    name: "a lease is measured in ticks that a process counted, though it may have stood still",
    profile: "network",
    nodes: 5,
    lease: true,
    checkers: /linearizable/,
    apply: () =>
      patch(Raft, () => ({
        leaseClock(this: Inside) {
          return this.ticks;
        },
      })),
  },
  {
    name: "a voter forgets with a restart that a lease rests on it",
    profile: "leases",
    nodes: 3,
    lease: true,
    checkers: /linearizable/,
    apply: () =>
      patch(Raft, (was) => ({
        promiseNotToVote(this: Inside) {
          if (this.lead !== 0) was.promiseNotToVote.call(this);
        },
      })),
  },
  {
    name: "a proposal is called lost as soon as another entry of this node's takes its index",
    profile: "feud",
    nodes: 5,
    lease: false,
    checkers: /mayCommit/,
    apply: () =>
      patch(Proposals, (was) => ({
        appendedAt(this: Inside, term: number, firstIndex: number, count: number) {
          const lost = appendedIn(this).filter(
            (proposal: Inside) => proposal.term < term && proposal.index >= firstIndex,
          );
          was.appendedAt.call(this, term, firstIndex, count);
          for (const proposal of lost) {
            this.rejectOne(proposal, new RaftmarkError("RAFT_PROPOSAL_DROPPED", "overwritten"));
          }
        },
      })),
  },
  {
    name: "a proposal waits until the log grows past its index",
    profile: "feud",
    nodes: 5,
    lease: false,
    checkers: /settles/,
    apply: () =>
      patch(Proposals, () => ({
        applied(this: Inside, entry: Entry, result: unknown) {
          const { index, term } = entry;
          const left = this.takeAppended().filter((proposal: Inside) => {
            if (proposal.index > index) return true;
            const isIt = proposal.index === index && proposal.term === term;
            if (!isIt) this.rejectOne(proposal, new RaftmarkError("RAFT_PROPOSAL_DROPPED", "overwritten"));
            else if (this.settle(proposal)) proposal.resolve({ index, term, result });
            return false;
          });
          if (left.length > 0) this.appended.push(left);
        },
      })),
  },
];
