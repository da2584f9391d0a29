// The boundary between the WAL and whoever turns its ring into durable frames: a worker of the pool, or the main
// thread itself.

/** Told by a writer; always from the event loop. */
export interface WriterEvents {
  /** The news ring has something. */
  onNews(): void;
  /** A write or sync failed. The writer has stopped and holds nothing open. */
  onFailure(error: NodeJS.ErrnoException): void;
}

export interface Writer {
  /** Records were put into the ring that must become durable; never waits. */
  poke(): void;
  /** Fills the next segment ahead of need; at most one at a time, and its failure is only told. */
  prepare(): void;
  /** Writes what the ring holds, closes the segment and ends. What was put in before is durable then. */
  close(): Promise<void>;
}
