// status N: the leader's progress map; nothing on others.
import { describeProgressMap } from "../../../src/raft/tracker/index.js";
import type { Directive } from "../../conformance/datadriven.js";
import type { CommandError, InteractionEnv } from "../env.js";

export function status(env: InteractionEnv, directive: Directive): CommandError {
  const { progress } = env.firstNode(directive).rawNode.status();
  env.output.write(describeProgressMap(progress));
  return null;
}
