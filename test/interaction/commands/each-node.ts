// Commands that do the same on several nodes: with more than one, each has a heading and its output is
// indented.
import { type Directive, MalformedError } from "../../conformance/datadriven.js";
import type { CommandError, EnvNode, InteractionEnv } from "../env.js";

export function eachNode(
  env: InteractionEnv,
  directive: Directive,
  heading: string,
  work: (env: InteractionEnv, node: EnvNode) => CommandError,
): CommandError {
  const nodes = env.nodesOf(directive);
  if (nodes.length === 0) throw new MalformedError(`${directive.command} needs a node`);
  if (nodes.length === 1) return work(env, nodes[0]);
  for (const node of nodes) {
    const error = underHeading(env, node, heading, work);
    if (error !== null) return error;
  }
  return null;
}

/** `> N heading`, then what `work` prints, indented. */
export function underHeading(
  env: InteractionEnv,
  node: EnvNode,
  heading: string,
  work: (env: InteractionEnv, node: EnvNode) => CommandError,
): CommandError {
  env.output.write(`> ${node.id} ${heading}\n`);
  let error: CommandError = null;
  env.output.indented(() => {
    error = work(env, node);
  });
  return error;
}
