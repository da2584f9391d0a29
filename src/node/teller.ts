// What a node tells people: lines for the caller's logger, what nobody may miss also where nobody gave one. Whatever
// the logger does, the node goes on; a line of the same kind is not repeated endlessly. Main thread.
import type { Logger } from "./api.js";
import { callOutside } from "./outside.js";

/** A kind of line is told once, then at most once in a wait that doubles, from the first to the second of these. */
const WAIT_MS_MIN = 1_000;
const WAIT_MS_MAX = 600_000;
/** Kinds remembered; more than this, and all are forgotten. */
const KINDS_MAX = 1_000;

/** One kind of line. */
interface Kind {
  /** When the next may be told. */
  next: number;
  waitMs: number;
  /** Held back since the last one told. */
  held: number;
}

interface Line {
  readonly level: "info" | "warn" | "error";
  readonly fields: object;
  readonly text: string;
  readonly kind: string | undefined;
  readonly topic: string | undefined;
  /** On standard error, if there is no logger or it fails. */
  readonly isLoud: boolean;
}

export class Teller {
  private readonly id: number;
  private readonly logger: Logger | null;
  private readonly now: () => number;
  private readonly kinds = new Map<string, Kind>();
  /** By topic: the newest line of it that was held back, if it is newer than the last one told. */
  private readonly waiting = new Map<string, Line>();

  /** `now`: milliseconds, never falling. */
  constructor(id: number, logger: Logger | null, now: () => number = () => performance.now()) {
    this.id = id;
    this.logger = logger;
    this.now = now;
  }

  /** With a `topic`, of which each line says how it stands now: the newest is told later where it is held back. */
  info(fields: object, text: string, kind?: string, topic?: string): void {
    this.line({ level: "info", fields, text, kind, topic, isLoud: false });
  }

  warn(fields: object, text: string, kind?: string, topic?: string): void {
    this.line({ level: "warn", fields, text, kind, topic, isLoud: false });
  }

  /** On standard error, if there is no logger or it fails. */
  warnLoudly(fields: object, text: string, kind: string): void {
    this.line({ level: "warn", fields, text, kind, topic: undefined, isLoud: true });
  }

  /** A fault. On standard error, if there is no logger or it fails. */
  error(fields: object, text: string, kind?: string): void {
    this.line({ level: "error", fields, text, kind, topic: undefined, isLoud: true });
  }

  /** Time went on: what was held back, and is how things stand still, may be told now. */
  tick(): void {
    if (this.waiting.size === 0) return;
    for (const line of [...this.waiting.values()]) {
      if (this.now() >= (this.kinds.get(line.kind!)?.next ?? 0)) this.line(line);
    }
  }

  private line(line: Line): void {
    const { level, fields, text, kind, topic, isLoud } = line;
    const held = kind === undefined ? 0 : this.pass(kind);
    if (topic !== undefined) {
      if (held < 0) this.waiting.set(topic, line);
      else this.waiting.delete(topic);
    }
    if (held < 0) return;
    const { logger } = this;
    const all = held === 0 ? { node: this.id, ...fields } : { node: this.id, ...fields, repeated: held };
    const last = (): void => {
      if (isLoud) process.stderr.write(`raftmark: ${this.withName(text)}\n`);
    };
    if (logger === null) last();
    else callOutside(() => logger[level](all, text), last);
  }

  /** Some begin with it. */
  private withName(text: string): string {
    const name = `node ${this.id}`;
    return text.startsWith(`${name} `) ? text : `${name}: ${text}`;
  }

  /** How many of this kind were held back since the last; -1: hold this one back, too. */
  private pass(name: string): number {
    const now = this.now();
    const kind = this.kinds.get(name);
    // Quiet for ten waits, and it is news again.
    if (kind === undefined || now >= kind.next + 10 * kind.waitMs) {
      if (this.kinds.size >= KINDS_MAX) this.kinds.clear();
      this.kinds.set(name, { next: now + WAIT_MS_MIN, waitMs: WAIT_MS_MIN, held: 0 });
      return kind?.held ?? 0;
    }
    if (now < kind.next) {
      kind.held++;
      return -1;
    }
    const { held } = kind;
    kind.held = 0;
    kind.waitMs = Math.min(kind.waitMs * 2, WAIT_MS_MAX);
    kind.next = now + kind.waitMs;
    return held;
  }
}
