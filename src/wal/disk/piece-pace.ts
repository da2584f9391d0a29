// How much goes to a disk at once: what takes a tenth of a second of it. So nothing waits long behind it, and a disk that
// is slow is seen to answer, whatever there is to write.
import { BLOCK_BYTES } from "./direct.js";

const PIECE_MS = 100;
/** Below it the disk's latency counts, not its pace. */
const BYTES_MIN = 128 << 10;
/** Of a disk whose pace is not known yet. */
const BYTES_FIRST = 1 << 20;

export class PiecePace {
  private readonly bytesMax: number;
  /** Most of the next piece; whole blocks. */
  bytes = BYTES_FIRST;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  /** A piece was on its way to the disk for so long. */
  took(bytes: number, ms: number): void {
    if (bytes < BYTES_MIN) return;
    const most = Math.min((bytes * PIECE_MS) / ms, this.bytesMax);
    this.bytes = Math.max(BYTES_MIN, most - (most % BLOCK_BYTES));
  }
}
