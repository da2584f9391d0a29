// log-level NAME
import { type Directive, MalformedError } from "../../conformance/datadriven.js";
import type { CommandError, InteractionEnv } from "../env.js";
import { LEVEL_NAMES, Output } from "../output.js";

export function logLevel(env: InteractionEnv, directive: Directive): CommandError {
  if (directive.args.length !== 1) throw new MalformedError("log-level takes one name");
  return setLogLevel(env, directive.args[0].key);
}

export function setLogLevel(env: InteractionEnv, name: string): CommandError {
  const level = Output.levelOf(name);
  if (level < 0) return `log levels must be either of [${LEVEL_NAMES.join(" ")}]`;
  env.output.level = level;
  return null;
}
