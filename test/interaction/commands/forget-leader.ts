// forget-leader N
import type { Directive } from "../../conformance/datadriven.js";
import type { CommandError, InteractionEnv } from "../env.js";

export function forgetLeader(env: InteractionEnv, directive: Directive): CommandError {
  env.firstNode(directive).rawNode.forgetLeader();
  return null;
}
