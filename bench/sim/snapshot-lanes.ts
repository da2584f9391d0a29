// The connections of a simulated network that snapshots are fetched through: ordered, with what is under way lost when
// they break, slow or narrow as their path is, cut in the middle of a piece, and now and then with a piece whose bytes
// are not those that were sent. Times are in microseconds.
import type { SnapshotLane, SnapshotLaneEvents } from "../../src/link/index.js";
import { PIECE, PIECE_HEAD_BYTES } from "../../src/node/snapshot-wire.js";
import type { Dice } from "./dice.js";
import type { Schedule } from "./schedule.js";

/** A node's link, in one life of it. */
export interface LaneEnd {
  /** False: it is not taken. */
  takeOverLane(from: number, bytes: Uint8Array, back: SnapshotLane): boolean;
  laneClosed(from: number, back: SnapshotLane): void;
}

/** The network that the connections are part of. */
export interface LaneNetwork {
  readonly schedule: Schedule;
  readonly dice: Dice;
  /** Shares of all messages, and what a path carries in a millisecond. */
  readonly weather: { readonly lost: number; readonly damaged: number; readonly bytesPerMs: number };
  readonly hooks: {
    port(id: number): { readonly link: LaneEnd | null; enter(lane: string, work: () => void): void };
    frame(from: number, to: number, bytes: Uint8Array): void;
  };
  /** Whether nothing gets from one to the other. */
  isCut(from: number, to: number): boolean;
  /** How long a message takes now. */
  delayOf(from: number, to: number): number;
}

interface Span {
  readonly from: number;
  readonly to: number;
}

interface Lane {
  readonly fetcher: number;
  readonly holder: number;
  /** Of the life that fetches. */
  readonly link: LaneEnd;
  readonly events: SnapshotLaneEvents;
  /** Of the life that gives, while it is open. */
  holderLink: LaneEnd | null;
  isClosed: boolean;
  /** Connections so far; what an earlier one carried is lost. */
  epoch: number;
  /** The giving end, once it was used. */
  back: SnapshotLane | null;
  /** When the last message arrives, and when the path is free again: to the holder, to the fetcher. */
  readonly lastDue: [number, number];
  readonly free: [number, number];
}

const DIAL: Span = { from: 300, to: 20_000 };
const REDIAL: Span = { from: 20_000, to: 100_000 };
/** So much more often than frames messages are lost or damaged, since there are few; and no more often than this. */
const OFTEN = 20;
const OFTEN_MAX = 0.2;
/** Of a lost message it is known after so long that the connection is gone. */
const LOSS: Span = { from: 1_000, to: 50_000 };

export class SnapshotLanes {
  private readonly network: LaneNetwork;
  private readonly lanes = new Set<Lane>();

  constructor(network: LaneNetwork) {
    this.network = network;
  }

  open(link: LaneEnd, fetcher: number, holder: number, events: SnapshotLaneEvents): SnapshotLane {
    const state = { holderLink: null, isClosed: false, epoch: 0, back: null };
    const lane: Lane = { fetcher, holder, link, events, ...state, lastDue: [0, 0], free: [0, 0] };
    this.lanes.add(lane);
    this.dial(lane, DIAL);
    return {
      send: (bytes) => this.post(lane, true, bytes),
      close: () => {
        if (lane.isClosed) return;
        lane.isClosed = true;
        // What was sent before arrives; then the holder sees the end.
        const { epoch } = lane;
        this.network.schedule.after(Math.max(1, lane.lastDue[0] - this.network.schedule.now + 1), () => {
          if (lane.epoch === epoch) this.break(lane);
          this.lanes.delete(lane);
        });
      },
    };
  }

  /** A process ended. */
  left(id: number): void {
    for (const lane of this.lanes) {
      if (lane.fetcher === id) {
        lane.isClosed = true;
        this.lanes.delete(lane);
      }
      if (lane.fetcher === id || lane.holder === id) this.break(lane);
    }
  }

