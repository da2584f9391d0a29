// The interaction environment (FORMAT §2): nodes, the messages between them, and the output of the directive
// that runs. It owns the state; what a command does with it is in commands/.
import type { MemoryStorage } from "../../src/raft/memory-storage.js";
import type { Message, Snapshot } from "../../src/raft/raftpb/index.js";
import type { RawNode } from "../../src/raft/raw-node.js";
import { bareWords, parseInteger } from "../conformance/args.js";
import { type Directive, MalformedError } from "../conformance/datadriven.js";
import { COMMANDS } from "./commands/index.js";
import { Output } from "./output.js";

/** A command's error text, or null. It becomes part of the output; what is malformed throws instead. */
export type CommandError = string | null;

export type Command = (env: InteractionEnv, directive: Directive) => CommandError;

export interface EnvNode {
  readonly id: number;
  readonly rawNode: RawNode;
  readonly storage: MemoryStorage;
  readonly asyncStorageWrites: boolean;
  /**
   * Snapshots of the state machine, one for every entry applied; the last is what raft is given. Never empty.
   */
  readonly history: Snapshot[];
  /** Messages that wait for the storage threads, oldest first. */
  readonly appendWork: Message[];
  readonly applyWork: Message[];
}

export class InteractionEnv {
  readonly output = new Output();
  /** Node N is at place N-1. */
  readonly nodes: EnvNode[] = [];
  /** In flight, in sending order. */
  messages: Message[] = [];

  /** Runs one directive; what it returns is compared. */
  handle(directive: Directive): string {
    const { output } = this;
    output.drain();
    const command = COMMANDS.get(directive.command);
    const error = command === undefined ? "unknown command" : command(this, directive);
    if (error !== null && output.quiet()) return error;
    if (error !== null) output.write(error);
    const text = output.drain();
    return text === "" ? "ok" : text;
  }

  node(id: number): EnvNode {
    const node = this.nodes[id - 1];
    if (node === undefined) throw new MalformedError(`there is no node ${id}`);
    return node;
  }

  /** The nodes in the arguments, in the order written. */
  nodesOf(directive: Directive): EnvNode[] {
    return bareWords(directive).map((word) => this.node(parseInteger(word)));
  }

  /** The node that the first argument names. */
  firstNode(directive: Directive): EnvNode {
    const first = directive.args[0];
    if (first === undefined || first.vals.length > 0) {
      throw new MalformedError(`${directive.command} needs a node id first`);
    }
    return this.node(parseInteger(first.key));
  }

  /** Takes the messages that `wanted` says yes to out of those in flight; the order of both parts is kept. */
  takeMessages(wanted: (message: Message) => boolean): Message[] {
    const taken = this.messages.filter(wanted);
    this.messages = this.messages.filter((message) => !wanted(message));
    return taken;
  }
}

export function newInteractionHandler(): (directive: Directive) => string {
  const env = new InteractionEnv();
  return (directive) => env.handle(directive);
}
