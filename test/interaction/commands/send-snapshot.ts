// send-snapshot FROM TO: a MsgSnap that raft did not ask for.
import { describeMessage } from "../../../src/raft/describe.js";
import { Message, MsgSnap } from "../../../src/raft/raftpb/index.js";
import { bareWords, parseInteger } from "../../conformance/args.js";
import { type Directive, MalformedError } from "../../conformance/datadriven.js";
import type { CommandError, InteractionEnv } from "../env.js";

export function sendSnapshot(env: InteractionEnv, directive: Directive): CommandError {
  const ids = bareWords(directive).map(parseInteger);
  if (ids.length !== 2) throw new MalformedError("send-snapshot takes two nodes");
  const sender = env.node(ids[0]);
  const message = new Message(MsgSnap);
  message.from = ids[0];
  message.to = ids[1];
  message.term = sender.rawNode.basicStatus().hardState.term;
  message.snapshot = sender.history[sender.history.length - 1];
  env.messages.push(message);
  env.output.write(describeMessage(message));
  return null;
}
