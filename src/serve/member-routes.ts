// Who the members are, and changes of that: what raft has of them, and where clients reach them, which only the service
// knows and keeps in its state. Changes are made on the leader.
import type { IncomingMessage, ServerResponse } from "node:http";
import * as v from "valibot";
import { type MembershipChange, RaftmarkError } from "../index.js";
import { encodeCommand } from "./commands.js";
import { badRequest, numberOf, sendJson, type Target } from "./http.js";
import { HttpError } from "./http-error.js";
import {
  address,
  firstOf,
  integer,
  isUnknown,
  missingText,
  noList,
  pathOf,
  unknownText,
  wrongText,
} from "./issues.js";
import type { Parts } from "./parts.js";
import { clashOf, unreachableText } from "./places.js";

const BODY_BYTES_MAX = 64 * 1024;
const id = integer(1, Number.MAX_SAFE_INTEGER);
const ids = v.optional(v.array(id), []);
const moved = v.strictObject({ id, raft: address, http: address });
const added = v.strictObject({ ...moved.entries, learner: v.optional(v.boolean(), false) });
const schema = v.strictObject({
  add: v.optional(v.array(v.pipe(noList, added)), []),
  promote: ids,
  remove: ids,
  update: v.optional(v.array(v.pipe(noList, moved)), []),
});
/** The engine's name for where the members reach one. */
const MEANT = { address: "raft" };

const EXAMPLE =
  '{"add":[{"id":4,"raft":"10.0.0.4:7001","http":"10.0.0.4:8080","learner":true}],"promote":[],"remove":[3]}';

export class MemberRoutes {
  private isChanging = false;

  /** GET and POST of /members. */
  async serve(parts: Parts, request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method === "POST") await this.change(parts, await changeOf(parts, response));
    sendMembers(parts, response);
  }

  /** DELETE of /members/ID. */
  async remove(parts: Parts, response: ServerResponse, { path }: Target): Promise<void> {
    const text = path.slice("/members/".length);
    const parsed = v.safeParse(id, numberOf(text));
    if (!parsed.success)
      throw badRequest(`"${text.slice(0, 100)}" is no node id: DELETE /members/3 removes node 3`);
    await this.change(parts, { add: [], promote: [], remove: [parsed.output], update: [] });
    sendMembers(parts, response);
  }

  /** One at a time: a second one, which the engine would refuse, would have noted where clients reach its members. */
  private async change(parts: Parts, wanted: Change): Promise<void> {
    if (this.isChanging)
      throw new RaftmarkError("RAFT_CHANGE_UNDER_WAY", "another change of members is being made: ask again");
    this.isChanging = true;
    try {
      await change(parts, wanted);
    } finally {
      this.isChanging = false;
    }
  }
}

function sendMembers({ node, httpOf }: Parts, response: ServerResponse): void {
  const { leader, members, isJoint, progress } = node.status();
  sendJson(response, 200, {
    isJoint,
    members: members.map(({ id, address: raft, role }) => ({
      id,
      raft,
      http: httpOf(id),
      role,
      isLeader: id === leader,
      progress: progress.find((one) => one.id === id) ?? null,
    })),
  });
}

type Change = v.InferOutput<typeof schema>;

async function changeOf({ bodies }: Parts, response: ServerResponse): Promise<Change> {
  // Browsers of before 2020 send no Origin with a form, nor this type: for them it keeps out what refuseCrossSite()
  // does not see.
  if (!/^application\/json\b/i.test(response.req.headers["content-type"] ?? ""))
    throw new HttpError(
      415,
      "KV_NO_JSON",
      `send JSON, with content-type: application/json; as in ${EXAMPLE}`,
    );
  const body = Buffer.from(await bodies.read(response, BODY_BYTES_MAX)).toString();
  let json: unknown;
  try {
    json = JSON.parse(body);
  } catch (error) {
    throw badRequest(`the body is no JSON: ${(error as Error).message}; as in ${EXAMPLE}`);
  }
  const parsed = v.safeParse(v.pipe(noList, schema), json);
  if (parsed.success) return checked(parsed.output);
  throw badRequest(`${issueText(firstOf(parsed.issues))}; as in ${EXAMPLE}`);
}

