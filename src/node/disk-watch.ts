// Whether the disk of the log answers: a leader whose disk does not gives up, and nobody campaigns without one. Main thread.
import type { Wal } from "../wal/index.js";
import type { ResolvedOptions } from "./options.js";
import type { Teller } from "./teller.js";

/** Of a disk's silence one tick adds no more than a tick, nor than this share of diskTimeoutMs: the rest did not run. */
const SILENT_GAP = 1 / 4;

export interface DiskWatchParts {
  readonly wal: Wal;
  readonly diskTimeoutMs: number;
  readonly tickMs: number;
  /** It was found silent, for so long, on appends or reads that wait; or it answers again (0). */
  readonly onDisk: (silentMs: number) => void;
  readonly hasEnded: () => boolean;
}

export class DiskWatch {
  private readonly parts: DiskWatchParts;
  /** It has not answered for longer than diskTimeoutMs. */
  isSilent = false;
  /** How often it was found silent. */
  stalls = 0;

  constructor(parts: DiskWatchParts) {
    this.parts = parts;
  }

  /** A tick passed. */
  tick(): void {
    const { onDisk, diskTimeoutMs } = this.parts;
    const isSilent = this.silentMs > diskTimeoutMs;
    if (isSilent && !this.isSilent) setImmediate(this.confirm);
    if (isSilent || !this.isSilent) return;
    this.isSilent = false;
    onDisk(0);
  }

  private get silentMs(): number {
    const { wal, diskTimeoutMs, tickMs } = this.parts;
    return wal.silentMs(Math.min(tickMs, diskTimeoutMs * SILENT_GAP));
  }

  // Behind the poll for events: if it was this thread that did not listen, the answer is taken in by now.
  private readonly confirm = (): void => {
    const { diskTimeoutMs, onDisk, hasEnded } = this.parts;
    const { silentMs } = this;
    if (hasEnded() || this.isSilent || silentMs <= diskTimeoutMs) return;
    this.isSilent = true;
    this.stalls++;
    onDisk(silentMs);
  };
}

/** Says so; 0: it answers again. */
export function tellDisk(teller: Teller, { dir, diskTimeoutMs }: ResolvedOptions, silentMs: number): void {
  if (silentMs === 0) teller.info({ dir }, "the disk of the log answers again: this node takes part again");
  else {
    const text =
      "the disk of the log does not answer: this node leads no more, and does not campaign until it does";
    teller.warn({ dir, silentMs: Math.round(silentMs), diskTimeoutMs }, text);
  }
}
