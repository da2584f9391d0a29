// Links within one process, for tests and as the bench's "no sockets" axis. Frames go through the real codec, so that
// borrowed bytes stay borrowed and counters mean the same. Given a seed and the same calls, it does the same. Main
// thread.
import { assert } from "../base/assert.js";
import { NO_DATA } from "../base/bytes.js";
import { type Crc32c, crc32c as crc32cJs } from "../base/crc32c.js";
import { RaftmarkError } from "../base/errors.js";
import { Prng } from "../base/prng.js";
import type { Message } from "../raft/raftpb/index.js";
import { FrameReader, FrameWriter } from "../wire/frame.js";
import { CLOSE_REASONS, CloseBadMessage, CloseLostLog } from "./close-codes.js";
import { FRAME_TARGET_BYTES, FrameSender, MAX_FRAME_BYTES_DEFAULT } from "./frame-sender.js";
import { codeOfStranger, type Link, type LinkHandler, type LinkStats } from "./link.js";
import { Notices } from "./notices.js";
import { Refusals } from "./refusals.js";
import type { SnapshotLane, SnapshotLaneEvents } from "./snapshot-lane.js";

/** How frames between the links of one process come through. */
export interface MemoryNetworkOptions {
  clusterId?: number;
  /** Seeds drops and delays. Default 1. */
  seed?: number;
  /**
   * Deliver in a turn of the event loop after each send (default). False: only `deliver` does, which makes runs
   * repeatable whatever the event loop does.
   */
  auto?: boolean;
  frameTargetBytes?: number;
  maxFrameBytes?: number;
  crc32c?: Crc32c;
}

/** A frame under way. */
interface Parcel {
  readonly from: number;
  readonly to: number;
  readonly bytes: Uint8Array;
  /** Delivered when the network's clock is there. */
  readonly due: number;
  /** Of a connection of its own; null: a frame. */
  readonly lane: MemoryLane | null;
}

/** A connection over which one node fetches a snapshot from another. */
class MemoryLane {
  readonly events: SnapshotLaneEvents;
  readonly fetcher: number;
  readonly holder: number;
  isOpen = false;
  isClosed = false;
  /** The holder's end, while it is open and was used. */
  back: SnapshotLane | null = null;

  constructor(fetcher: number, holder: number, events: SnapshotLaneEvents) {
    this.fetcher = fetcher;
    this.holder = holder;
    this.events = events;
  }
}

/** The links of one cluster, and what befalls the frames between them. */
export class MemoryNetwork {
  readonly clusterId: number;
  readonly crc32c: Crc32c;
  readonly frameTargetBytes: number;
  readonly maxFrameBytes: number;
  private readonly auto: boolean;
  private readonly prng: Prng;
  private readonly links = new Map<number, MemoryLink>();
  /** In order of sending; a pair's frames never overtake each other. */
  private parcels: Parcel[] = [];
  private readonly cuts = new Set<string>();
  private readonly lanes = new Set<MemoryLane>();
  /** Pairs ("1 2", the lower first) to show each other their hello, and the paths ("2 1") that then open. */
  private readonly unproved = new Map<string, Set<string>>();
  /** The same, of pairs of which one refused the other. */
  private readonly refused = new Map<string, Set<string>>();
  private dropShare = 0;
  private delayMax = 0;
  private now = 0;
  private scheduled = false;

  constructor(options: MemoryNetworkOptions = {}) {
    this.clusterId = options.clusterId ?? 1;
    this.crc32c = options.crc32c ?? crc32cJs;
    this.frameTargetBytes = options.frameTargetBytes ?? FRAME_TARGET_BYTES;
    this.maxFrameBytes = options.maxFrameBytes ?? MAX_FRAME_BYTES_DEFAULT;
    this.auto = options.auto ?? true;
    this.prng = new Prng(options.seed ?? 1);
  }

  /** A new link for node `id`, in place of any it had: a restart. */
  link(id: number): Link {
    return new MemoryLink(this, id);
  }

  /** Loses this share (0 .. 1) of all frames without a word, as a network does. */
  setDropShare(share: number): void {
    this.dropShare = share;
  }

  /** Delays every frame by 0 .. max calls of `deliver`, at random; a pair's frames stay in order. */
  setDelay(max: number): void {
    this.delayMax = max;
  }

  /** Cuts the path from one node to the other; that way only. */
  cut(from: number, to: number): void {
    this.cuts.add(`${from} ${to}`);
    for (const lane of this.lanes) if (!this.carries(lane)) this.breakLane(lane);
    this.links.get(from)?.tellPeer(to, false);
  }

