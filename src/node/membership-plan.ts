// What a change of members comes to: the entry that is proposed, or why it is not. Checks what a caller wrote, then holds
// it against the members as they are, as etcd's strict-reconfig-check does. Pure.
import { RaftmarkError } from "../base/errors.js";
import { didYouMean } from "../base/suggest.js";
import { checkSecret } from "../link/cluster-key.js";
import {
  ConfChangeAddLearnerNode,
  ConfChangeAddNode,
  ConfChangeRemoveNode,
  type ConfChangeSingle,
  ConfChangeUpdateNode,
} from "../raft/index.js";
import { dialledAddress } from "./addresses.js";
import { shown } from "./option-errors.js";

/** etcd's readyPercentThreshold: a learner that has not this much of the leader's log is not promoted. */
const READY_SHARE = 0.9;

/** A caller's change, checked as far as it can be without knowing the members. */
export interface CheckedChange {
  readonly add: readonly { readonly id: number; readonly address: string; readonly learner: boolean }[];
  readonly promote: readonly number[];
  readonly remove: readonly number[];
  readonly update: readonly { readonly id: number; readonly address: string }[];
}

const FIELDS = ["add", "promote", "remove", "update"] as const;
const NEW_MEMBER = ["id", "address", "learner"];
const UPDATE = ["id", "address"];

/** Throws RAFT_BAD_OPTION, naming field, value and rule. `secret` is too short for addresses beyond this machine; null: any. */
export function checkChange(given: unknown, secret: string | null): CheckedChange {
  const fields = objectOf(given, "the change", FIELDS);
  const ids = new Map<number, string>();
  const note = (id: unknown, at: string): number => {
    if (!Number.isSafeInteger(id) || (id as number) < 1) {
      throw bad(at, `must be a node id, an integer from 1 to 2^53-1, not ${shown(id)}`);
    }
    const before = ids.get(id as number);
    if (before !== undefined) throw bad(at, `node ${id} is named in ${before} already: name each once`);
    ids.set(id as number, at);
    return id as number;
  };
  const member = (one: unknown, at: string, known: readonly string[]) => {
    const { id, address, learner } = objectOf(one, at, known);
    if (typeof address !== "string") throw bad(`${at}.address`, `must be "host:port", not ${shown(address)}`);
    if (learner !== undefined && typeof learner !== "boolean")
      throw bad(`${at}.learner`, `must be a boolean, not ${shown(learner)}`);
    return {
      id: note(id, `${at}.id`),
      address: addressOf(address, `${at}.address`, secret),
      learner: learner === true,
    };
  };
  const change = {
    add: listOf(fields, "add").map((one, i) => member(one, `add[${i}]`, NEW_MEMBER)),
    promote: listOf(fields, "promote").map((id, i) => note(id, `promote[${i}]`)),
    remove: listOf(fields, "remove").map((id, i) => note(id, `remove[${i}]`)),
    update: listOf(fields, "update").map((one, i) => member(one, `update[${i}]`, UPDATE)),
  };
  if (ids.size === 0) throw bad("the change", `changes nothing: give one of ${FIELDS.join(", ")}`);
  return change;
}

function objectOf(given: unknown, at: string, known: readonly string[]): Record<string, unknown> {
  if (typeof given !== "object" || given === null || Array.isArray(given))
    throw bad(at, `must be an object with ${known.join(", ")}, not ${shown(given)}`);
  for (const key of Object.keys(given)) {
    if (!known.includes(key)) throw bad(`${at}.${key}`, `there is no such field.${didYouMean(key, known)}`);
  }
  return given as Record<string, unknown>;
}

function listOf(fields: Record<string, unknown>, name: string): readonly unknown[] {
  const list = fields[name];
  if (list === undefined) return [];
  if (Array.isArray(list)) return list;
  throw bad(name, `must be an array, not ${shown(list)}`);
}

function addressOf(address: string, at: string, secret: string | null): string {
  const parsed = dialledAddress(address, `changeMembership: ${at}`);
  if (secret !== null) checkSecret(secret, [parsed], "option secret");
  return address;
}

function bad(at: string, text: string): RaftmarkError {
  return new RaftmarkError("RAFT_BAD_OPTION", `changeMembership: ${at}: ${text}`);
}

/** The members as the leader knows them. */
export interface MembershipView {
  readonly self: number;
  readonly voters: readonly number[];
  readonly learners: readonly number[];
  /** Of the leader's log. */
  readonly commit: number;
  addressOf(id: number): string | undefined;
  isRemoved(id: number): boolean;
  /** It is heard, or was a moment ago. */
  isActive(id: number): boolean;
  /** How far its log is known to be the leader's; -1: it is still looked for where they part. */
  matchOf(id: number): number;
}

