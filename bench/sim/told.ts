// What nodes tell whoever asks or listens, held against what others tell and what is in the log: status(), the channel
// raftmark:membership, and what they answer to changes of members.
import type { RaftmarkError } from "../../src/base/errors.js";
import type { Member, MembershipChange, MembershipChanged } from "../../src/node/api.js";
import type { DiagnosticsChannels } from "../../src/node/channels.js";
import type { Checker } from "./checker.js";
import type { SimProcess } from "./process.js";

/** status() is looked at once in so many events: it takes longer than all else. */
const EVENTS_PER_LOOK = 64;

/** The members from the entry at `index` on, as whoever applied it first told them. */
interface Membership {
  readonly index: number;
  readonly members: readonly Member[];
  readonly text: string;
}

/** What a node said last. */
interface Said {
  readonly life: number;
  readonly term: number;
  readonly commit: number;
  readonly applied: number;
}

export class Told {
  private readonly checker: Checker;
  /** Ascending. */
  private readonly memberships: Membership[];
  /** By address that a change gave: where that took effect. No two changes give the same one. */
  private readonly places = new Map<string, number>();
  /** Addresses of changes whose callers were told that they never take effect. */
  private readonly lost = new Set<string>();
  private readonly said = new Map<number, Said>();
  private events = 0;

  /** `voters`: the first members. */
  constructor(checker: Checker, voters: readonly number[]) {
    this.checker = checker;
    const members = voters.map((id): Member => ({ id, address: "", role: "voter" }));
    this.memberships = [{ index: 0, members, text: textOf(members) }];
  }

  // ---- status()

  /** After an event of it. */
  observe(process: SimProcess): void {
    if (++this.events % EVENTS_PER_LOOK === 0 && process.node !== null) this.look(process);
  }

  private look(process: SimProcess): void {
    const { id, life } = process;
    const { checker } = this;
    const { term, commit, applied, lastIndex, state, leader, members } = process.node!.status();
    const before = this.said.get(id);
    this.said.set(id, { life, term, commit, applied });
    const now = `status() of node ${id} says term ${term}, commit ${commit}, applied ${applied}, last index ${lastIndex}`;
    if (before?.life === life && (term < before.term || commit < before.commit || applied < before.applied))
      checker.fail(
        "status",
        `${now}, and before ${before.term}, ${before.commit}, ${before.applied} in the same life`,
      );
    if (applied > commit || commit > lastIndex) checker.fail("status", now);
    const led = checker.leaderOf(term);
    if (state === "StateLeader" && (led !== id || leader !== id))
      checker.fail("status", `${now}, and that it leads; ${led} leads that term, and it says ${leader}`);
    if (leader !== 0 && led !== leader)
      checker.fail("status", `${now}, and that node ${leader} leads; ${led} leads that term`);
    if (!isBetween(process) && members.length > 0) this.checkMembers(id, applied, members);
  }

  private checkMembers(id: number, applied: number, members: readonly Member[]): void {
    const known = this.membershipAt(applied);
    if (textOf(members) !== known.text)
      this.checker.fail(
        "status",
        `node ${id} has members ${textOf(members)} at ${applied}, where they are ${known.text} since ${known.index}`,
      );
  }

  /** As of that index. */
  private membershipAt(index: number): Membership {
    return this.memberships.findLast((one) => one.index <= index)!;
  }

  // ---- changes of members

  /** A node tells of the members from `index` on. */
  membership({ node, index, members }: DiagnosticsChannels["raftmark:membership"]): void {
    const { checker, memberships, places, lost } = this;
    const text = textOf(members);
    const known = this.membershipAt(index);
    if (known.text !== text) {
      if (known.index === index || memberships.at(-1)!.index > index)
        checker.fail(
          "members",
          `node ${node} tells of members ${text} from ${index} on, others ${known.text}`,
        );
      else memberships.push({ index, members, text });
    }
    for (const { address } of members) {
      if (places.has(address)) continue;
      places.set(address, index);
      if (lost.has(address))
        checker.fail("mayCommit", `${address} is in force at ${index}, whose change was called lost`);
    }
  }

  /** `address`: the one that it gives; null: it gives none. */
  changed(
    id: number,
    { add = [], promote = [], remove = [] }: MembershipChange,
    address: string | null,
    { index, term }: MembershipChanged,
  ): void {
    const { checker } = this;
    const what = `node ${id} says that its change of members is in force at ${index}`;
    if (checker.termOf(index) !== term)
      checker.fail("acknowledged", `${what} of term ${term}, where ${checker.termOf(index)} is committed`);
    const place = address === null ? index : this.places.get(address);
    if (place !== index) checker.fail("acknowledged", `${what}, and its ${address} is at ${place}`);
    const { members, text } = this.membershipAt(index);
    const roles = new Map(members.map((member) => [member.id, member.role]));
    const isThere =
      add.every((one) => roles.get(one.id) === (one.learner === true ? "learner" : "voter")) &&
      promote.every((one) => roles.get(one) === "voter") &&
      remove.every((one) => (roles.get(one) ?? "leaving") === "leaving");
    if (!isThere) checker.fail("acknowledged", `${what}, where the members are ${text}`);
  }

  /** `address`: the one that it gives. */
  rejected(address: string, error: RaftmarkError): void {
    if (error.mayCommit) return;
    this.lost.add(address);
    if (this.places.has(address))
      this.checker.fail(
        "mayCommit",
        `${address} is in force, and its change is called lost: ${error.message}`,
      );
  }
}

/** Its members are those of an entry that it has not applied yet, or nobody asks it any more. */
function isBetween({ parts, isLame }: SimProcess): boolean {
  const { driver, rawNode } = parts!;
  return isLame || driver.isApplying || rawNode.raft.raftLog.hasNextOrInProgressSnapshot();
}

function textOf(members: readonly Member[]): string {
  return members.map(({ id, role }) => `${id} ${role}`).join(", ");
}
