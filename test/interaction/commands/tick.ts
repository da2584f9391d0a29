// tick-heartbeat N, tick-election N
import type { Directive } from "../../conformance/datadriven.js";
import type { CommandError, InteractionEnv } from "../env.js";

const HEARTBEAT_TICKS = 1;
const ELECTION_TICKS = 3;

export function tickHeartbeat(env: InteractionEnv, directive: Directive): CommandError {
  return tick(env, directive, HEARTBEAT_TICKS);
}

export function tickElection(env: InteractionEnv, directive: Directive): CommandError {
  return tick(env, directive, ELECTION_TICKS);
}

function tick(env: InteractionEnv, directive: Directive, ticks: number): CommandError {
  const { rawNode } = env.firstNode(directive);
  for (let i = 0; i < ticks; i++) rawNode.tick();
  return null;
}
