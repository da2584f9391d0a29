// Planted faults of proposals that go from node to node, and of sessions: what is said of them, and how often they are
// appended and applied.
import type { RaftmarkError } from "../../../src/base/errors.js";
import { Arrivals } from "../../../src/node/arrivals.js";
import { BatchCall } from "../../../src/node/batch-call.js";
import { refused, UncommittedLimit } from "../../../src/node/forward-wire.js";
import { Forwards } from "../../../src/node/forwards.js";
import { Proposals } from "../../../src/node/proposals.js";
import { encodeResult } from "../../../src/node/session-results.js";
import { Sessions } from "../../../src/node/sessions.js";
import type { Entry, Message } from "../../../src/raft/index.js";
import { type Inside, type Planted, patch } from "./planted-fault.js";

export const PLANTED_IN_FORWARDING: readonly Planted[] = [
  {
    name: "a leader refuses what it has appended",
    profile: "network",
    checkers: /mayCommit/,
    apply: () =>
      patch(Arrivals, (was) => ({
        append(this: Inside, ...args: Inside[]) {
          const { post } = this;
          this.post = (message: Message) =>
            post(
              message.index % 16 === 1
                ? refused({ ...message, from: message.to, to: message.from }, UncommittedLimit)
                : message,
            );
          try {
            return was.append.apply(this, args);
          } finally {
            this.post = post;
          }
        },
      })),
  },
  {
    name: "a forwarded proposal that comes twice is appended twice",
    profile: "network",
    checkers: /exactly once/,
    apply: () =>
      patch(Arrivals, () => ({
        lifeIfNew(this: Inside, { from, context }: Message) {
          return this.lifeOf(from, context);
        },
      })),
  },
  {
    name: "who was sent a proposal and leads no more is taken not to have appended it",
    profile: "network",
    checkers: /mayCommit|exactly once/,
    apply: () =>
      patch(Forwards, (was) => ({
        leaderChanged(this: Inside, raft: Inside) {
          for (const [sequence, request] of this.requests) {
            if (request.to === raft.lead && request.term === raft.term) continue;
            this.requests.delete(sequence);
            this.sentBytes -= request.bytes;
            this.proposals.giveBack(request.proposals);
          }
          was.leaderChanged.call(this, raft);
        },
      })),
  },
  {
    name: "a proposal that was aborted on its way to the leader is called lost",
    profile: "network",
    checkers: /mayCommit/,
    apply: () =>
      patch(Proposals, (was) => ({
        giveUp(this: Inside, proposal: Inside, end: Inside) {
          const { reject } = proposal;
          if (proposal.index === -1)
            proposal.reject = (error: RaftmarkError) => reject(Object.assign(error, { mayCommit: false }));
          was.giveUp.call(this, proposal, end);
        },
      })),
  },
  {
    name: "a snapshot is taken without the sessions",
    profile: "snapshots",
    checkers: /session|exactly once|snapshot|history/,
    apply: () => patch(Sessions, () => ({ encode: () => new Uint8Array(0) })),
  },
  {
    name: "a session's proposals are applied as often as they come",
    profile: "all",
    checkers: /exactly once/,
    apply: () =>
      patch(Sessions, (was) => ({
        plan(this: Inside, entries: readonly Entry[]) {
          for (const session of this.sessions.values()) session.applied = 0n;
          return was.plan.call(this, entries);
        },
      })),
  },
  {
    name: "a retry in a session gets what the state machine says of nothing",
    profile: "all",
    checkers: /history|linearizable|acknowledged/,
    apply: () =>
      patch(Sessions, (was) => ({
        outcomeOf(this: Inside, key: string) {
          const outcome = was.outcomeOf.call(this, key);
          return outcome === null ? null : { ...outcome, result: encodeResult(0) };
        },
      })),
  },
  {
    name: "a snapshot keeps of a session its highest number alone",
    profile: "snapshots",
    checkers: /exactly once|snapshot/,
    apply: () =>
      patch(Sessions, (was) => ({
        encode(this: Inside) {
          const sessions: Inside[] = [...this.sessions.values()];
          const applied = sessions.map((session) => session.applied);
          for (const session of sessions) session.applied &= 1n;
          const bytes = was.encode.call(this);
          for (const [i, session] of sessions.entries()) session.applied = applied[i];
          return bytes;
        },
      })),
  },
  {
    name: "of a session a number below its highest counts as applied",
    profile: "all",
    checkers: /session|feed/,
    apply: () =>
      patch(Sessions, (was) => ({
        plan(this: Inside, entries: readonly Entry[]) {
          for (const session of this.sessions.values()) session.applied = (1n << 64n) - 1n;
          return was.plan.call(this, entries);
        },
      })),
  },
  {
    name: "a call of many is called lost, though a part of it is applied",
    profile: "network",
    checkers: /mayCommit/,
    apply: () =>
      patch(BatchCall, (was) => ({
        ended(this: Inside, count: number) {
          if (this.refusal !== null) this.mayCommit = this.refusal.mayCommit;
          was.ended.call(this, count);
        },
      })),
  },
  {
    name: "a call of many gets its last outcome for each",
    profile: "none",
    checkers: /acknowledged/,
    apply: () =>
      patch(BatchCall, (was) => ({
        resolved(this: Inside, place: number, value: unknown) {
          this.done.fill(value);
          was.resolved.call(this, place, value);
        },
      })),
  },
];
