// campaign N
import type { Directive } from "../../conformance/datadriven.js";
import type { CommandError, InteractionEnv } from "../env.js";

export function campaign(env: InteractionEnv, directive: Directive): CommandError {
  return env.firstNode(directive).rawNode.campaign()?.message ?? null;
}
