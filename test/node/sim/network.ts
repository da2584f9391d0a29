// The network of a simulated world: frames through the real codec, delayed, lost, doubled, cut off one way or both,
// and out of order as far as the plan allows. What happens to a frame is drawn when it is sent.

import type { Dice } from "../../../bench/sim/dice.js";
import type { Schedule } from "../../../bench/sim/schedule.js";
import { crc32c } from "../../../src/base/crc32c.js";
import type { Link, LinkHandler, LinkStats } from "../../../src/link/index.js";
import { type Message, MsgApp, MsgProp, MsgSnap } from "../../../src/raft/index.js";
import { FrameAdded, FrameReader, FrameWriter } from "../../../src/wire/frame.js";

/** Ticks a frame takes, drawn anew for each. */
export interface Delay {
  readonly from: number;
  readonly to: number;
}

export interface Weather {
  readonly delay: Delay;
  /** Shares of all frames. */
  readonly lost: number;
  readonly doubled: number;
  /** How long the double takes. */
  readonly doubleDelay: Delay;
  /** Frames of a lane may overtake each other, too; else only those of different lanes do. */
  readonly shuffles: boolean;
}

const NO_DELAY: Delay = { from: 0, to: 0 };
export const FAIR: Weather = {
  delay: { from: 0.02, to: 0.1 },
  lost: 0,
  doubled: 0,
  doubleDelay: NO_DELAY,
  shuffles: false,
};

/** Where a frame arrives: on a node's process, which may stand still or be gone. */
export type Enter = (to: number, lane: string, work: () => void) => void;

const LANES = ["news", "bulk"] as const;
const FRAME_BYTES = 1 << 20;

function laneOf(message: Message): (typeof LANES)[number] {
  const { type } = message;
  return type === MsgApp || type === MsgSnap || type === MsgProp ? "bulk" : "news";
}

export class SimNetwork {
  weather: Weather = FAIR;
  readonly schedule: Schedule;
  private readonly dice: Dice;
  private readonly enter: Enter;
  private readonly links = new Map<number, SimLink>();
  private readonly cuts = new Set<string>();
  private readonly narrowed = new Map<number, number>();
  private readonly slow = new Map<string, Delay>();
  /** By path and lane: when its last frame arrives. */
  private readonly lastDue = new Map<string, number>();

  constructor(schedule: Schedule, dice: Dice, enter: Enter) {
    this.schedule = schedule;
    this.dice = dice;
    this.enter = enter;
  }

  /** A link for node `id`, in place of any it had: a restart. */
  link(id: number): Link {
    const link = new SimLink(this, id);
    this.links.set(id, link);
    return link;
  }

  /** Nothing gets from one to the other; frames under way still do. */
  cut(from: number, to: number): void {
    this.cuts.add(`${from} ${to}`);
  }

  mend(from: number, to: number): void {
    this.cuts.delete(`${from} ${to}`);
  }

  /** Frames from one to the other take so long; null: as the weather has it. */
  slowDown(from: number, to: number, delay: Delay | null): void {
    if (delay === null) this.slow.delete(`${from} ${to}`);
    else this.slow.set(`${from} ${to}`, delay);
  }

  /** Of what `from` has to send in bulk only what is for `to` gets there; null: all does. */
  narrow(from: number, to: number | null): void {
    if (to === null) this.narrowed.delete(from);
    else this.narrowed.set(from, to);
  }

  /** Undoes all cuts, and narrow and slow paths. What is late comes late, and holds up nothing behind it. */
  heal(): void {
    this.lastDue.clear();
    this.cuts.clear();
    this.narrowed.clear();
    this.slow.clear();
  }

  /** For SimLink. False: the path is cut. */
  post(from: number, to: number, lane: string, frame: Uint8Array): boolean {
    const path = `${from} ${to}`;
    const { dice, weather } = this;
    if (this.cuts.has(path)) return false;
    if (lane === "bulk" && (this.narrowed.get(from) ?? to) !== to) return true;
    if (dice.chance(weather.lost)) return true;
    const delay = this.slow.get(path) ?? weather.delay;
    this.carry(from, to, `${path} ${lane}`, frame, delay);
    if (dice.chance(weather.doubled)) this.carry(from, to, `${path} again`, frame, weather.doubleDelay);
    return true;
  }

  private carry(from: number, to: number, key: string, frame: Uint8Array, delay: Delay): void {
    const { dice, weather, schedule } = this;
    let due = schedule.now + dice.between(delay.from, delay.to);
    if (!weather.shuffles) {
      due = Math.max(due, this.lastDue.get(key) ?? 0);
      this.lastDue.set(key, due);
    }
    // The receiver keeps what it reads.
    const bytes = frame.slice();
    schedule.after(due - schedule.now, () =>
      this.enter(to, key, () => this.links.get(to)!.receive(from, bytes)),
    );
  }
}

class SimLink implements Link {
  readonly implementation = "simulated";
  private readonly network: SimNetwork;
  private readonly id: number;
  private readonly writer: FrameWriter;
  private readonly reader: FrameReader;
  private handler: LinkHandler | null = null;

  constructor(network: SimNetwork, id: number) {
    this.network = network;
    this.id = id;
    this.writer = new FrameWriter({
      clusterId: 1,
      from: id,
      crc32c,
      targetBytes: FRAME_BYTES,
      maxBytes: FRAME_BYTES,
    });
    this.reader = new FrameReader({ clusterId: 1, self: id, crc32c });
  }

  async start(handler: LinkHandler): Promise<void> {
    this.handler = handler;
  }

  send(group: number, messages: readonly Message[]): void {
    const { writer } = this;
    for (const to of new Set(messages.map((message) => message.to))) {
      for (const lane of LANES) {
        const batch = messages.filter((message) => message.to === to && laneOf(message) === lane);
        if (batch.length === 0) continue;
        writer.begin(group);
        for (const message of batch) {
          if (writer.add(message) === FrameAdded) continue;
          this.post(to, lane);
          writer.begin(group);
          if (writer.add(message) !== FrameAdded) throw new Error("a message of the world is too large");
        }
        this.post(to, lane);
      }
    }
    writer.rewind();
  }

  private post(to: number, lane: string): void {
    const isSent = this.network.post(this.id, to, lane, this.writer.finish());
    if (!isSent) setImmediate(() => this.handler!.onUnreachable(to));
  }

  receive(from: number, bytes: Uint8Array): void {
    const inbox: Message[] = [];
    const refusal = this.reader.read(bytes, from, inbox);
    if (refusal !== null) throw new Error(`a frame of the world was refused: ${refusal}`);
    this.handler!.onMessages(this.reader.group, from, inbox);
  }

  setPeer(): void {}

  stats(): LinkStats {
    throw new Error("nobody asks for figures");
  }

  async close(): Promise<void> {}
}
