// All that a node has to do with snapshots, put together: its own, those that it sends to members, and the one that it
// is sent; and what people are told of them. Main thread.
import { NO_DATA } from "../base/bytes.js";
import type { RaftmarkError } from "../base/errors.js";
import type { Link } from "../link/index.js";
import {
  confStateHas,
  Message,
  MsgSnap,
  type RawNode,
  type SnapshotMetadata,
  StateLeader,
} from "../raft/index.js";
import type { Wal } from "../wal/index.js";
import type { SnapshotTaken } from "./api.js";
import { proposeNothing } from "./departures.js";
import type { SnapshotEvent } from "./events.js";
import type { ResolvedOptions } from "./options.js";
import type { Sessions } from "./sessions.js";
import { SnapshotReceiver } from "./snapshot-receiver.js";
import { SnapshotSender } from "./snapshot-sender.js";
import { Snapshots } from "./snapshots.js";
import type { Teller } from "./teller.js";

/** Of one piece. It counts only when all of it is there, so it is small, for slow paths; smaller where frames are. */
const PIECE_BYTES_MAX = 64 << 10;
/** Longest that one piece takes at the pace of the option: a connection over which nothing comes for seconds is given up. */
const PIECE_SECONDS_MAX = 1 / 4;
/** What may be on its way to a node that fetches, or wait for its disk; less where the link's buffer is small. */
const WINDOW_BYTES_MAX = 4 << 20;
/** Room for what a piece has beside its bytes. */
const PIECE_ROOM_BYTES = 256;

export interface ServiceParts {
  readonly group: number;
  readonly options: ResolvedOptions;
  readonly wal: Wal;
  readonly link: Link;
  readonly rawNode: RawNode;
  readonly sessions: Sessions;
  readonly teller: Teller;
  readonly restored: SnapshotTaken | null;
  readonly announce: (event: SnapshotEvent) => void;
  /** Runs it on the RawNode, then a turn. */
  readonly control: (call: (rawNode: RawNode) => void) => void;
  /** The same, behind all that is being applied. */
  readonly whenApplied: (call: (rawNode: RawNode) => void) => void;
}

export class SnapshotService {
  readonly own: Snapshots;
  private readonly parts: ServiceParts;
  readonly sender: SnapshotSender;
  readonly receiver: SnapshotReceiver;
  /** While this node leads: members that needed a snapshot. */
  private readonly lacking = new Set<number>();
  /** How many snapshots of leaders this node could not take, by its options. */
  private unfit = 0;
  /** Who sent the one that is being installed. */
  private sentBy = 0;

  constructor(parts: ServiceParts) {
    this.parts = parts;
    const { options } = parts;
    this.own = new Snapshots({
      wal: parts.wal,
      stateMachine: options.stateMachine,
      sessions: parts.sessions,
      policy: options,
      tickMs: options.tickMs,
      last: parts.restored,
      onTaken: (taken, ms) => this.taken(taken, ms),
      onFailed: (metadata, error, retryMs) => this.failed(metadata, error, retryMs),
      onOwed: (index, bytes, ms) => this.owed(index, bytes, ms),
    });
    const windowBytes = Math.max(1, Math.min(WINDOW_BYTES_MAX, Math.floor(options.linkBufferBytes / 2)));
    this.sender = this.newSender(windowBytes);
    this.receiver = this.newReceiver(windowBytes);
  }

  private newSender(windowBytes: number): SnapshotSender {
    const { group, options, wal, rawNode } = this.parts;
    const { tickMs, maxFrameBytes, snapshotSendBytesPerS, snapshotCatchUpBytes } = options;
    return new SnapshotSender({
      group,
      wal,
      tickMs,
      pieceBytes: Math.min(
        PIECE_BYTES_MAX,
        maxFrameBytes - PIECE_ROOM_BYTES,
        Math.ceil(windowBytes / 2),
        Math.ceil(snapshotSendBytesPerS * PIECE_SECONDS_MAX),
      ),
      bytesPerS: snapshotSendBytesPerS,
      snapshotCatchUpBytes,
      onEnd: (to, { index }, why) => this.transferEnded(to, index, why),
      onUnsound: () => this.replaceUnsound(),
      matchOf: (to) => {
        const { raft } = rawNode;
        const progress = raft.trk.progress.get(to);
        if (progress === undefined) return null;
        return raft.state === StateLeader && progress.recentActive ? progress.match : -1;
      },
    });
  }