  /** Those between the two break. */
  breakBetween(one: number, other: number): void {
    for (const lane of this.lanes) {
      const { fetcher, holder } = lane;
      if ((fetcher === one && holder === other) || (fetcher === other && holder === one)) this.break(lane);
    }
  }

  private dial(lane: Lane, within: Span): void {
    const { network } = this;
    network.schedule.after(this.draw(within), () => {
      if (lane.isClosed || lane.holderLink !== null) return;
      const { fetcher, holder } = lane;
      const callee = network.hooks.port(holder).link;
      const isCut = network.isCut(fetcher, holder) || network.isCut(holder, fetcher);
      if (callee === null || isCut || network.hooks.port(fetcher).link !== lane.link) {
        this.dial(lane, REDIAL);
        return;
      }
      lane.holderLink = callee;
      lane.epoch++;
      const { epoch } = lane;
      network.hooks.port(fetcher).enter("snapshot", () => {
        if (!lane.isClosed && lane.epoch === epoch && lane.holderLink !== null) lane.events.onOpen();
      });
    });
  }

  private break(lane: Lane): void {
    const { holderLink, back, fetcher, holder } = lane;
    if (holderLink === null) return;
    lane.holderLink = null;
    lane.back = null;
    lane.epoch++;
    if (back !== null && this.network.hooks.port(holder).link === holderLink)
      this.network.hooks.port(holder).enter("snapshot", () => holderLink.laneClosed(fetcher, back));
    if (!lane.isClosed) this.dial(lane, REDIAL);
  }

  private post(lane: Lane, isToHolder: boolean, borrowed: Uint8Array): boolean {
    const { network } = this;
    const { dice, weather, schedule } = network;
    if (lane.holderLink === null || (isToHolder && lane.isClosed)) return false;
    const from = isToHolder ? lane.fetcher : lane.holder;
    const to = isToHolder ? lane.holder : lane.fetcher;
    const { epoch } = lane;
    // In order and whole or not at all: with one message the connection is lost.
    if (network.isCut(from, to) || this.strikes(weather.lost)) {
      schedule.after(this.draw(LOSS), () => {
        if (lane.epoch === epoch) this.break(lane);
      });
      return true;
    }
    const way = isToHolder ? 0 : 1;
    let begin = schedule.now;
    if (weather.bytesPerMs < Infinity) {
      begin = Math.max(begin, lane.free[way]) + Math.ceil((borrowed.length / weather.bytesPerMs) * 1000);
      lane.free[way] = begin;
    }
    const due = Math.max(lane.lastDue[way], begin + network.delayOf(from, to));
    lane.lastDue[way] = due;
    const bytes = borrowed.slice();
    if (borrowed[0] === PIECE && this.strikes(weather.damaged)) {
      bytes[PIECE_HEAD_BYTES + dice.below(bytes.length - PIECE_HEAD_BYTES)]! ^= 1 << dice.below(8);
    }
    network.hooks.frame(from, to, bytes);
    schedule.after(due - schedule.now, () => {
      if (lane.epoch !== epoch) return;
      network.hooks.port(to).enter("snapshot", () => {
        if (lane.epoch === epoch) this.deliver(lane, isToHolder, bytes);
      });
    });
    return true;
  }

  private strikes(share: number): boolean {
    return share > 0 && this.network.dice.chance(Math.min(OFTEN_MAX, OFTEN * share));
  }

  private draw({ from, to }: Span): number {
    return Math.floor(this.network.dice.between(from, to));
  }

  private deliver(lane: Lane, isToHolder: boolean, bytes: Uint8Array): void {
    if (!isToHolder) {
      if (!lane.isClosed && !lane.events.onMessage(bytes)) this.break(lane);
      return;
    }
    lane.back ??= {
      send: (answer) => this.post(lane, false, answer),
      close: () => this.break(lane),
    };
    if (!lane.holderLink!.takeOverLane(lane.fetcher, bytes, lane.back)) this.break(lane);
  }
}