  /** Cuts both ways between each node of `a` and each of `b`. */
  partition(a: readonly number[], b: readonly number[]): void {
    for (const one of a) {
      for (const other of b) {
        this.cut(one, other);
        this.cut(other, one);
      }
    }
  }

  /** Undoes every cut. */
  heal(): void {
    for (const pair of [...this.cuts]) {
      this.cuts.delete(pair);
      const [from, to] = pair.split(" ").map(Number);
      if (this.reaches(from!, to!)) this.open(from!, to!);
    }
    if (this.auto) this.schedule();
  }

  /** Frames under way. */
  get underWay(): number {
    return this.parcels.length;
  }

  /** Moves the clock by one and hands over what is due. Returns the number of frames handed over. */
  deliver(): number {
    this.now++;
    const parcels = this.parcels;
    const kept: Parcel[] = [];
    // What handlers send from here on is for the next call.
    this.parcels = [];
    for (const [pair, paths] of [...this.unproved]) this.prove(pair, paths);
    for (const lane of this.lanes) {
      if (lane.isOpen || !this.carries(lane)) continue;
      lane.isOpen = true;
      lane.events.onOpen();
    }
    let delivered = 0;
    for (const parcel of parcels) {
      if (parcel.due > this.now) {
        kept.push(parcel);
      } else if (parcel.lane !== null) {
        this.deliverOver(parcel.lane, parcel);
        delivered++;
      } else if (
        !this.cuts.has(`${parcel.from} ${parcel.to}`) &&
        !this.refused.has(pairOf(parcel.from, parcel.to))
      ) {
        this.links.get(parcel.to)?.receive(parcel.from, parcel.bytes);
        delivered++;
      }
    }
    this.parcels = kept.concat(this.parcels);
    if (this.auto && this.parcels.length > 0) this.schedule();
    return delivered;
  }

  /** For MemoryLink. */
  openLane(fetcher: number, holder: number, events: SnapshotLaneEvents): SnapshotLane {
    const lane = new MemoryLane(fetcher, holder, events);
    this.lanes.add(lane);
    if (this.auto) this.schedule();
    return {
      send: (bytes) => this.postOver(lane, fetcher, holder, bytes),
      close: () => {
        lane.isClosed = true;
        this.lanes.delete(lane);
        // What was sent before arrives; then the holder sees the end.
        this.parcels.push({ from: fetcher, to: holder, bytes: NO_DATA, due: this.now + 1, lane });
        if (this.auto) this.schedule();
      },
    };
  }

  private postOver(lane: MemoryLane, from: number, to: number, bytes: Uint8Array): boolean {
    if (!lane.isOpen || lane.isClosed) return false;
    this.parcels.push({ from, to, bytes: bytes.slice(), due: this.now + 1, lane });
    if (this.auto) this.schedule();
    return true;
  }

  private deliverOver(lane: MemoryLane, { from, bytes }: Parcel): void {
    if (!lane.isOpen) return;
    if (from === lane.holder) {
      if (!lane.isClosed && !lane.events.onMessage(bytes)) this.breakLane(lane);
      return;
    }
    if (bytes.length === 0) {
      this.breakLane(lane);
      return;
    }
    lane.back ??= {
      send: (answer) => this.postOver(lane, lane.holder, lane.fetcher, answer),
      close: () => this.breakLane(lane),
    };
    const { holder, fetcher, back } = lane;
    if (this.links.get(holder)?.handler?.onSnapshotMessage?.(fetcher, bytes, back) !== true)
      this.breakLane(lane);
  }

  /** What is under way over it is lost; it opens again when it can, unless it was closed. */
  private breakLane(lane: MemoryLane): void {
    if (!lane.isOpen) return;
    const { back, holder, fetcher } = lane;
    lane.isOpen = false;
    lane.back = null;
    this.parcels = this.parcels.filter((parcel) => parcel.lane !== lane);
    if (back !== null) this.links.get(holder)?.handler?.onSnapshotLaneClosed?.(fetcher, back);
    if (this.auto) this.schedule();
  }

  private carries({ fetcher, holder }: MemoryLane): boolean {
    return (
      this.reaches(fetcher, holder) &&
      this.reaches(holder, fetcher) &&
      !this.refused.has(pairOf(fetcher, holder))
    );
  }

  /** For MemoryLink. */
  join(link: MemoryLink): void {
    assert(!this.links.has(link.id), "two open links of one node");
    this.links.set(link.id, link);
    if (this.auto && this.lanes.size > 0) this.schedule();
    for (const other of this.links.keys()) {
      this.refused.delete(pairOf(link.id, other));
      if (this.reaches(link.id, other)) this.open(link.id, other);
      if (this.reaches(other, link.id)) this.open(other, link.id);
    }
  }

