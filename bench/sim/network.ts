// The network of a simulated world: connections that open with a hello and break, frames through the real codec,
// delayed, lost, doubled, out of order, damaged, held up or too much for the path, one way or both. What happens to a
// frame is drawn when it is sent. Times are in microseconds.
import { crc32c } from "../../src/base/crc32c.js";
import { CLOSE_REASONS, CloseLostLog, CloseRemoved, CloseUnknownPeer } from "../../src/link/close-codes.js";
import { FrameSender } from "../../src/link/frame-sender.js";
import type { Link, LinkHandler, LinkStats, SnapshotLane, SnapshotLaneEvents } from "../../src/link/index.js";
import { isForExpressToo, LaneBulk, LaneExpress, laneOf } from "../../src/link/lanes.js";
import type { Sizes } from "../../src/node/sizes.js";
import type { Message } from "../../src/raft/index.js";
import { FrameReader, FrameWriter } from "../../src/wire/frame.js";
import type { Dice } from "./dice.js";
import type { Schedule } from "./schedule.js";
import { type LaneEnd, type LaneNetwork, SnapshotLanes } from "./snapshot-lanes.js";

export interface Span {
  readonly from: number;
  readonly to: number;
}

export interface Weather {
  readonly delay: Span;
  /** Shares of all frames. */
  readonly lost: number;
  readonly doubled: number;
  readonly damaged: number;
  /** How long the double takes. */
  readonly doubleDelay: Span;
  /** Frames of a lane may overtake each other, too; else only those of different lanes do. */
  readonly shuffles: boolean;
  /** What a path carries in a millisecond; Infinity: all. */
  readonly bytesPerMs: number;
}

export const FAIR: Weather = {
  delay: { from: 200, to: 1000 },
  lost: 0,
  doubled: 0,
  damaged: 0,
  doubleDelay: { from: 0, to: 0 },
  shuffles: false,
  bytesPerMs: Infinity,
};

/** What a cut does with frames: lose them, hold them until it is mended, or break the connection. */
export type Cut = "lose" | "hold" | "break";

/** The network's view of a process. */
export interface Port {
  /** Its link, while it listens. */
  readonly link: SimLink | null;
  /** Runs `work` in the process when it can; never in another life of it. */
  enter(lane: string, work: () => void): void;
}

export interface NetworkHooks {
  port(id: number): Port;
  sends(from: number, messages: readonly Message[]): void;
  frame(from: number, to: number, bytes: Uint8Array): void;
  fail(what: string): void;
}

interface Path {
  open: boolean;
  /** Connections so far: frames of an earlier one may be lost with it. */
  epoch: number;
  dialling: boolean;
  cut: Cut | null;
  slow: Span | null;
  /** So many frames of bulk still get through; Infinity: all. */
  bulkLeft: number;
  readonly held: (() => void)[];
  /** By lane: when its last frame arrives, and when it is free again. Each is a connection. */
  readonly lastDue: number[];
  readonly free: number[];
  /** Bytes posted in bulk so far. */
  bulkBytes: number;
}

/** A refused or failed connection is tried again after so long. */
const REDIAL: Span = { from: 20_000, to: 100_000 };
/** Who begins to listen dials at once; a socket takes its time. */
const FIRST_DIAL: Span = { from: 300, to: 20_000 };
const LANES = [LaneExpress, LaneBulk] as const;

export class SimNetwork implements LaneNetwork {
  weather: Weather = FAIR;
  /** Frames that were damaged, and then refused by their receivers. */
  damaged = 0;
  refused = 0;
  /** Frames that a full link dropped. */
  overflows = 0;
  readonly schedule: Schedule;
  readonly hooks: NetworkHooks;
  readonly dice: Dice;
  readonly snapshotLanes = new SnapshotLanes(this);
  private readonly ids: readonly number[];
  private readonly paths = new Map<number, Path>();

