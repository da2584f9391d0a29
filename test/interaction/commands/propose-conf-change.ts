// propose-conf-change N [v1=B] [transition=auto|implicit|explicit], the changes as input
import { NO_DATA } from "../../../src/base/bytes.js";
import {
  type ConfChange,
  type ConfChangeSingle,
  type ConfChangeTransition,
  ConfChangeTransitionAuto,
  ConfChangeTransitionJointExplicit,
  ConfChangeTransitionJointImplicit,
  type ConfChangeV2,
} from "../../../src/raft/raftpb/index.js";
import { booleanOf, single } from "../../conformance/args.js";
import { parseConfChanges } from "../../conformance/conf-change-input.js";
import { type Directive, MalformedError } from "../../conformance/datadriven.js";
import type { CommandError, InteractionEnv } from "../env.js";

const TRANSITIONS: ReadonlyMap<string, ConfChangeTransition> = new Map([
  ["auto", ConfChangeTransitionAuto],
  ["implicit", ConfChangeTransitionJointImplicit],
  ["explicit", ConfChangeTransitionJointExplicit],
]);

export function proposeConfChange(env: InteractionEnv, directive: Directive): CommandError {
  const node = env.firstNode(directive);
  let v1 = false;
  let transition: ConfChangeTransition = ConfChangeTransitionAuto;
  for (const arg of directive.args.slice(1)) {
    if (arg.vals.length === 0) continue;
    if (arg.key === "v1") {
      v1 = booleanOf(arg);
    } else if (arg.key === "transition") {
      const named = TRANSITIONS.get(single(arg));
      if (named === undefined) return `unknown transition ${single(arg)}`;
      transition = named;
    } else {
      return `unknown command ${arg.key}`;
    }
  }
  const changes = parseConfChanges(directive.input);
  if (typeof changes === "string") return changes;
  if (!v1) return refusal(node.rawNode.proposeConfChange(v2(transition, changes)));
  if (changes.length > 1 || transition !== ConfChangeTransitionAuto) {
    return "v1 conf change can only have one operation and no transition";
  }
  if (changes.length === 0) throw new MalformedError("a v1 conf change has one operation");
  const change: ConfChange = { id: 0, type: changes[0].type, nodeId: changes[0].nodeId, context: NO_DATA };
  return refusal(node.rawNode.proposeConfChange(change));
}

function v2(transition: ConfChangeTransition, changes: readonly ConfChangeSingle[]): ConfChangeV2 {
  return { transition, changes, context: NO_DATA };
}

function refusal(error: { readonly message: string } | null): CommandError {
  return error === null ? null : error.message;
}
