// report-unreachable N PEER
import { bareWords, parseInteger } from "../../conformance/args.js";
import type { Directive } from "../../conformance/datadriven.js";
import type { CommandError, InteractionEnv } from "../env.js";

export function reportUnreachable(env: InteractionEnv, directive: Directive): CommandError {
  const ids = bareWords(directive).map(parseInteger);
  if (ids.length !== 2) {
    return "must specify exactly two node indexes: node on which to report, and reported node";
  }
  env.node(ids[0]).rawNode.reportUnreachable(ids[1]);
  return null;
}
