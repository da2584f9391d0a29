// compact N INDEX
import { parseInteger } from "../../conformance/args.js";
import { type Directive, MalformedError } from "../../conformance/datadriven.js";
import type { CommandError, InteractionEnv } from "../env.js";
import { raftLog } from "./raft-log.js";

export function compact(env: InteractionEnv, directive: Directive): CommandError {
  const node = env.firstNode(directive);
  if (directive.args.length !== 2) throw new MalformedError("compact takes a node and an index");
  const refused = node.storage.compact(parseInteger(directive.args[1].key));
  return refused === null ? raftLog(env, node) : refused.message;
}
