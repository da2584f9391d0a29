// Room for long lines that clients who watch have not read yet, of all of them together: each may be slow with one of
// the largest value. Who finds none waits, keeping nothing meanwhile, and not for long. While somebody waits, a client
// that reads nothing is cut off: only that frees what is on its way to it, and it goes on from the last index that it
// has, as after any cut.

/** Bytes of lines that are begun and not read. The last that finds room may go beyond. */
const BYTES_MAX = 64 << 20;
/** Between two looks at who reads. */
const LOOK_MS = 4000;
/** Who waits at so many of them is told to ask elsewhere. */
const LOOKS_MAX = 3;

/** A client that watches. */
export interface Reader {
  /** Of its line; 0: it has none that is begun. */
  held: number;
  /** Something of it, since the last look. */
  hasRead: boolean;
  /** Something is on its way to the client, and waits for it. */
  readonly isWaitedFor: boolean;
  cut(): void;
}

interface Waiting {
  readonly reader: Reader;
  readonly bytes: number;
  looks: number;
  readonly go: () => void;
}

export class LineRoom {
  private readonly bytesMax: number;
  private readonly lookMs: number;
  private held = 0;
  private readonly holders = new Set<Reader>();
  /** Whoever came first goes first. */
  private readonly waiting = new Set<Waiting>();
  /** Not null as long as somebody waits. */
  private timer: NodeJS.Timeout | null = null;

  constructor(bytesMax = BYTES_MAX, lookMs = LOOK_MS) {
    this.bytesMax = bytesMax;
    this.lookMs = lookMs;
  }

  /** False: there is none, or others came before. */
  take(reader: Reader, bytes: number): boolean {
    if (this.held >= this.bytesMax || this.waiting.size > 0) return false;
    this.give(reader, bytes);
    return true;
  }

  /** Resolves when the room is taken, as `held` shows; or when there was none for long, or the signal aborts. */
  wait(reader: Reader, bytes: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const go = (): void => {
        signal.removeEventListener("abort", go);
        this.waiting.delete(waiting);
        resolve();
      };
      const waiting = { reader, bytes, looks: 0, go };
      signal.addEventListener("abort", go);
      this.waiting.add(waiting);
      this.timer ??= setInterval(this.look, this.lookMs).unref();
    });
  }

  /** Its line is read, or nobody reads it any more. */
  release(reader: Reader): void {
    this.held -= reader.held;
    reader.held = 0;
    this.holders.delete(reader);
    for (const { reader: next, bytes, go } of this.waiting) {
      if (this.held >= this.bytesMax) return;
      this.give(next, bytes);
      go();
    }
  }

  private give(reader: Reader, bytes: number): void {
    reader.held = bytes;
    reader.hasRead = true;
    this.held += bytes;
    this.holders.add(reader);
  }

  private readonly look = (): void => {
    if (this.waiting.size === 0) {
      clearInterval(this.timer!);
      this.timer = null;
      return;
    }
    for (const reader of this.holders) {
      if (reader.isWaitedFor && !reader.hasRead) reader.cut();
      reader.hasRead = false;
    }
    for (const waiting of this.waiting) if (++waiting.looks >= LOOKS_MAX) waiting.go();
  };
}
