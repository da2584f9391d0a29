// propose N WORD
import { type Directive, MalformedError } from "../../conformance/datadriven.js";
import type { CommandError, InteractionEnv } from "../env.js";

export function propose(env: InteractionEnv, directive: Directive): CommandError {
  const { args } = directive;
  if (args.length !== 2 || args[1].vals.length > 0) {
    throw new MalformedError("propose takes a node and one word");
  }
  const data = new TextEncoder().encode(args[1].key);
  return env.firstNode(directive).rawNode.propose(data)?.message ?? null;
}
