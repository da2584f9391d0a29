// Clients of a simulated world that write in sessions, several at once: who does not know what became of a write makes it
// again, under the same number, through whichever node comes next, also after the process that it asked first has ended, and
// behind others with higher numbers. Their writes are looked at like all others: applied once, acknowledged with what the
// first one found.
import type { RaftmarkError } from "../../src/base/errors.js";
import type { RaftNode } from "../../src/node/raft-node.js";
import { SESSION_WINDOW } from "../../src/node/sessions.js";
import type { Dice } from "./dice.js";
import type { SimProcess } from "./process.js";
import type { Stage } from "./stage.js";
import { waitFor } from "./waiting.js";
import type { Write, Writes } from "./writes.js";

const CLIENTS = 4;
/** Bytes behind a payload's name. */
const PAYLOAD_BYTES_MAX = 100;

/** Writes of a client that have no answer yet. */
const WRITES_MAX = 4;

/** A write that has no answer yet. */
interface SessionWrite extends Write {
  readonly sequence: number;
  /** It may have been applied. */
  isUnknown: boolean;
  /** Whether whom it was asked of is still to answer. */
  waits: () => boolean;
}

interface Client {
  /** 0: none yet. */
  session: number;
  sequence: number;
  readonly writes: SessionWrite[];
  /** Whether whom it asked for a session is still to answer. */
  waits: () => boolean;
}

export class SessionClients {
  private readonly world: Stage;
  private readonly dice: Dice;
  private readonly writes: Writes;
  private readonly clients: Client[] = Array.from({ length: CLIENTS }, () => ({
    session: 0,
    sequence: 0,
    writes: [],
    waits: () => false,
  }));

  constructor(world: Stage, dice: Dice, writes: Writes) {
    this.world = world;
    this.dice = dice;
    this.writes = writes;
  }

  /** One of them asks somebody something, unless it waits. */
  act(): void {
    const { dice, world } = this;
    const client = dice.pick(this.clients);
    const process = dice.pick(world.processes);
    if (client.waits()) return;
    process.enter("client", () => {
      const { node } = process;
      if (node === null || process.isLame || client.waits()) return;
      if (client.session === 0) {
        this.open(client, process, node);
        return;
      }
      const write = this.next(client, process);
      if (write !== null) this.write(client, write, process, node);
    });
  }

  /** A new write, or one that nobody is to answer any more; null: all that it may make wait. */
  private next(client: Client, process: SimProcess): SessionWrite | null {
    const { writes, sequence } = client;
    const isInWindow = writes.length === 0 || sequence + 1 - writes[0]!.sequence < SESSION_WINDOW;
    const left = writes.filter((write) => !write.waits());
    if (left.length > 0 && (writes.length === WRITES_MAX || !isInWindow || this.dice.chance(0.5)))
      return this.dice.pick(left);
    if (writes.length === WRITES_MAX || !isInWindow) return null;
    const begun = this.writes.begin(process, PAYLOAD_BYTES_MAX, " in a session");
    const write = { ...begun, sequence: ++client.sequence, isUnknown: false, waits: () => false };
    writes.push(write);
    return write;
  }

  /** `asker` waits for `promise`, as long as that process lives. */
  private wait<T>(
    asker: { waits: () => boolean },
    process: SimProcess,
    what: string,
    promise: Promise<T>,
    done: (value: T) => void,
    failed: (error: RaftmarkError) => void,
  ): void {
    const { life } = process;
    let isOver = false;
    asker.waits = () => !isOver && life === process.life && process.isUp && !process.isLame;
    const ending =
      <V>(work: (value: V) => void) =>
      (value: V): void => {
        isOver = true;
        work(value);
      };
    waitFor(this.world, process, what, undefined, promise, ending(done), ending(failed));
  }

  private open(client: Client, process: SimProcess, node: RaftNode): void {
    this.wait(
      client,
      process,
      `opening a session on node ${process.id}`,
      node.openSession(),
      ({ id }) => {
        client.session = id;
        client.sequence = 0;
      },
      () => {},
    );
  }

  private write(client: Client, write: SessionWrite, process: SimProcess, node: RaftNode): void {
    const { session, writes } = client;
    const { sequence, name, data } = write;
    const what = `write of ${name}, ${sequence} of session ${session}, on node ${process.id}`;
    // What becomes of it if the process ends nobody knows.
    const wasUnknown = write.isUnknown;
    write.isUnknown = true;
    const done = (): void => void writes.splice(writes.indexOf(write), 1);
    this.wait(
      write,
      process,
      what,
      node.session(session).propose(data, { sequence }),
      (outcome) => {
        done();
        this.writes.answered(write, outcome);
      },
      (error) => {
        if (error.code === "RAFT_SESSION_EXPIRED" || error.code === "RAFT_OUTCOME_FORGOTTEN")
          this.world.checker.fail("session", `${what}: ${error.message}`);
        if (error.mayCommit || wasUnknown) return;
        done();
        this.writes.refused(write, error);
      },
    );
  }
}
