// All commands by name (FORMAT §3).
import type { Command } from "../env.js";
import { addNodes } from "./add-nodes.js";
import { campaign } from "./campaign.js";
import { compact } from "./compact.js";
import { deliverMsgsCommand } from "./deliver-msgs.js";
import { forgetLeader } from "./forget-leader.js";
import { logLevel } from "./log-level.js";
import { processAppendThreadCommand } from "./process-append-thread.js";
import { processApplyThreadCommand } from "./process-apply-thread.js";
import { processReadyCommand } from "./process-ready.js";
import { propose } from "./propose.js";
import { proposeConfChange } from "./propose-conf-change.js";
import { raftLogCommand } from "./raft-log.js";
import { raftState } from "./raft-state.js";
import { readIndex } from "./read-index.js";
import { reportSnapshot } from "./report-snapshot.js";
import { reportUnreachable } from "./report-unreachable.js";
import { sendSnapshot } from "./send-snapshot.js";
import { setRandomizedElectionTimeout } from "./set-randomized-election-timeout.js";
import { stabilizeCommand } from "./stabilize.js";
import { status } from "./status.js";
import { tickElection, tickHeartbeat } from "./tick.js";
import { transferLeadership } from "./transfer-leadership.js";

export const COMMANDS: ReadonlyMap<string, Command> = new Map<string, Command>([
  ["_breakpoint", () => null],
  ["add-nodes", addNodes],
  ["campaign", campaign],
  ["compact", compact],
  ["deliver-msgs", deliverMsgsCommand],
  ["forget-leader", forgetLeader],
  ["log-level", logLevel],
  ["process-append-thread", processAppendThreadCommand],
  ["process-apply-thread", processApplyThreadCommand],
  ["process-ready", processReadyCommand],
  ["propose", propose],
  ["propose-conf-change", proposeConfChange],
  ["raft-log", raftLogCommand],
  ["raft-state", raftState],
  ["read-index", readIndex],
  ["report-snapshot", reportSnapshot],
  ["report-unreachable", reportUnreachable],
  ["send-snapshot", sendSnapshot],
  ["set-randomized-election-timeout", setRandomizedElectionTimeout],
  ["stabilize", stabilizeCommand],
  ["status", status],
  ["tick-election", tickElection],
  ["tick-heartbeat", tickHeartbeat],
  ["transfer-leadership", transferLeadership],
]);
