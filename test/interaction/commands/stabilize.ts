// stabilize [N...] [log-level=NAME]
import { keyed, single } from "../../conformance/args.js";
import type { Directive } from "../../conformance/datadriven.js";
import type { CommandError, EnvNode, InteractionEnv } from "../env.js";
import { ANY_TYPE, deliverMsgs } from "./deliver-msgs.js";
import { underHeading } from "./each-node.js";
import { setLogLevel } from "./log-level.js";
import { processAppendThread } from "./process-append-thread.js";
import { processApplyThread } from "./process-apply-thread.js";
import { processReady } from "./process-ready.js";

export function stabilizeCommand(env: InteractionEnv, directive: Directive): CommandError {
  const named = env.nodesOf(directive);
  const nodes = named.length > 0 ? named : env.nodes;
  const before = env.output.level;
  for (const arg of keyed(directive, ["log-level"])) {
    const error = setLogLevel(env, single(arg));
    if (error !== null) return error;
  }
  const error = stabilize(env, nodes);
  env.output.level = before;
  return error;
}

/** Rounds of four passes over the nodes, until a round finds nothing to do (FORMAT §4.5). */
function stabilize(env: InteractionEnv, nodes: readonly EnvNode[]): CommandError {
  for (let busy = true; busy; ) {
    busy = false;
    for (const node of nodes) {
      if (!node.rawNode.hasReady()) continue;
      busy = true;
      const error = underHeading(env, node, "handling Ready", processReady);
      if (error !== null) return error;
    }
    for (const node of nodes) {
      if (!env.messages.some((message) => message.to === node.id)) continue;
      busy = true;
      underHeading(env, node, "receiving messages", () => {
        deliverMsgs(env, { id: node.id, drop: false }, ANY_TYPE);
        return null;
      });
    }
    for (const node of nodes) {
      if (node.appendWork.length === 0) continue;
      busy = true;
      const error = drain(env, node, "append");
      if (error !== null) return error;
    }
    for (const node of nodes) {
      if (node.applyWork.length === 0) continue;
      busy = true;
      // As in etcd's harness, an error of the apply thread does not end the command.
      drain(env, node, "apply");
    }
  }
  return null;
}

/** All waiting work of one storage thread, under one heading. */
function drain(env: InteractionEnv, node: EnvNode, thread: "append" | "apply"): CommandError {
  const queue = thread === "append" ? node.appendWork : node.applyWork;
  const work = thread === "append" ? processAppendThread : processApplyThread;
  env.output.write(`> ${node.id} processing ${thread} thread\n`);
  let error: CommandError = null;
  while (queue.length > 0 && error === null) {
    env.output.indented(() => {
      error = work(env, node);
    });
  }
  return error;
}