/** Null: it can be proposed. Else RAFT_CHANGE_REFUSED, saying what is in the way and what to do. */
export function refusalOfChange(change: CheckedChange, view: MembershipView): RaftmarkError | null {
  const text =
    wrongMember(change, view) ??
    wrongAddress(change, view) ??
    notReady(change, view) ??
    quorumAtRisk(change, view);
  return text === null ? null : new RaftmarkError("RAFT_CHANGE_REFUSED", text);
}

function wrongMember(change: CheckedChange, view: MembershipView): string | null {
  const members = [...view.voters, ...view.learners];
  for (const { id, learner } of change.add) {
    if (view.isRemoved(id))
      return `node ${id} was a member and was removed: its id is used up, so give the new member one that nobody had`;
    if (view.learners.includes(id) && !learner)
      return `node ${id} is a learner already: make it a voter with promote: [${id}]`;
    if (members.includes(id)) return `node ${id} is a member already: a new member has an id of its own`;
  }
  for (const id of change.promote) {
    if (view.voters.includes(id)) return `node ${id} is a voter already: there is nothing to promote`;
    if (!view.learners.includes(id))
      return `node ${id} is no learner, and only learners can be promoted.${learnersText(view)}`;
  }
  for (const id of [...change.remove, ...change.update.map(({ id }) => id)]) {
    if (members.includes(id)) continue;
    if (view.isRemoved(id)) return `node ${id} is no member any more: it was removed before`;
    // No guess at which was meant: it would be a healthy one.
    return `node ${id} is no member; the members are ${members.sort((a, b) => a - b).join(", ")}`;
  }
  return null;
}

function learnersText({ learners }: MembershipView): string {
  return learners.length === 0 ? " There are none: add it first" : ` The learners are ${learners.join(", ")}`;
}

function wrongAddress(change: CheckedChange, view: MembershipView): string | null {
  const gone = new Set([...change.remove, ...change.update.map(({ id }) => id)]);
  const holders = new Map<string, number>();
  for (const id of [...view.voters, ...view.learners]) {
    const address = view.addressOf(id);
    if (!gone.has(id) && address !== undefined) holders.set(address.toLowerCase(), id);
  }
  for (const { id, address } of [...change.add, ...change.update]) {
    const holder = holders.get(address.toLowerCase());
    if (holder !== undefined)
      return `${address}, the address for node ${id}, is that of node ${holder}: each listens at one of its own`;
    holders.set(address.toLowerCase(), id);
  }
  return null;
}

function notReady({ promote }: CheckedChange, view: MembershipView): string | null {
  for (const id of promote) {
    const match = view.matchOf(id);
    if (!view.isActive(id))
      return `learner ${id} is not heard: start it, and promote it when it has caught up`;
    if (match < view.commit * READY_SHARE)
      return (
        `learner ${id} has not caught up: it has the log up to ${Math.max(match, 0)} of ${view.commit} ` +
        "(status().progress of the leader); promote it when it has"
      );
  }
  return null;
}

/** The voters there would be, of whom a majority has to be active; a new one is not. */
function quorumAtRisk(change: CheckedChange, view: MembershipView): string | null {
  const added = change.add.filter(({ learner }) => !learner).map(({ id }) => id);
  const stay = view.voters.filter((id) => !change.remove.includes(id));
  const voters = [...stay, ...change.promote, ...added];
  if (voters.length === 0)
    return "no voter would be left: a group without voters commits nothing; stop its nodes instead";
  if (added.length === 0 && change.promote.length === 0 && stay.length === view.voters.length) return null;
  // As etcd: a group of one grows to two so, whose second member begins with this change.
  if (view.voters.length === 1 && stay.length === 1 && added.length === 1 && voters.length === 2) return null;
  const isThere = (id: number): boolean => id === view.self || view.isActive(id);
  const active = [...stay, ...change.promote].filter(isThere);
  const quorum = Math.floor(voters.length / 2) + 1;
  if (active.length >= quorum) return null;
  const away = [...stay, ...change.promote].filter((id) => !isThere(id));
  const hint =
    away.length > 0
      ? `nodes ${away.join(", ")} are not heard: start or remove them first`
      : "add new members as learners, and promote them when they have caught up";
  return (
    `it would leave ${voters.length} voters, of which ${quorum} make a quorum, and only ${active.length} of them are ` +
    `active: the group could not commit; ${hint}`
  );
}

/** What of it the entry says, in an order of its own. */
export function singlesOf(change: CheckedChange): ConfChangeSingle[] {
  const single = (type: ConfChangeSingle["type"], nodeId: number): ConfChangeSingle => ({ type, nodeId });
  return [
    ...change.add.map(({ id, learner }) =>
      single(learner ? ConfChangeAddLearnerNode : ConfChangeAddNode, id),
    ),
    ...change.promote.map((id) => single(ConfChangeAddNode, id)),
    ...change.remove.map((id) => single(ConfChangeRemoveNode, id)),
    ...change.update.map(({ id }) => single(ConfChangeUpdateNode, id)),
  ];
}
