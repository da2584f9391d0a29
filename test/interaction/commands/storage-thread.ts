// What the append and the apply thread have in common: show the work, do it, let the responses go.
import { describeMessage } from "../../../src/raft/describe.js";
import { Message, NO_MESSAGES } from "../../../src/raft/raftpb/index.js";
import type { CommandError, InteractionEnv } from "../env.js";

export function processStorageMessage(
  env: InteractionEnv,
  message: Message,
  work: () => CommandError,
): CommandError {
  // A copy without the responses: the message itself is raft's.
  const bare: Message = Object.assign(new Message(message.type), message, { responses: NO_MESSAGES });
  env.output.write(`Processing:\n${describeMessage(bare)}\n`);
  const error = work();
  if (error !== null) return error;
  env.output.write("Responses:\n");
  for (const response of message.responses) env.output.write(`${describeMessage(response)}\n`);
  env.messages.push(...message.responses);
  return null;
}
