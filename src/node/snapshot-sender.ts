// The end that has a snapshot: which members the core wants to have it, and the pieces that they ask for, sent at the
// pace of the option. While a snapshot is on its way, and until its member has caught up behind it, the log behind it
// is held. That goes on if another node leads meanwhile; the new leader in turn holds its own log behind the snapshot
// that comes from here. Main thread.
import { RaftmarkError, textOf } from "../base/errors.js";
import type { SnapshotLane } from "../link/index.js";
import type { SnapshotMetadata } from "../raft/index.js";
import type { SnapshotFile, Wal } from "../wal/index.js";
import type { SnapshotSending } from "./api.js";
import { Pace } from "./pace.js";
import {
  beginPiece,
  decodeSnapshotMessage,
  END,
  encodeGone,
  PIECE_HEAD_BYTES,
  type SnapshotName,
  sealPiece,
  TAKEN,
  UNSOUND,
  WAIT,
  WANT,
  type Wait,
  type Want,
} from "./snapshot-wire.js";

/** How long a member may be without a connection for its snapshot before that counts as failed. */
const SILENT_MS = 5_000;
/** A member that has its snapshot, and is not heard for so long, holds no log any more. */
const AWAY_MS = 10_000;
/** A member that comes no nearer to its end for so long is stuck. */
const STUCK_MS = 10_000;
/**
 * Log that is held for a member that is stuck, in snapshotCatchUpBytes or in bytes of its snapshot, whichever is more. For
 * one that comes nearer it is held whatever it takes: it would need another snapshot, and the group writes on meanwhile.
 */
const HOLD_FACTOR = 8;

type SnapshotId = Pick<SnapshotName, "index" | "term">;

export interface SenderParts {
  readonly group: number;
  readonly wal: Wal;
  readonly tickMs: number;
  /** Most bytes of one piece. */
  readonly pieceBytes: number;
  readonly bytesPerS: number;
  /** The option's. */
  readonly snapshotCatchUpBytes: number;
  /** The transfer to `to` is over: for the core, and for people. */
  readonly onEnd: (to: number, of: SnapshotId, why: string | null) => void;
  /** The file on this node's disk is damaged: another snapshot is to be taken. */
  readonly onUnsound: () => void;
  /** Progress.match of `to`; -1: it is not heard, or this node does not lead; null: it is no member. */
  readonly matchOf: (to: number) => number | null;
}

/** One snapshot for one member. */
class Transfer {
  readonly to: number;
  readonly metadata: SnapshotMetadata;
  /** The member gets this one from another node, and needs the log behind it. Null: it gets this one from here. */
  elsewhere: SnapshotId | null = null;
  file: SnapshotFile | null = null;
  /** 0: not known yet. */
  fileBytes = 0;
  lane: SnapshotLane | null = null;
  /** What is sent next, and up to where the member has room. */
  at = 0;
  limit = 0;
  pumping = false;
  /** The member has the snapshot; the log is held until it has caught up. */
  done = false;
  /** The member's log has all up to here. */
  match = 0;
  silentTicks = 0;
  /** The least that it lacked so far, in bytes of the file, or later in entries of the log; and for how many ticks. */
  private lacked = Infinity;
  private stuckTicks = 0;
  ended = false;

  constructor(to: number, metadata: SnapshotMetadata) {
    this.to = to;
    this.metadata = metadata;
  }

  /** A tick passed; `last`: of the log. */
  tick(last: number): void {
    if (this.fileBytes === 0) return;
    const lacks = this.done ? last - this.match : this.fileBytes - this.at;
    this.stuckTicks = lacks < this.lacked ? 0 : this.stuckTicks + 1;
    this.lacked = Math.min(this.lacked, lacks);
  }

  /** Which one the member says something of. */
  get expected(): SnapshotId {
    return this.elsewhere ?? this.metadata;
  }

  /** It comes from elsewhere, or from here again. */
  turn(elsewhere: SnapshotId | null): void {
    if (this.elsewhere?.index === elsewhere?.index) return;
    this.elsewhere = elsewhere;
    this.lacked = Infinity;
    this.stuckTicks = 0;
  }

  taken(): void {
    this.done = true;
    this.lacked = Infinity;
    this.stuckTicks = 0;
  }

  isStuck(tickMs: number): boolean {
    return this.stuckTicks * tickMs > STUCK_MS;
  }

  /** Entries behind it are wanted. */
  get heldFrom(): number {
    return Math.max(this.expected.index, this.match);
  }
}

export class SnapshotSender {
  private readonly parts: SenderParts;
  private readonly pace: Pace;
  private readonly transfers = new Map<number, Transfer>();
  /** Snapshots that members took. */
  sent = 0;
  /** Of the files' pieces, those that were sent again included. */
  bytesSent = 0;