  /** For MemoryLink. */
  leave(link: MemoryLink): void {
    if (this.links.get(link.id) !== link) return;
    this.links.delete(link.id);
    for (const lane of this.lanes) {
      if (lane.fetcher === link.id) this.lanes.delete(lane);
      if (lane.fetcher === link.id || lane.holder === link.id) this.breakLane(lane);
    }
    this.parcels = this.parcels.filter((parcel) => parcel.from !== link.id && parcel.to !== link.id);
    for (const other of this.links.values()) {
      if (!this.cuts.has(`${other.id} ${link.id}`)) other.tellPeer(link.id, false);
    }
  }

  /** For MemoryLink: a node lets the other in no more; both are told when they meet again, which is at once. */
  expel(by: number, other: number): void {
    const pair = pairOf(by, other);
    const paths = this.unproved.get(pair) ?? this.refused.get(pair) ?? new Set<string>();
    for (const [from, to] of [
      [by, other],
      [other, by],
    ] as const) {
      if (!this.reaches(from, to)) continue;
      paths.add(`${from} ${to}`);
      this.links.get(from)!.tellPeer(to, false);
    }
    for (const lane of this.lanes) {
      if (pairOf(lane.fetcher, lane.holder) === pair) this.breakLane(lane);
    }
    this.refused.set(pair, paths);
    this.unproved.set(pair, paths);
    if (this.auto) this.schedule();
  }

  /** For MemoryLink: takes a frame, whose bytes are handed over. False: there is no path. */
  post(from: number, to: number, bytes: Uint8Array): boolean {
    if (!this.reaches(from, to)) return false;
    const refused = this.refused.get(pairOf(from, to));
    if (refused !== undefined) {
      // Like a dialler, it tries anew: the owners may have changed their minds.
      this.unproved.set(pairOf(from, to), refused);
      if (this.auto) this.schedule();
      return false;
    }
    if (this.dropShare > 0 && this.prng.below(1_000_000) < this.dropShare * 1_000_000) return true;
    let due = this.now + 1 + (this.delayMax > 0 ? this.prng.below(this.delayMax + 1) : 0);
    if (this.delayMax > 0) {
      for (const parcel of this.parcels) {
        if (parcel.from === from && parcel.to === to && parcel.due > due) due = parcel.due;
      }
    }
    this.parcels.push({ from, to, bytes, due, lane: null });
    if (this.auto) this.schedule();
    return true;
  }

  /** For MemoryLink. */
  reaches(from: number, to: number): boolean {
    return from !== to && this.links.has(from) && this.links.has(to) && !this.cuts.has(`${from} ${to}`);
  }

  private reachesAnyWay(one: number, other: number): boolean {
    return this.reaches(one, other) || this.reaches(other, one);
  }

  /** A path opens: at once if its ends have nothing to show nor to ask, and neither refused the other. */
  private open(from: number, to: number): void {
    const pair = pairOf(from, to);
    if (this.refused.has(pair) || this.links.get(from)!.asksHello || this.links.get(to)!.asksHello) {
      const paths = this.unproved.get(pair) ?? this.refused.get(pair) ?? new Set();
      this.unproved.set(pair, paths.add(`${from} ${to}`));
      if (this.auto) this.schedule();
    } else {
      this.links.get(from)!.tellPeer(to, true);
      this.links.get(to)!.tellPath(from);
    }
  }

  /** Shows each of the pair what the other has to show, and opens their paths unless one refuses. */
  private prove(pair: string, paths: Set<string>): void {
    this.unproved.delete(pair);
    const [one, other] = pair.split(" ").map((id) => this.links.get(Number(id)));
    // Cut off from each other they stand as they stood: who heals them has them meet.
    if (one !== undefined && other !== undefined && !this.reachesAnyWay(one.id, other.id)) return;
    this.refused.delete(pair);
    if (one === undefined || other === undefined) return;
    const refusals = [one.meet(other), other.meet(one)];
    if (refusals.some((reason) => reason !== null)) {
      this.refused.set(pair, paths);
      return;
    }
    for (const path of paths) {
      const [from, to] = path.split(" ").map(Number);
      if (!this.reaches(from!, to!)) continue;
      this.links.get(from!)!.welcome(to!);
      this.links.get(to!)!.tellPath(from!);
    }
  }

  private schedule(): void {
    if (this.scheduled) return;
    this.scheduled = true;
    setImmediate(() => {
      this.scheduled = false;
      this.deliver();
    });
  }
}

function pairOf(one: number, other: number): string {
  return one < other ? `${one} ${other}` : `${other} ${one}`;
}