  constructor(ids: readonly number[], schedule: Schedule, dice: Dice, hooks: NetworkHooks) {
    this.ids = ids;
    this.schedule = schedule;
    this.dice = dice;
    this.hooks = hooks;
  }

  private path(from: number, to: number): Path {
    const key = from * 64 + to;
    let path = this.paths.get(key);
    if (path === undefined) {
      const state = { open: false, epoch: 0, dialling: false, cut: null, slow: null, bulkLeft: Infinity };
      path = { ...state, held: [], lastDue: [0, 0, 0], free: [0, 0, 0], bulkBytes: 0 };
      this.paths.set(key, path);
    }
    return path;
  }

  // ---- connections

  /** A link began to listen. */
  joined(id: number): void {
    for (const other of this.ids) {
      if (other === id) continue;
      this.dial(id, other, FIRST_DIAL);
      this.dial(other, id, FIRST_DIAL);
    }
  }

  /** The link of `id` knows `other`, or knows it no more. */
  knows(id: number, other: number, does: boolean): void {
    if (does) {
      this.dial(id, other, FIRST_DIAL);
      this.dial(other, id, FIRST_DIAL);
    } else {
      this.breakPath(id, other);
      this.breakPath(other, id);
    }
  }

  /** A process ended: its connections break. */
  left(id: number): void {
    for (const other of this.ids) {
      if (other === id) continue;
      this.breakPath(id, other);
      this.breakPath(other, id);
    }
    this.snapshotLanes.left(id);
  }

  /** The connection by which `to` hears `from` breaks, and is dialled again. */
  private breakPath(from: number, to: number): void {
    const path = this.path(from, to);
    if (!path.open) return;
    path.open = false;
    path.epoch++;
    // The next one begins with nothing under way.
    path.lastDue.fill(0);
    path.free.fill(0);
    if (this.dice.chance(0.5)) path.held.length = 0;
    const port = this.hooks.port(from);
    const link = port.link;
    port.enter("link", () => link?.tellPeer(to, false));
    this.dial(from, to);
  }

  private dial(from: number, to: number, within = REDIAL): void {
    const path = this.path(from, to);
    if (path.open || path.dialling) return;
    path.dialling = true;
    this.schedule.after(this.draw(within), () => this.meet(from, to));
  }

  /** Both ends look at what the other shows, and the path opens unless one refuses. */
  private meet(from: number, to: number): void {
    const path = this.path(from, to);
    const caller = this.hooks.port(from);
    const callee = this.hooks.port(to);
    const again = (): void => {
      path.dialling = false;
      this.dial(from, to);
    };
    if (caller.link === null || callee.link === null) {
      // Whoever starts dials anew.
      path.dialling = false;
      return;
    }
    if (path.cut !== null || this.path(to, from).cut !== null) {
      again();
      return;
    }
    const ends = [caller.link, callee.link] as const;
    // Who would hear the other dials it.
    if (ends[1].knows(from) && !ends[0].knows(to))
      caller.enter("link", () => ends[0].meetsStranger(to, ends[1].hello));
    if (!ends[0].knows(to) || !ends[1].knows(from)) {
      // And is told where that one does not know it.
      const code = ends[0].codeFor(to);
      if (ends[1].knows(from)) callee.enter("link", () => ends[1].closedBy(from, code));
      again();
      return;
    }
    const epoch = ++path.epoch;
    const isSame = (): boolean => caller.link === ends[0] && callee.link === ends[1] && path.epoch === epoch;
    callee.enter("link", () => {
      const refusal = ends[1].meets(from, ends[0].hello);
      caller.enter("link", () => {
        if (!isSame()) {
          again();
          return;
        }
        const reason = refusal ?? ends[0].meets(to, ends[1].hello);
        if (reason !== null) {
          if (refusal !== null) ends[0].refusedBy(to, reason);
          else callee.enter("link", () => ends[1].refusedBy(from, reason));
          again();
          return;
        }
        path.dialling = false;
        path.open = true;
        ends[0].tellPeer(to, true);
        callee.enter("link", () => ends[1].tellPath(from));
      });
    });
    // One of them stands still or ends: another attempt, if nothing came of this one.
    this.schedule.after(20 * REDIAL.to, () => {
      if (path.dialling && path.epoch === epoch) again();
    });
  }

