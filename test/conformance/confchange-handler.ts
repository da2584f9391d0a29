// The commands of confchange files (FORMAT §10) on a Changer. One handler a file.
import { Changer, type ChangerResult } from "../../src/raft/confchange/index.js";
import { RaftError } from "../../src/raft/errors.js";
import type { ConfChangeSingle } from "../../src/raft/raftpb/index.js";
import { describeProgressMap, ProgressTracker } from "../../src/raft/tracker/index.js";
import { booleanOf, optional } from "./args.js";
import { parseConfChanges } from "./conf-change-input.js";
import type { Directive } from "./datadriven.js";

export function newConfchangeHandler(): (directive: Directive) => string {
  const tracker = new ProgressTracker(10, 0);
  let lastIndex = 0;
  return (directive) => {
    const changer = new Changer(tracker, lastIndex);
    // Grows after every directive, failed ones too.
    lastIndex++;
    const changes = parseConfChanges(directive.input);
    if (typeof changes === "string") return changes;
    const result = run(changer, directive, changes);
    if (typeof result === "string") return result;
    if (result instanceof RaftError) return `${result.message}\n`;
    tracker.install(result.config, result.progress);
    return `${tracker.configString()}\n${describeProgressMap(tracker.progress)}`;
  };
}

function run(
  changer: Changer,
  directive: Directive,
  changes: readonly ConfChangeSingle[],
): ChangerResult | RaftError | string {
  const autoLeave = optional(directive, "autoleave");
  switch (directive.command) {
    case "simple":
      return changer.simple(changes);
    case "enter-joint":
      return changer.enterJoint(autoLeave !== null && booleanOf(autoLeave), changes);
    case "leave-joint":
      return changes.length > 0 ? "this command takes no input\n" : changer.leaveJoint();
    default:
      return "unknown command";
  }
}