  constructor(parts: SenderParts) {
    this.parts = parts;
    this.pace = new Pace(parts.bytesPerS);
  }

  /** The core sends `to` this one. Returns which one is to be named instead: that which is on its way. */
  begin(to: number, metadata: SnapshotMetadata): SnapshotMetadata {
    const before = this.transfers.get(to);
    if (before !== undefined && this.goesOn(before, metadata)) return before.metadata;
    if (before !== undefined) this.drop(before);
    const transfer = new Transfer(to, metadata);
    this.transfers.set(to, transfer);
    this.hold();
    // Opens the file, which stays open, also if newer snapshots take its place.
    void this.pump(transfer);
    return metadata;
  }

  /** It began when this node led before, and will do. */
  private goesOn({ to, metadata, done, elsewhere }: Transfer, { index }: SnapshotMetadata): boolean {
    if (done || elsewhere !== null) return false;
    return (
      metadata.index === index || (this.leadsOn(metadata) && (this.parts.matchOf(to) ?? 0) < metadata.index)
    );
  }

  /** The log has what follows it. */
  private leadsOn({ index }: SnapshotId): boolean {
    return this.parts.wal.storage.firstIndex() <= index + 1;
  }

  /** A message of a member that fetches. False: no member sends such a message. */
  onMessage(from: number, bytes: Uint8Array, lane: SnapshotLane): boolean {
    const message = decodeSnapshotMessage(bytes);
    if (message === null || message.group !== this.parts.group) return false;
    const { kind } = message;
    if (kind !== WANT && kind !== WAIT && kind !== END) return false;
    const one = this.transfers.get(from);
    const transfer = one === undefined || one.done ? null : one;
    if (kind === WANT) {
      if (transfer !== null && isSame(transfer.metadata, message)) this.wanted(transfer, message, lane);
      else lane.send(encodeGone(message));
    } else if (transfer !== null) {
      if (kind === WAIT) this.waits(transfer, message, lane);
      else if (isSame(transfer.expected, message)) this.memberEnded(transfer, message.how);
    }
    return true;
  }

  /** The connection is gone; the member opens another, or none. */
  onClosed(from: number, lane: SnapshotLane): void {
    const transfer = this.transfers.get(from);
    if (transfer?.lane === lane) transfer.lane = null;
  }

  /** The snapshot that `to` is being sent; null: none, or it has it, or is no member any more. */
  underWay(to: number): SnapshotMetadata | null {
    const transfer = this.transfers.get(to);
    if (transfer === undefined || transfer.done || transfer.elsewhere !== null) return null;
    if (this.parts.matchOf(to) === null) return null;
    return transfer.metadata;
  }

  private wanted(transfer: Transfer, { from, to, anew }: Want, lane: SnapshotLane): void {
    transfer.silentTicks = 0;
    if (transfer.lane !== lane || anew) transfer.at = from;
    transfer.turn(null);
    transfer.lane = lane;
    transfer.limit = to;
    void this.pump(transfer);
  }

  private waits(transfer: Transfer, message: Wait, lane: SnapshotLane): void {
    if (!this.leadsOn(message)) {
      lane.send(encodeGone(message));
      return;
    }
    const { index, term, received } = message;
    transfer.silentTicks = 0;
    transfer.turn({ index, term });
    transfer.lane = lane;
    transfer.at = received;
    transfer.limit = received;
    this.hold();
  }

  /** Sends pieces as long as the member has room for them. */
  private async pump(transfer: Transfer): Promise<void> {
    if (transfer.pumping) return;
    transfer.pumping = true;
    try {
      await this.open(transfer);
      while (await this.sendPiece(transfer)) {
        // All is done in the condition.
      }
    } catch (cause) {
      if (cause instanceof RaftmarkError && cause.code === "WAL_CORRUPT") this.parts.onUnsound();
      this.end(transfer, textOf(cause));
    } finally {
      transfer.pumping = false;
    }
  }

  private async open(transfer: Transfer): Promise<void> {
    if (transfer.file !== null || transfer.ended) return;
    const file = await this.parts.wal.openSnapshotFile(transfer.metadata.index);
    if (file === null) throw new Error("it is not there any more");
    transfer.file = file;
    transfer.fileBytes = file.bytes;
    if (transfer.ended) await file.close();
  }

