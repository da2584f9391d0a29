// How far a command is through its bytes, on stderr: one line that is rewritten on a terminal, plain lines elsewhere.
// Nothing at all for what is over at once.
import { clearLine, cursorTo } from "node:readline";
import { grouped } from "../../bench/report/numbers.js";

export interface ProgressStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

const SILENT_MS = 400;
const LIVE_EVERY_MS = 100;
const PLAIN_EVERY_MS = 2000;

export class ByteProgress {
  private readonly stream: ProgressStream;
  private readonly what: string;
  private readonly total: number;
  private readonly now: () => number;
  private readonly live: boolean;
  private readonly begun: number;
  private drawnAt: number;
  private drawn = false;

  /** `what`: what is done to the bytes, like "checking". */
  constructor(stream: ProgressStream, what: string, total: number, now = () => performance.now()) {
    this.stream = stream;
    this.what = what;
    this.total = total;
    this.now = now;
    this.live = stream.isTTY === true;
    this.begun = now();
    this.drawnAt = this.begun + (this.live ? SILENT_MS - LIVE_EVERY_MS : 0);
  }

  /** Call often; it decides when to say something. */
  at(done: number): void {
    const now = this.now();
    if (now - this.drawnAt < (this.live ? LIVE_EVERY_MS : PLAIN_EVERY_MS)) return;
    this.drawnAt = now;
    this.drawn = true;
    const line = this.line(done, now - this.begun);
    if (!this.live) {
      this.stream.write(`${line}\n`);
      return;
    }
    const terminal = this.stream as NodeJS.WritableStream;
    cursorTo(terminal, 0);
    this.stream.write(line.slice(0, (this.stream.columns || 80) - 1));
    clearLine(terminal, 1);
  }

  /** "checking: 1,204 of 4,300 MB (28 %), 812 MB/s, 4 s left". */
  private line(done: number, elapsedMs: number): string {
    const share = this.total === 0 ? 1 : done / this.total;
    const perS = (done / elapsedMs) * 1000;
    const left = perS === 0 ? "" : `, ${Math.ceil((this.total - done) / perS)} s left`;
    const bytes = `${grouped(done / 1e6)} of ${grouped(this.total / 1e6)} MB (${Math.floor(share * 100)} %)`;
    return `${this.what}: ${bytes}, ${grouped(perS / 1e6)} MB/s${left}`;
  }

  /** Takes the line off the terminal. */
  end(): void {
    if (!this.live || !this.drawn) return;
    const terminal = this.stream as NodeJS.WritableStream;
    cursorTo(terminal, 0);
    clearLine(terminal, 0);
  }
}