  // ---- faults

  /** Nothing gets from one to the other; frames under way still do. */
  cut(from: number, to: number, how: Cut): void {
    const path = this.path(from, to);
    path.cut = how;
    if (how !== "break") return;
    this.breakPath(from, to);
    this.snapshotLanes.breakBetween(from, to);
  }

  isCut(from: number, to: number): boolean {
    return this.path(from, to).cut !== null;
  }

  /** How long a message takes now. */
  delayOf(from: number, to: number): number {
    return this.draw(this.path(from, to).slow ?? this.weather.delay);
  }

  mend(from: number, to: number): void {
    const path = this.path(from, to);
    path.cut = null;
    for (const send of path.held.splice(0)) send();
  }

  /** Frames from one to the other take so long; null: as the weather has it. */
  slowDown(from: number, to: number, delay: Span | null): void {
    this.path(from, to).slow = delay;
  }

  /** Of what `from` sends to `to` in bulk so many frames get through, and no more; Infinity: all. */
  allowBulk(from: number, to: number, frames: number): void {
    this.path(from, to).bulkLeft = frames;
  }

  /** The connection breaks, whatever was on it, and is made anew. */
  reconnect(from: number, to: number): void {
    this.breakPath(from, to);
    this.snapshotLanes.breakBetween(from, to);
  }

  /** Who hears gives the connection up, with what is on its way in it. */
  redial(from: number, to: number): void {
    this.breakPath(from, to);
  }

  /** Undoes all cuts, and limits and slow paths. What is late comes late, and holds up nothing behind it. */
  heal(): void {
    for (const path of this.paths.values()) {
      path.cut = null;
      path.slow = null;
      path.bulkLeft = Infinity;
      for (const send of path.held.splice(0)) send();
      // Behind what was held, which may be due in many seconds on a narrow path.
      path.lastDue.fill(0);
      path.free.fill(0);
    }
  }

  /** Bytes that were sent to it in bulk so far, by whomever. */
  bulkTo(to: number): number {
    return this.ids.reduce((sum, from) => sum + this.path(from, to).bulkBytes, 0);
  }

  // ---- frames

  /** For SimLink, which holds so many bytes for a peer. False: there is no connection, or too much waits. */
  post(from: number, to: number, lane: number, frame: Uint8Array, bufferBytes: number): boolean {
    const { dice, weather } = this;
    const path = this.path(from, to);
    if (!path.open) return false;
    this.hooks.frame(from, to, frame);
    if (lane === LaneBulk) path.bulkBytes += frame.length;
    // The receiver keeps what it reads, and the sender reuses its buffer.
    const bytes = frame.slice();
    if (path.cut === "lose" || (lane === LaneBulk && --path.bulkLeft < 0)) return true;
    if (weather.lost > 0 && dice.chance(weather.lost)) return true;
    let sentAt = this.schedule.now;
    if (weather.bytesPerMs < Infinity) {
      const begin = Math.max(this.schedule.now, path.free[lane]);
      if (((begin - this.schedule.now) / 1000) * weather.bytesPerMs + frame.length > bufferBytes) {
        this.overflows++;
        return false;
      }
      path.free[lane] = begin + Math.ceil((frame.length / weather.bytesPerMs) * 1000);
      sentAt = path.free[lane];
    }
    const carry = (): void => this.carry(from, to, lane, bytes, sentAt);
    if (path.cut === "hold") path.held.push(carry);
    else carry();
    if (weather.doubled > 0 && dice.chance(weather.doubled)) {
      this.deliver(from, to, "again", bytes, this.draw(weather.doubleDelay), false);
    }
    return true;
  }