/** Throws 400 for addresses at which no client can be. */
function checked(change: Change): Change {
  for (const name of ["add", "update"] as const)
    for (const [i, { id, http }] of change[name].entries()) {
      const why = unreachableText(http, id);
      if (why !== null) throw badRequest(`${name}.${i}.http: ${why}`);
    }
  return change;
}

function issueText(issue: v.BaseIssue<unknown>): string {
  const path = pathOf(issue);
  const name = path.length === 0 ? "the body" : path.join(".").slice(0, 100);
  if (isUnknown(issue)) {
    const fields = path.length === 1 ? schema : path[0] === "add" ? added : moved;
    const known = Object.keys(fields.entries);
    return `${name}: ${unknownText(path.at(-1)!, known, known.length, MEANT)}`;
  }
  return issue.input === undefined ? `${name} ${missingText(issue)}` : `${name}: ${wrongText(issue)}`;
}

async function change(parts: Parts, { add, promote, remove, update }: Change): Promise<void> {
  const { node, config, httpOf } = parts;
  const { id: self, leader } = node.status();
  if (leader !== self) {
    // Before anything is written.
    const where = leader === 0 ? "none is known" : `node ${leader} leads`;
    throw new RaftmarkError("RAFT_NOT_LEADER", `members are changed on the leader; ${where}`, { leader });
  }
  const timeoutMs = config.requestTimeoutMs;
  // Who is a member: as it is, not as this node had it.
  try {
    await node.readBarrier({ timeoutMs });
  } catch (error) {
    throw nothingChanged(error);
  }
  const { members: standing } = node.status();
  const members = new Set(standing.map((member) => member.id));
  const named = new Set([...add, ...update].map(({ id }) => id).concat(remove));
  const clash = clashOf(
    [...add, ...update],
    standing
      .filter(({ id }) => !named.has(id))
      .map(({ id, address }) => ({ id, raft: address, http: httpOf(id) })),
  );
  if (clash !== null) throw new RaftmarkError("RAFT_CHANGE_REFUSED", clash.text);
  const wanted: MembershipChange = {
    add: add.map(({ id, raft, learner }) => ({ id, address: raft, learner })),
    promote,
    remove,
    update: update.map(({ id, raft }) => ({ id, address: raft })),
  };
  // Noted before, so that nobody is a member without; of those who are none it changes nothing, should the change be refused.
  await noteHttp(
    parts,
    add.filter(({ id }) => !members.has(id)),
  );
  await node.changeMembership(wanted, { timeoutMs });
  try {
    await noteHttp(parts, update);
  } catch (error) {
    throw changedAlready(error);
  }
}

/** Of a leader that asks first whether it still leads: what it says of the read is of no use to who asks for a change. */
function nothingChanged(error: unknown): unknown {
  if (!(error instanceof RaftmarkError) || error.code !== "RAFT_TIMEOUT") return error;
  const text =
    "no member was changed: this node leads, or did, and no majority of the members answered it in time; ask again when " +
    "enough of them are up and reachable";
  return new RaftmarkError("RAFT_TIMEOUT", text, { leader: error.leader, cause: error });
}

function changedAlready(error: unknown): unknown {
  if (!(error instanceof RaftmarkError)) return error;
  const { code, message, leader } = error;
  const text = `the members are changed, and where clients reach them may not be: ask for the same update again; ${message}`;
  return new RaftmarkError(code, text, { mayCommit: true, leader, cause: error });
}

/** Notes where clients reach members. */
async function noteHttp(
  { node, config }: Parts,
  places: readonly { readonly id: number; readonly http: string }[],
): Promise<void> {
  for (const { id, http } of places) {
    const value = new TextEncoder().encode(http);
    const command = encodeCommand({ op: "member", key: String(id), ifRevision: null, value });
    await node.propose(command, { timeoutMs: config.requestTimeoutMs });
  }
}
