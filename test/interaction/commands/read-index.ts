// read-index N WORD: asks for a read point. Ours: etcd's harness has no such command.
import { type Directive, MalformedError } from "../../conformance/datadriven.js";
import type { CommandError, InteractionEnv } from "../env.js";

export function readIndex(env: InteractionEnv, directive: Directive): CommandError {
  const node = env.firstNode(directive);
  if (directive.args.length !== 2) throw new MalformedError("read-index takes a node and a word");
  node.rawNode.readIndex(new TextEncoder().encode(directive.args[1].key));
  return null;
}