/** What one node has of a MemoryNetwork. */
export class MemoryLink implements Link {
  readonly implementation = "memory";
  readonly id: number;
  private readonly network: MemoryNetwork;
  private readonly sender: FrameSender;
  private readonly reader: FrameReader;
  private readonly notices = new Notices();
  private readonly refusals = new Refusals();
  private readonly batches = new Map<number, Message[]>();
  private readonly gone = new Set<number>();
  /** Read by MemoryNetwork. */
  handler: LinkHandler | null = null;
  private closed = false;

  constructor(network: MemoryNetwork, id: number) {
    const { clusterId, crc32c, frameTargetBytes: targetBytes, maxFrameBytes: maxBytes } = network;
    this.network = network;
    this.id = id;
    this.reader = new FrameReader({ clusterId, self: id, crc32c });
    const writer = new FrameWriter({ clusterId, from: id, crc32c, targetBytes, maxBytes });
    this.sender = new FrameSender(writer, (to, frame) => network.post(id, to, frame.slice()));
  }

  async start(handler: LinkHandler): Promise<void> {
    assert(this.handler === null, "a link is started once");
    if (this.closed) throw new RaftmarkError("RAFT_CLOSED", "the link was closed while it was starting");
    this.handler = handler;
    this.notices.handler = handler;
    this.refusals.handler = handler;
    this.network.join(this);
  }

  send(group: number, messages: readonly Message[]): void {
    if (this.closed) return;
    for (const message of messages) {
      const batch = this.batches.get(message.to);
      if (batch === undefined) this.batches.set(message.to, [message]);
      else batch.push(message);
    }
    for (const [to, batch] of this.batches) {
      if (!this.sender.send(group, to, batch)) this.notices.unreachable(to);
    }
    this.batches.clear();
    this.sender.rewind();
  }

  openSnapshotLane(peer: number, events: SnapshotLaneEvents): SnapshotLane {
    return this.network.openLane(this.id, peer, events);
  }

  /** There are no addresses: everybody in the network is known, but who is said to be gone. */
  setPeer(peer: number, address: string | null): void {
    if (address !== null) this.gone.delete(peer);
    else if (!this.closed && !this.gone.has(peer)) {
      this.gone.add(peer);
      this.network.expel(this.id, peer);
    }
  }

  stats(): LinkStats {
    return this.sender.stats();
  }

  async close(): Promise<void> {
    this.closed = true;
    this.notices.close();
    this.refusals.close();
    this.network.leave(this);
  }

  /** For MemoryNetwork: its owner shows something, or looks at what others show. */
  get asksHello(): boolean {
    return this.handler!.hello !== undefined || this.handler!.onHello !== undefined;
  }

  /** For MemoryNetwork: looks at what `other` shows. Returns null, or why it is refused, and the owners are told. */
  meet(other: MemoryLink): string | null {
    if (this.gone.has(other.id)) {
      const code = codeOfStranger(this.handler, other.id);
      return this.refuse(other, code, CLOSE_REASONS[code]!);
    }
    const reason = this.handler!.onHello?.(other.id, other.handler!.hello?.slice() ?? NO_DATA) ?? null;
    return reason === null ? null : this.refuse(other, CloseLostLog, reason);
  }

  /** The other owner hears of it if anything gets there. */
  private refuse(other: MemoryLink, code: number, reason: string): string {
    this.refusals.tell({ peer: other.id, code, reason, by: "self" });
    if (this.network.reaches(this.id, other.id))
      other.refusals.tell({ peer: this.id, code, reason, by: "peer" });
    return reason;
  }

  /** For MemoryNetwork: the pair met, and neither refused. */
  welcome(peer: number): void {
    this.refusals.forget(peer);
    this.tellPeer(peer, true);
  }

  /** For MemoryNetwork. */
  tellPeer(peer: number, connected: boolean): void {
    this.notices.peer(peer, connected);
    if (!connected) this.notices.unreachable(peer);
  }

  /** For MemoryNetwork. */
  tellPath(peer: number): void {
    this.notices.path(peer);
  }

  /** For MemoryNetwork. */
  receive(from: number, bytes: Uint8Array): void {
    const inbox: Message[] = [];
    const refusal = this.reader.read(bytes, from, inbox);
    assert(refusal === null, "a frame that never left the process was refused");
    this.sender.received(from, bytes.length, inbox.length);
    const refused = this.handler!.onMessages(this.reader.group, from, inbox);
    if (typeof refused === "string")
      this.refusals.tell({ peer: from, code: CloseBadMessage, reason: refused, by: "self" });
  }
}
