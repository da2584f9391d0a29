// process-ready N...

import { assert } from "../../../src/base/assert.js";
import { describeReady } from "../../../src/raft/describe.js";
import { LocalAppendThread, LocalApplyThread } from "../../../src/raft/raftpb/index.js";
import type { Directive } from "../../conformance/datadriven.js";
import type { CommandError, EnvNode, InteractionEnv } from "../env.js";
import { eachNode } from "./each-node.js";
import { append, apply } from "./storage-work.js";

export function processReadyCommand(env: InteractionEnv, directive: Directive): CommandError {
  return eachNode(env, directive, "handling Ready", processReady);
}

/** One turn of a node (FORMAT §4.1). */
export function processReady(env: InteractionEnv, node: EnvNode): CommandError {
  const ready = node.rawNode.ready();
  env.output.write(describeReady(ready));
  if (!node.asyncStorageWrites) {
    const error =
      append(node, ready.hardState, ready.entries, ready.snapshot) ?? apply(node, ready.committedEntries);
    if (error !== null) return error;
  }
  for (const message of ready.messages) {
    const local = message.to === LocalAppendThread || message.to === LocalApplyThread;
    assert(!local || node.asyncStorageWrites, "message to a storage thread without async storage writes");
    if (message.to === LocalAppendThread) node.appendWork.push(message);
    else if (message.to === LocalApplyThread) node.applyWork.push(message);
    else env.messages.push(message);
  }
  if (!node.asyncStorageWrites) node.rawNode.advance();
  return null;
}
