// The commands of quorum files (FORMAT §9) on MajorityConfig and JointConfig. Every answer is computed in
// other ways too; where they differ, the output has a line more than it should.
import {
  type AckedIndexer,
  JointConfig,
  MajorityConfig,
  VOTE_RESULT_NAMES,
} from "../../src/raft/quorum/index.js";
import { integersOf, parseInteger } from "./args.js";
import { type Arg, type Directive, MalformedError } from "./datadriven.js";
import { alternativeCommittedIndex } from "./quorum-twin.js";

interface Case {
  readonly ids: number[];
  readonly idsj: number[];
  readonly joint: boolean;
  /** In the order written; 0 is `_`. A vote is 1 (no) or 2 (yes). */
  readonly values: number[];
}

const EMPTY = new MajorityConfig([]);

export function newQuorumHandler(): (directive: Directive) => string {
  return (directive) => {
    const vote = directive.command === "vote";
    if (!vote && directive.command !== "committed") {
      throw new MalformedError(`unknown command ${directive.command}`);
    }
    const input = parseCase(directive, vote);
    const joint = new JointConfig(majority(input.ids), majority(input.idsj));
    const voters = joint.ids();
    if (voters.length !== input.values.length) {
      const map = voters.map((id) => `${id}:{}`).join(" ");
      return `error: mismatched input (explicit or _) for voters map[${map}]: [${input.values.join(" ")}]`;
    }
    const known = assign(input);
    if (vote) return answerVote(input, joint, known);
    return input.joint ? answerJoint(joint, known) : answerMajority(joint.incoming, known);
  };
}

function parseCase(directive: Directive, vote: boolean): Case {
  let ids: number[] = [];
  let idsj: number[] = [];
  let joint = false;
  let values: number[] = [];
  for (const arg of directive.args) {
    if (arg.key === "cfg") {
      ids = integersOf(arg);
    } else if (arg.key === "cfgj") {
      joint = true;
      idsj = arg.vals.length === 1 && arg.vals[0] === "zero" ? [] : integersOf(arg);
    } else if (arg.key === "idx" && !vote) {
      values = arg.vals.map(parseKnownIndex);
    } else if (arg.key === "votes" && vote) {
      values = parseVotes(arg);
    } else {
      throw new MalformedError(`${directive.command} has no argument ${arg.key}`);
    }
  }
  return { ids, idsj, joint, values };
}

function parseKnownIndex(text: string): number {
  if (text === "_") return 0;
  const index = parseInteger(text);
  if (index === 0) throw new MalformedError("0 can't be told from _");
  return index;
}

function parseVotes(arg: Arg): number[] {
  return arg.vals.map((text) => {
    const value = ["_", "n", "y"].indexOf(text);
    if (value < 0) throw new MalformedError(`unknown vote ${text}`);
    return value;
  });
}

function majority(ids: readonly number[]): MajorityConfig {
  return new MajorityConfig([...new Set(ids)]);
}

/** Values by id, in the order cfg, cfgj; a repeated id takes none. What is not known is left out. */
function assign(input: Case): Map<number, number> {
  const ids = [...new Set([...input.ids, ...input.idsj])];
  const known = new Map<number, number>();
  for (let i = 0; i < ids.length; i++) {
    if (input.values[i] !== 0) known.set(ids[i], input.values[i]);
  }
  return known;
}

function lookup(known: ReadonlyMap<number, number>): AckedIndexer {
  return { ackedIndex: (id) => known.get(id) ?? -1 };
}

function show(index: number): string {
  return index === Number.POSITIVE_INFINITY ? "∞" : String(index);
}

function answerMajority(config: MajorityConfig, known: ReadonlyMap<number, number>): string {
  const acked = lookup(known);
  const index = config.committedIndex(acked);
  let out = config.describe(acked);
  const other = (actual: number, note: string) => {
    if (actual !== index) out += `${show(actual)} <-- ${note}`;
  };
  other(alternativeCommittedIndex(config.ids, acked), "via alternative computation\n");
  other(new JointConfig(config, EMPTY).committedIndex(acked), "via zero-joint quorum\n");
  other(new JointConfig(config, config).committedIndex(acked), "via self-joint quorum\n");
  for (const id of config.ids) {
    // Lowering a voter that is already below the result must not change it.
    const own = known.get(id) ?? 0;
    if (own === 0 || own >= index) continue;
    for (const lowered of [own - 1, 0]) {
      const overlay = new Map(known).set(id, lowered);
      other(config.committedIndex(lookup(overlay)), `overlaying ${id}->${lowered === 0 ? 0 : own}`);
    }
  }
  return `${out}${show(index)}\n`;
}

function answerJoint(config: JointConfig, known: ReadonlyMap<number, number>): string {
  const acked = lookup(known);
  const index = config.committedIndex(acked);
  const swapped = new JointConfig(config.outgoing, config.incoming).committedIndex(acked);
  const symmetry = swapped === index ? "" : `${show(swapped)} <-- via symmetry\n`;
  return `${config.describe(acked)}${symmetry}${show(index)}\n`;
}

function answerVote(input: Case, joint: JointConfig, known: ReadonlyMap<number, number>): string {
  const votes = new Map<number, boolean>();
  for (const [id, value] of known) votes.set(id, value === 2);
  if (!input.joint) return `${VOTE_RESULT_NAMES[joint.incoming.voteResult(votes)]}\n`;
  const result = joint.voteResult(votes);
  const swapped = new JointConfig(joint.outgoing, joint.incoming).voteResult(votes);
  const symmetry = swapped === result ? "" : `${VOTE_RESULT_NAMES[swapped]} <-- via symmetry\n`;
  return `${symmetry}${VOTE_RESULT_NAMES[result]}\n`;
}
