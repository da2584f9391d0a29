// Takes a snapshot that the core has agreed to into the log and the state machine. Appends behind it wait until its
// record is durable. The notice that the snapshot is stored waits until the state machine has the state, because the
// core hands out nothing to apply before that notice. Everything else goes on, so that the core never holds entries
// that the log already has, however long this takes. Main thread.
import { assert } from "../base/assert.js";
import type { Message, Snapshot, SnapshotMetadata } from "../raft/index.js";
import type { SnapshotStream, Wal } from "../wal/index.js";

export interface InstallParts {
  readonly wal: Wal;
  /** Resolves with the bytes of the state. */
  readonly restore: (stream: SnapshotStream) => Promise<number>;
  /** Hands a MsgStorageAppend without a snapshot to the log. */
  readonly append: (message: Message) => void;
  /** Steps the notice that a snapshot is stored. */
  readonly step: (message: Message) => void;
  /** The state machine has the state at metadata.index, of so many bytes. */
  readonly restored: (metadata: SnapshotMetadata, bytes: number) => void;
  /** The node has ended: the state machine is its owner's again. */
  readonly hasEnded: () => boolean;
  /** It cannot go on. */
  readonly failed: (cause: unknown, what: string) => void;
}

export class SnapshotInstall {
  private readonly parts: InstallParts;
  /** Its record is not durable yet. */
  private recording = false;
  /** From the record to the state machine's end. */
  busy = false;
  private appends: Message[] = [];
  private notice: Message | null = null;

  constructor(parts: InstallParts) {
    this.parts = parts;
  }

  /** True: this MsgStorageAppend is, or waits for, a snapshot; it is handed to append() later. */
  // hot
  takesAppend(message: Message): boolean {
    if (message.snapshot === null && !this.recording && this.appends.length === 0) return false;
    if (this.busy) this.appends.push(message);
    else void this.begin(message, message.snapshot!);
    return true;
  }

  /** True: this is the notice that the snapshot is stored, and waits for the state machine; it is stepped later. */
  // hot
  takesStep(message: Message): boolean {
    if (message.snapshot === null || !this.busy) return false;
    this.notice = message;
    return true;
  }

  private async begin(message: Message, { metadata }: Snapshot): Promise<void> {
    this.busy = true;
    this.recording = true;
    try {
      await this.parts.wal.recordSnapshot(metadata);
      this.recording = false;
      message.snapshot = null;
      this.parts.append(message);
      this.appendHeld();
      await this.restore(metadata);
    } catch (cause) {
      this.failed(cause);
      return;
    }
    this.busy = false;
    const { notice } = this;
    this.notice = null;
    if (notice !== null) this.parts.step(notice);
    this.appendHeld();
  }

  /** Up to the next one with a snapshot, which begins when this one has ended. */
  private appendHeld(): void {
    while (this.appends.length > 0) {
      const [message] = this.appends;
      if (message.snapshot !== null && this.busy) return;
      this.appends.shift();
      if (message.snapshot === null) this.parts.append(message);
      else {
        void this.begin(message, message.snapshot);
        return;
      }
    }
  }

  private failed(cause: unknown): void {
    const what = this.recording ? "a leader's snapshot could not be recorded" : "stateMachine.restore threw";
    this.parts.failed(cause, what);
  }

  private async restore(metadata: SnapshotMetadata): Promise<void> {
    const stream = await this.parts.wal.openSnapshot(metadata.index);
    assert(stream !== null, "the snapshot that was recorded is gone");
    let bytes: number;
    try {
      if (this.parts.hasEnded()) return;
      bytes = await this.parts.restore(stream);
    } finally {
      await stream.close();
    }
    // With what the file says beside what the message said.
    this.parts.restored(stream.metadata, bytes);
  }
}