  /** False: nothing can be sent now. */
  private async sendPiece(transfer: Transfer): Promise<boolean> {
    const { file, lane, at } = transfer;
    if (file === null || lane === null || transfer.ended || transfer.done) return false;
    const size = Math.min(this.parts.pieceBytes, file.bytes - at, transfer.limit - at);
    if (size <= 0) return false;
    await this.pace.wait(size);
    if (transfer.ended || transfer.done) return false;
    const { index, term } = transfer.metadata;
    const bytes = beginPiece({ group: this.parts.group, index, term }, file.bytes, at, size);
    await file.read(bytes.subarray(PIECE_HEAD_BYTES), at);
    // Meanwhile the member may have asked for another place, or be gone.
    if (transfer.ended || transfer.lane !== lane || transfer.at !== at) return true;
    sealPiece(bytes);
    if (!lane.send(bytes)) {
      transfer.lane = null;
      lane.close();
      return false;
    }
    this.bytesSent += size;
    transfer.at = at + size;
    return true;
  }

  /** Those under way, by ascending member; fileBytes -1: not known yet. */
  get progress(): SnapshotSending[] {
    const all = [...this.transfers.values()].filter(({ done, elsewhere }) => !done && elsewhere === null);
    return all
      .map(({ to, metadata, at, fileBytes }) => ({
        to,
        index: metadata.index,
        bytes: at,
        fileBytes: fileBytes || -1,
      }))
      .sort((a, b) => a.to - b.to);
  }

  private memberEnded(transfer: Transfer, how: number): void {
    const { elsewhere } = transfer;
    if (how !== TAKEN && elsewhere !== null) {
      // It asks for this one, or is silent.
      transfer.turn(null);
      transfer.lane = null;
      return;
    }
    if (how !== TAKEN) {
      if (how === UNSOUND) this.parts.onUnsound();
      this.end(transfer, how === UNSOUND ? "what arrived there is not sound" : "it did not take it");
      return;
    }
    transfer.taken();
    if (elsewhere === null) this.sent++;
    void transfer.file?.close();
    transfer.file = null;
    this.parts.onEnd(transfer.to, transfer.expected, null);
  }

  private end(transfer: Transfer, why: string | null): void {
    if (transfer.ended) return;
    this.drop(transfer);
    this.parts.onEnd(transfer.to, transfer.metadata, why);
  }

  private drop(transfer: Transfer): void {
    if (transfer.ended) return;
    transfer.ended = true;
    if (this.transfers.get(transfer.to) === transfer) this.transfers.delete(transfer.to);
    // A read that is under way ends first.
    const { file } = transfer;
    transfer.file = null;
    if (file !== null) void file.close();
    this.hold();
  }

  tick(): void {
    if (this.transfers.size === 0) return;
    const { tickMs, matchOf, wal } = this.parts;
    for (const transfer of [...this.transfers.values()]) {
      const match = matchOf(transfer.to);
      transfer.match = Math.max(transfer.match, match ?? 0);
      transfer.tick(wal.storage.lastIndex());
      if (match === null) this.giveUp(transfer);
      else if (transfer.done) this.tickDone(transfer, match);
      else if (transfer.lane === null && ++transfer.silentTicks * tickMs > SILENT_MS)
        this.fellSilent(transfer);
    }
    this.hold();
  }

  private fellSilent(transfer: Transfer): void {
    // It got another from elsewhere, or its word that it has this one was lost.
    const isThere = transfer.match >= transfer.metadata.index;
    this.end(transfer, isThere ? null : `it did not ask for it within ${SILENT_MS / 1000} s`);
  }

  private tickDone(transfer: Transfer, match: number): void {
    const snapshot = this.parts.wal.storage.snapshot();
    const newest = "metadata" in snapshot ? snapshot.metadata.index : 0;
    transfer.silentTicks = match === -1 ? transfer.silentTicks + 1 : 0;
    const isAway = transfer.silentTicks * this.parts.tickMs > AWAY_MS;
    if (isAway || match >= newest || !this.isHeldFor(transfer)) this.drop(transfer);
  }

  private isHeldFor(transfer: Transfer): boolean {
    const { tickMs, snapshotCatchUpBytes, wal } = this.parts;
    const bytesMax = HOLD_FACTOR * Math.max(snapshotCatchUpBytes, transfer.fileBytes);
    return !transfer.isStuck(tickMs) || wal.storage.logBytes <= bytesMax;
  }

  /** The log behind the one that is furthest behind stays. */
  private hold(): void {
    let index = Infinity;
    for (const transfer of this.transfers.values())
      if (this.isHeldFor(transfer)) index = Math.min(index, transfer.heldFrom);
    this.parts.wal.holdFrom(index);
  }

  /** The node ends. */
  endAll(): void {
    for (const transfer of [...this.transfers.values()]) this.giveUp(transfer);
  }

  private giveUp(transfer: Transfer): void {
    transfer.lane?.send(encodeGone({ group: this.parts.group, ...transfer.metadata }));
    this.drop(transfer);
  }
}

function isSame(one: SnapshotId, other: SnapshotId): boolean {
  return one.index === other.index && one.term === other.term;
}
