// deliver-msgs N... [drop=(ids)] [type=MsgX]
import { describeMessage } from "../../../src/raft/describe.js";
import {
  LocalAppendThread,
  LocalApplyThread,
  MESSAGE_TYPE_NAMES,
  type Message,
} from "../../../src/raft/raftpb/index.js";
import { integersOf, keyed, parseInteger, single } from "../../conformance/args.js";
import { type Directive, MalformedError } from "../../conformance/datadriven.js";
import type { CommandError, InteractionEnv } from "../env.js";

export interface Recipient {
  readonly id: number;
  readonly drop: boolean;
}

/** Stands for "of any type". */
export const ANY_TYPE = -1;

export function deliverMsgsCommand(env: InteractionEnv, directive: Directive): CommandError {
  let type = ANY_TYPE;
  const recipients: Recipient[] = [];
  keyed(directive, ["drop", "type"]);
  for (const arg of directive.args) {
    if (arg.vals.length === 0) {
      recipients.push({ id: parseInteger(arg.key), drop: false });
    } else if (arg.key === "drop") {
      for (const id of integersOf(arg)) {
        if (recipients.some((other) => other.id === id)) {
          throw new MalformedError(`can't both deliver and drop messages to ${id}`);
        }
        recipients.push({ id, drop: true });
      }
    } else {
      type = MESSAGE_TYPE_NAMES.indexOf(single(arg));
      if (type < 0) throw new MalformedError(`unknown message type ${single(arg)}`);
    }
  }
  let handled = 0;
  for (const recipient of recipients) handled += deliverMsgs(env, recipient, type);
  if (handled === 0) env.output.write("no messages\n");
  return null;
}

/** Hands over (or drops) what is in flight to a recipient; returns how many messages that were. */
export function deliverMsgs(env: InteractionEnv, recipient: Recipient, type: number): number {
  const taken = env.takeMessages(
    (message) =>
      message.to === recipient.id &&
      (type === ANY_TYPE || message.type === type) &&
      // A local message can't get lost.
      !(recipient.drop && isLocal(message)),
  );
  for (const message of taken) {
    if (recipient.drop) env.output.write("dropped: ");
    env.output.write(`${describeMessage(message)}\n`);
    // Whom a message is dropped for need not exist.
    if (recipient.drop) continue;
    const refused = env.node(recipient.id).rawNode.step(message);
    if (refused !== null) env.output.write(`${refused.message}\n`);
  }
  return taken.length;
}

function isLocal(message: Message): boolean {
  return message.from === message.to || isStorageThread(message.from) || isStorageThread(message.to);
}

function isStorageThread(id: number): boolean {
  return id === LocalAppendThread || id === LocalApplyThread;
}
