// process-apply-thread N...
import type { Directive } from "../../conformance/datadriven.js";
import type { CommandError, EnvNode, InteractionEnv } from "../env.js";
import { eachNode } from "./each-node.js";
import { processStorageMessage } from "./storage-thread.js";
import { apply } from "./storage-work.js";

export function processApplyThreadCommand(env: InteractionEnv, directive: Directive): CommandError {
  return eachNode(env, directive, "processing apply thread", processApplyThread);
}

/** Does the oldest apply work of a node (FORMAT §4.4). */
export function processApplyThread(env: InteractionEnv, node: EnvNode): CommandError {
  const message = node.applyWork.shift();
  if (message === undefined) {
    env.output.write("no apply work to perform");
    return null;
  }
  return processStorageMessage(env, message, () => apply(node, message.entries));
}
