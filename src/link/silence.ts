// Whether anything flows in a connection, at either end of it. Main thread.

/**
 * Sweeps (a quarter each of the time for which it may be silent) without a byte, not even the answer to a ping, before
 * giving up.
 */
const SILENT_SWEEPS_MAX = 4;

/** What is swept: a connection, or what is to become one. */
interface Swept {
  readonly bytesRead: number;
  ping(): void;
  terminate(): void;
}

export class SilenceWatch {
  private bytesRead = 0;
  private silentSweeps = 0;

  /**
   * Called every quarter of that time: gives up a connection in which nothing flows. Bytes count, not messages
   * or pongs: those may be a minute behind a large frame. The ping is a sign of life for the peer, too, which may hear
   * nothing else on this connection.
   */
  sweep(connection: Swept): void {
    const { bytesRead } = connection;
    this.silentSweeps = bytesRead === this.bytesRead ? this.silentSweeps + 1 : 0;
    this.bytesRead = bytesRead;
    if (this.silentSweeps > SILENT_SWEEPS_MAX) connection.terminate();
    else connection.ping();
  }
}