  private newReceiver(windowBytes: number): SnapshotReceiver {
    const { group, options, wal, link, rawNode, teller, whenApplied } = this.parts;
    return new SnapshotReceiver({
      group,
      rawNode,
      wal,
      tickMs: options.tickMs,
      windowBytes,
      openLane: (peer, events) => link.openSnapshotLane!(peer, events),
      whenApplied,
      onBegin: (from, metadata) => this.receiving(from, metadata),
      onFailed: (from, metadata, error) => this.notReceived(from, metadata, error),
      onLost: (from, { index }, why) => {
        const text = `the snapshot at index ${index} of node ${from} does not come: ${why}`;
        teller.info({ peer: from, index }, text, `lost ${from}`);
      },
    });
  }

  private progressOf(id: number) {
    const { raft } = this.parts.rawNode;
    return raft.state === StateLeader ? raft.trk.progress.get(id) : undefined;
  }

  // ---- for the driver

  /** Whether it is to be told what is applied: the state machine can give snapshots. */
  get counts(): boolean {
    return this.parts.options.stateMachine.snapshot !== undefined;
  }

  tick(): void {
    this.own.tick();
    this.sender.tick();
    this.receiver.tick();
  }

  /**
   * A connection with `to` was opened: its snapshot is named again, since what either side said of it may be lost with another
   * connection. A member that fetches it goes on, one that has it says so again, and one that never heard of it begins.
   */
  pathOpened(to: number): void {
    const { rawNode, control, link, group } = this.parts;
    const metadata = this.sender.underWay(to);
    if (metadata === null || rawNode.raft.state !== StateLeader) return;
    const message = new Message(MsgSnap);
    message.from = rawNode.raft.id;
    message.to = to;
    message.term = rawNode.raft.term;
    message.snapshot = { data: NO_DATA, metadata };
    control(() => link.send(group, [message]));
  }

  /** A MsgSnap of the core's for another member. False: it cannot be sent. */
  send(message: Message): boolean {
    const { to } = message;
    const { metadata } = message.snapshot!;
    const { index } = metadata;
    const why = this.whyUnsent();
    if (why !== null) {
      this.lacks(to, index, "warn", `${why}: it stays behind`);
      return false;
    }
    // It became a member later, and would not take a state in which it is none: it is in the next snapshot.
    if (!confStateHas(metadata.confState, to)) {
      const next = `it gets the next snapshot, as it is no member in the one at index ${index}`;
      this.lacks(to, index, "info", next);
      this.own.replace();
      return false;
    }
    const named = this.sender.begin(to, metadata);
    message.snapshot = { data: NO_DATA, metadata: named };
    this.lacks(to, named.index, "info", `it gets the snapshot at index ${named.index}`);
    return true;
  }

  /**
   * The newest one's file is damaged. Another has to be of a later index: where nothing was applied since, the leader, who
   * alone sends snapshots, writes an entry that says nothing. Where a change of members is to be applied, that will do.
   */
  private replaceUnsound(): void {
    this.own.replace();
    this.parts.control((rawNode) => {
      if (rawNode.raft.state === StateLeader && rawNode.raft.raftLog.applied === this.own.last?.index)
        proposeNothing(rawNode);
    });
  }

  /** Null: snapshots are sent. A state machine that gives none may have one that its log was begun behind, by hand. */
  private whyUnsent(): string | null {
    const { link, options } = this.parts;
    if (options.stateMachine.snapshot === undefined)
      return "option stateMachine has no snapshot(), so that none is sent";
    return link.openSnapshotLane === undefined ? "option link cannot send snapshots" : null;
  }

  /** A MsgSnap of a leader's, that passed the door. */
  receive(message: Message): void {
    const { options, link, teller } = this.parts;
    if (options.stateMachine.restore !== undefined && link.openSnapshotLane !== undefined) {
      this.receiver.receive(message);
      return;
    }
    this.unfit++;
    const why =
      options.stateMachine.restore === undefined
        ? "option stateMachine has no restore(stream) to take it"
        : "option link has no openSnapshotLane to fetch it with";
    const text = `node ${message.from} sends a snapshot, and this node stays behind: ${why}`;
    teller.warn({ peer: message.from }, text, `unfit ${message.from}`);
  }