  private carry(from: number, to: number, lane: number, bytes: Uint8Array, sentAt: number): void {
    const { dice, weather, schedule } = this;
    const path = this.path(from, to);
    let due = Math.max(schedule.now, sentAt) + this.draw(path.slow ?? weather.delay);
    if (!weather.shuffles) {
      due = Math.max(due, path.lastDue[lane]);
      path.lastDue[lane] = due;
    }
    const isDamaged = weather.damaged > 0 && dice.chance(weather.damaged);
    this.deliver(
      from,
      to,
      `${from} ${lane}`,
      isDamaged ? this.damage(bytes) : bytes,
      due - schedule.now,
      isDamaged,
    );
  }

  private deliver(
    from: number,
    to: number,
    lane: string,
    bytes: Uint8Array,
    delay: number,
    isDamaged: boolean,
  ): void {
    const path = this.path(from, to);
    const { epoch } = path;
    const survives = this.dice.chance(0.5);
    this.schedule.after(delay, () => {
      // With its connection what it carried is lost, unless it is in the receiver's buffers.
      if (path.epoch !== epoch && !survives) return;
      const port = this.hooks.port(to);
      const { link } = port;
      if (link === null) return;
      port.enter(lane, () => {
        if (!link.isOpen) return; // Nobody looks at it any more.
        // It keeps the bytes of what it takes.
        const refusal = link.receive(from, lane === "again" ? bytes.slice() : bytes);
        if (refusal === null && isDamaged) this.hooks.fail(`node ${to} took a damaged frame of node ${from}`);
        if (refusal === null) return;
        this.refused++;
        if (!isDamaged) this.hooks.fail(`node ${to} refused a frame of node ${from}: ${refusal}`);
        this.breakPath(from, to);
      });
    });
  }

  private damage(bytes: Uint8Array): Uint8Array {
    const { dice } = this;
    this.damaged++;
    const damaged = bytes.slice();
    const kind = dice.below(3);
    if (kind === 0) return damaged.subarray(0, dice.below(bytes.length));
    const at = dice.below(bytes.length);
    if (kind === 1) damaged[at] ^= 1 << dice.below(8);
    else for (let i = 0; i < 16 && at + i < bytes.length; i++) damaged[at + i] ^= 1 + dice.below(255);
    return damaged;
  }

  private draw({ from, to }: Span): number {
    return Math.floor(this.dice.between(from, to));
  }
}

export class SimLink implements Link, LaneEnd {
  readonly implementation = "simulated";
  private readonly network: SimNetwork;
  private readonly id: number;
  private readonly sender: FrameSender;
  private readonly reader: FrameReader;
  private handler: LinkHandler | null = null;
  private readonly alive: () => boolean;
  private readonly unreachable = new Set<number>();
  private readonly known: Set<number>;
  private lane: number = LaneExpress;

  /** `alive`: whether the process is there; a dead one sends nothing. */
  constructor(
    network: SimNetwork,
    id: number,
    peers: readonly number[],
    { maxFrameBytes, linkBufferBytes }: Sizes,
    alive: () => boolean,
  ) {
    this.network = network;
    this.id = id;
    this.alive = alive;
    this.known = new Set(peers);
    const writer = new FrameWriter({
      clusterId: 1,
      from: id,
      crc32c,
      targetBytes: maxFrameBytes,
      maxBytes: maxFrameBytes,
    });
    this.sender = new FrameSender(writer, (to, frame) =>
      network.post(id, to, this.lane, frame, linkBufferBytes),
    );
    this.reader = new FrameReader({ clusterId: 1, self: id, crc32c });
  }

  async start(handler: LinkHandler): Promise<void> {
    if (!this.alive()) return;
    this.handler = handler;
    this.network.joined(this.id);
  }

  /** It can be reached. */
  get listens(): boolean {
    return this.handler !== null;
  }

