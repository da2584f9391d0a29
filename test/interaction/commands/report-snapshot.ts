// report-snapshot N PEER [failed=B]: MsgSnapStatus. Ours: etcd's harness has no such command.
import { bareWords, booleanOf, optional, parseInteger } from "../../conformance/args.js";
import { type Directive, MalformedError } from "../../conformance/datadriven.js";
import type { CommandError, InteractionEnv } from "../env.js";

export function reportSnapshot(env: InteractionEnv, directive: Directive): CommandError {
  const ids = bareWords(directive).map(parseInteger);
  if (ids.length !== 2) throw new MalformedError("report-snapshot takes two nodes");
  const failed = optional(directive, "failed");
  env.node(ids[0]).rawNode.reportSnapshot(ids[1], failed !== null && booleanOf(failed));
  return null;
}