  /** The core took it, and log and state machine have it. */
  installed({ index, term }: SnapshotMetadata, bytes: number): void {
    const { teller, announce } = this.parts;
    this.own.installed({ index, term, bytes });
    const from = this.sentBy;
    const text = `the snapshot at index ${index} (${bytes} bytes) of node ${from} is this node's state now`;
    teller.info({ peer: from, index, term, bytes }, text);
    announce({ index, term, bytes, from, error: null });
  }

  leaderChanged(): void {
    this.lacking.clear();
  }

  /** The node ends. */
  end(error: RaftmarkError): void {
    this.own.end(error);
    this.sender.endAll();
    this.receiver.end();
  }

  // ---- for status and metrics

  /** Members whose next entries the log has no more, ascending; none unless this node leads. */
  waiting(): number[] {
    if (this.lacking.size === 0) return [];
    const first = this.parts.rawNode.raft.raftLog.firstIndex();
    const waits = (id: number): boolean => (this.progressOf(id)?.match ?? first) + 1 < first;
    return [...this.lacking].filter(waits).sort((a, b) => a - b);
  }

  get counters() {
    const { own, sender, receiver } = this;
    return {
      snapshotsTaken: own.taken,
      snapshotsFailed: own.failed,
      snapshotBytes: own.bytes,
      snapshotsSent: sender.sent,
      snapshotBytesSent: sender.bytesSent,
      snapshotsReceived: receiver.received,
      snapshotBytesReceived: receiver.bytesReceived,
      snapshotsRefused: receiver.failed + this.unfit,
    };
  }

  // ---- what people are told

  private taken({ index, term, bytes }: SnapshotTaken, ms: number): void {
    const text = `a snapshot at index ${index} is taken (${bytes} bytes)`;
    this.parts.teller.info({ index, term, bytes, ms: Math.round(ms) }, text, "snapshot taken");
    this.parts.announce({ index, term, bytes, from: 0, error: null });
  }

  private failed({ index, term }: SnapshotMetadata, error: RaftmarkError, retryMs: number): void {
    const again = retryMs > 0 ? `; the next try is in ${retryMs / 1000} s` : "";
    const text = `the snapshot at index ${index} failed: ${error.message}. The node goes on${again}`;
    this.parts.teller.warn({ code: error.code, index, err: error }, text, "snapshot failed");
    this.parts.announce({ index, term, bytes: 0, from: 0, error });
  }

  private owed(index: number, bytes: number, ms: number): void {
    const text =
      `the snapshot at index ${index} waits for the state machine: what stateMachine.snapshot() returned has given ` +
      `nothing for ${Math.round(ms / 1000)} s, after ${bytes} bytes. Until it does, no other is taken, and the log grows`;
    this.parts.teller.warn({ index, bytes, ms }, text);
  }

  /** `to` needs a snapshot, that at `index`; told once, with `what` comes of it. */
  private lacks(to: number, index: number, level: "info" | "warn", what: string): void {
    if (this.lacking.has(to)) return;
    this.lacking.add(to);
    const text = `node ${to} needs entries that this node's log has no more: ${what}`;
    this.parts.teller[level]({ peer: to, index }, text, `lacking ${to}`);
  }

  private transferEnded(to: number, index: number, why: string | null): void {
    const { teller, control, rawNode } = this.parts;
    if (why === null) teller.info({ peer: to, index }, `node ${to} has the snapshot at index ${index}`);
    else if (rawNode.raft.state === StateLeader) {
      const text = `node ${to} did not get the snapshot at index ${index}: ${why}; it is sent again when that node is heard`;
      teller.warn({ peer: to, index }, text, `unsent ${to}`);
    }
    control((rawNode) => rawNode.reportSnapshot(to, why !== null));
  }

  private receiving(from: number, { index, term }: SnapshotMetadata): void {
    this.sentBy = from;
    const text = `this node is behind the log of node ${from}, and fetches its snapshot at index ${index}`;
    this.parts.teller.info({ peer: from, index, term }, text, `fetching ${from}`);
  }

  private notReceived(from: number, { index, term }: SnapshotMetadata, error: RaftmarkError): void {
    const text = `the snapshot at index ${index} of node ${from} was not received: ${error.message}. The node goes on`;
    this.parts.teller.warn({ peer: from, code: error.code, index }, text, `not received ${from}`);
    this.parts.announce({ index, term, bytes: 0, from, error });
  }
}
