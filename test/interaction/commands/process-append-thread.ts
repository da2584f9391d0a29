// process-append-thread N...
import type { Directive } from "../../conformance/datadriven.js";
import type { CommandError, EnvNode, InteractionEnv } from "../env.js";
import { eachNode } from "./each-node.js";
import { processStorageMessage } from "./storage-thread.js";
import { append } from "./storage-work.js";

export function processAppendThreadCommand(env: InteractionEnv, directive: Directive): CommandError {
  return eachNode(env, directive, "processing append thread", processAppendThread);
}

/** Does the oldest append work of a node (FORMAT §4.3). */
export function processAppendThread(env: InteractionEnv, node: EnvNode): CommandError {
  const message = node.appendWork.shift();
  if (message === undefined) {
    env.output.write("no append work to perform");
    return null;
  }
  const { term, vote, commit, entries, snapshot } = message;
  return processStorageMessage(env, message, () => append(node, { term, vote, commit }, entries, snapshot));
}
