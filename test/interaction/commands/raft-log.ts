// raft-log N: what the node's storage holds; the unstable part of the log is not in it.
import { describeEntries } from "../../../src/raft/describe.js";
import { RaftError } from "../../../src/raft/errors.js";
import type { Directive } from "../../conformance/datadriven.js";
import type { CommandError, EnvNode, InteractionEnv } from "../env.js";

export function raftLogCommand(env: InteractionEnv, directive: Directive): CommandError {
  return raftLog(env, env.firstNode(directive));
}

export function raftLog(env: InteractionEnv, node: EnvNode): CommandError {
  const first = node.storage.firstIndex();
  const last = node.storage.lastIndex();
  if (last < first) {
    env.output.write(`log is empty: first index=${first}, last index=${last}`);
    return null;
  }
  const entries = node.storage.entries(first, last + 1, Infinity);
  if (entries instanceof RaftError) return entries.message;
  env.output.write(describeEntries(entries));
  return null;
}
