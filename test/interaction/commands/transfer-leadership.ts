// transfer-leadership from=N to=N
import { integerOf, optional } from "../../conformance/args.js";
import { type Directive, MalformedError } from "../../conformance/datadriven.js";
import type { CommandError, InteractionEnv } from "../env.js";

export function transferLeadership(env: InteractionEnv, directive: Directive): CommandError {
  const from = optional(directive, "from");
  const to = optional(directive, "to");
  if (from === null || to === null) throw new MalformedError("transfer-leadership takes from= and to=");
  env.node(integerOf(from)).rawNode.transferLeader(integerOf(to));
  return null;
}
