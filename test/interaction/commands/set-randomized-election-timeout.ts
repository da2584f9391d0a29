// set-randomized-election-timeout N timeout=TICKS
import { integerOf, optional } from "../../conformance/args.js";
import { type Directive, MalformedError } from "../../conformance/datadriven.js";
import type { CommandError, InteractionEnv } from "../env.js";

export function setRandomizedElectionTimeout(env: InteractionEnv, directive: Directive): CommandError {
  const node = env.firstNode(directive);
  const timeout = optional(directive, "timeout");
  if (timeout === null) throw new MalformedError("timeout= is missing");
  node.rawNode.raft.randomizedElectionTimeout = integerOf(timeout);
  return null;
}
