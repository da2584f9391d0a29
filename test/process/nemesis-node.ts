// The program of a node under the nemesis: registers as its state machine, and callers at the other end of the channel
// to the process that started it. Argument: its options as JSON.
import { fileURLToPath } from "node:url";
import type { RaftmarkError } from "../../src/base/errors.js";
import { type Entry, RaftNode, type RaftNodeOptions } from "../../src/index.js";

export type NodeOptions = Omit<RaftNodeOptions, "stateMachine">;

/** `id` tells calls apart; its answer carries the same. */
export type Call = { readonly id: number } & (
  | { readonly op: "write"; readonly register: number; readonly value: number }
  | { readonly op: "read"; readonly register: number }
  | { readonly op: "status" | "campaign" | "log" }
  | { readonly op: "transfer"; readonly to: number }
);

export interface Answer {
  readonly id: number;
  /** 0: the register was never written. */
  readonly value?: number;
  readonly status?: { readonly leader: number; readonly applied: number; readonly commit: number };
  /** Every value that was applied, in order. */
  readonly log?: readonly number[];
  readonly error?: { readonly code: string; readonly mayCommit: boolean; readonly text: string };
}

/** What a node says unasked. */
export type Notice = { readonly opened: true } | { readonly fault: string };

class Registers {
  readonly values = new Map<number, number>();
  readonly log: number[] = [];

  apply(entries: readonly Entry[]): undefined {
    for (const { data } of entries) {
      const view = new DataView(data.buffer, data.byteOffset, data.length);
      this.values.set(view.getUint32(0), view.getUint32(4));
      this.log.push(view.getUint32(4));
    }
  }
}

async function answer(node: RaftNode, registers: Registers, call: Call): Promise<Partial<Answer>> {
  switch (call.op) {
    case "write": {
      const data = new Uint8Array(8);
      new DataView(data.buffer).setUint32(0, call.register);
      new DataView(data.buffer).setUint32(4, call.value);
      await node.propose(data);
      return {};
    }
    case "read":
      await node.readBarrier();
      return { value: registers.values.get(call.register) ?? 0 };
    case "campaign":
      node.campaign();
      return {};
    case "transfer":
      node.transferLeadership(call.to);
      return {};
    case "status": {
      const { leader, applied, commit } = node.status();
      return { status: { leader, applied, commit } };
    }
    case "log":
      return { log: registers.log };
  }
}

async function main(options: NodeOptions): Promise<void> {
  const registers = new Registers();
  const tell = (message: Answer | Notice) => {
    process.send!(message);
  };
  const node = await RaftNode.open({ ...options, stateMachine: registers });
  node.onFault = (error) => tell({ fault: error.message });
  process.on("message", (call: Call) => {
    answer(node, registers, call).then(
      (result) => tell({ id: call.id, ...result }),
      ({ code, mayCommit, message }: RaftmarkError) =>
        tell({ id: call.id, error: { code, mayCommit, text: message } }),
    );
  });
  // Whoever started it is gone.
  process.on("disconnect", () => process.exit(0));
  tell({ opened: true });
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  await main(JSON.parse(process.argv[2]) as NodeOptions);
