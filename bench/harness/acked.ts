// The journal of acknowledged proposals: what the truth check holds the logs against. Kept in runs, because a closed
// loop is acknowledged in order: sequence and index both step by one, so a run says it all in 32 bytes, and writing
// them while the bench runs costs the disk nothing.
//
// File: header of 8 u32 (magic, version, run id, client, 4 x 0), then runs of 4 f64 (seq, index, term, count).
import { closeSync, openSync, readFileSync, writeSync } from "node:fs";
import { assert } from "../../src/base/assert.js";

const MAGIC = 0x6b636172; // "rack"
const VERSION = 1;
const HEADER_BYTES = 32;
const RUN_BYTES = 32;

/** `count` proposals from (seq, index) on, both stepping by one, acknowledged in `term`. */
export interface AckedRun {
  readonly seq: number;
  readonly index: number;
  readonly term: number;
  readonly count: number;
}

export interface AckedJournal {
  readonly runId: number;
  readonly client: number;
  readonly runs: readonly AckedRun[];
}

/** Appends to one journal file. Acknowledgements since the last flush are lost if the process is killed. */
export class AckedWriter {
  private readonly fd: number;
  private readonly finished: number[] = [];
  private seq = 0;
  private index = 0;
  private term = 0;
  private count = 0;
  /** Acknowledgements so far. */
  total = 0;

  constructor(path: string, runId: number, client: number) {
    this.fd = openSync(path, "wx", 0o600);
    const header = new Uint32Array(HEADER_BYTES / 4);
    header.set([MAGIC, VERSION, runId, client]);
    writeSync(this.fd, new Uint8Array(header.buffer));
  }

  // hot
  add(seq: number, index: number, term: number): void {
    this.total++;
    const continues =
      seq === this.seq + this.count && index === this.index + this.count && term === this.term;
    if (this.count > 0 && continues) {
      this.count++;
      return;
    }
    this.endRun();
    this.seq = seq;
    this.index = index;
    this.term = term;
    this.count = 1;
  }

  private endRun(): void {
    if (this.count > 0) this.finished.push(this.seq, this.index, this.term, this.count);
    this.count = 0;
  }

  flush(): void {
    this.endRun();
    if (this.finished.length === 0) return;
    const bytes = new Uint8Array(Float64Array.from(this.finished).buffer);
    const written = writeSync(this.fd, bytes);
    assert(written === bytes.length, "the journal of acknowledgements is written in full");
    this.finished.length = 0;
  }

  close(): void {
    this.flush();
    closeSync(this.fd);
  }
}

/** Reads a journal; a run cut short by a kill at its end is left out. Throws if it is no journal. */
export function readAcked(path: string): AckedJournal {
  const file = readFileSync(path);
  const bytes = new Uint8Array(file);
  if (bytes.length < HEADER_BYTES) throw new Error(`${path}: too short for a journal of acknowledgements`);
  const header = new Uint32Array(bytes.buffer, 0, HEADER_BYTES / 4);
  if (header[0] !== MAGIC || header[1] !== VERSION)
    throw new Error(`${path}: not a journal of acknowledgements`);
  const whole = Math.floor((bytes.length - HEADER_BYTES) / RUN_BYTES);
  const columns = new Float64Array(bytes.buffer, HEADER_BYTES, whole * 4);
  const runs: AckedRun[] = [];
  for (let i = 0; i < columns.length; i += 4) {
    runs.push({ seq: columns[i], index: columns[i + 1], term: columns[i + 2], count: columns[i + 3] });
  }
  return { runId: header[2], client: header[3], runs };
}