  send(group: number, messages: readonly Message[]): void {
    if (!this.alive()) return;
    this.network.hooks.sends(this.id, messages);
    const peers: number[] = [];
    for (const { to } of messages) if (!peers.includes(to)) peers.push(to);
    for (const to of peers) {
      for (const lane of LANES) {
        const batch: Message[] = [];
        for (const message of messages) {
          const isOnIt = laneOf(message.type) === lane || (lane === LaneExpress && isForExpressToo(message));
          if (message.to === to && isOnIt) batch.push(message);
        }
        if (batch.length === 0) continue;
        this.lane = lane;
        if (!this.sender.send(group, to, batch)) this.tellUnreachable(to);
      }
    }
    this.sender.rewind();
  }

  private tellUnreachable(to: number): void {
    if (this.unreachable.has(to)) return;
    this.unreachable.add(to);
    setImmediate(() => {
      this.unreachable.delete(to);
      this.handler?.onUnreachable(to);
    });
  }

  /** Null: it was taken. */
  get isOpen(): boolean {
    return this.handler !== null;
  }

  receive(from: number, bytes: Uint8Array): string | null {
    if (this.handler === null) return null;
    const inbox: Message[] = [];
    const refusal = this.reader.read(bytes, from, inbox);
    if (refusal !== null) return refusal;
    const answer = this.handler.onMessages(this.reader.group, from, inbox);
    return typeof answer === "string" ? answer : null;
  }

  get hello(): Uint8Array {
    return this.handler?.hello ?? new Uint8Array(0);
  }

  /** Looks at what `peer` shows: null, or why it is refused. */
  meets(peer: number, hello: Uint8Array): string | null {
    const reason = this.handler?.onHello?.(peer, hello.slice()) ?? null;
    if (reason !== null) this.handler?.onRefused?.({ peer, code: CloseLostLog, reason, by: "self" });
    return reason;
  }

  refusedBy(peer: number, reason: string): void {
    this.handler?.onRefused?.({ peer, code: CloseLostLog, reason, by: "peer" });
  }

  tellPath(peer: number): void {
    this.handler?.onPath?.(peer);
  }

  tellPeer(peer: number, connected: boolean): void {
    this.handler?.onPeer(peer, connected);
    if (!connected) this.handler?.onUnreachable(peer);
  }

  openSnapshotLane(peer: number, events: SnapshotLaneEvents): SnapshotLane {
    return this.network.snapshotLanes.open(this, this.id, peer, events);
  }

  /** False: it is not taken. */
  takeOverLane(from: number, bytes: Uint8Array, back: SnapshotLane): boolean {
    return this.handler?.onSnapshotMessage?.(from, bytes, back) === true;
  }

  laneClosed(from: number, back: SnapshotLane): void {
    this.handler?.onSnapshotLaneClosed?.(from, back);
  }

  setPeer(peer: number, address: string | null): void {
    if (!this.alive() || this.known.has(peer) === (address !== null)) return;
    if (address !== null) this.known.add(peer);
    else this.known.delete(peer);
    this.network.knows(this.id, peer, address !== null);
  }

  redial(peer: number): void {
    if (this.alive()) this.network.redial(peer, this.id);
  }

  knows(peer: number): boolean {
    return this.known.has(peer);
  }

  meetsStranger(peer: number, hello: Uint8Array): void {
    this.handler?.onStranger?.(peer, hello.slice());
  }

  /** How it refuses `peer`; 0: it knows it. */
  codeFor(peer: number): number {
    if (this.known.has(peer)) return 0;
    return this.handler?.isRemoved?.(peer) === true ? CloseRemoved : CloseUnknownPeer;
  }

  closedBy(peer: number, code: number): void {
    this.handler?.onRefused?.({ peer, code, reason: CLOSE_REASONS[code]!, by: "peer" });
  }

  stats(): LinkStats {
    return this.sender.stats();
  }

  async close(): Promise<void> {
    this.handler = null;
  }
}
