// What happened in a world, as one number that two runs of a seed share, and, when asked for, in words: the last events
// of each node. Words cost time, so a world that failed is run again for them.
import { describeMessage, type Message } from "../../src/raft/index.js";
import type { Schedule } from "./schedule.js";

/** Events kept for each node. */
const LAST = 40;

export class Trace {
  events = 0;
  private hash = 0x811c9dc5;
  private readonly schedule: Schedule;
  /** By node; null: words are not asked for. */
  private readonly last: Map<number, string[]> | null;

  constructor(schedule: Schedule, words: boolean) {
    this.schedule = schedule;
    this.last = words ? new Map() : null;
  }

  /** 32 bits of everything so far, as eight hexadecimal digits. */
  get digest(): string {
    return (this.hash >>> 0).toString(16).padStart(8, "0");
  }

  mix(value: number): void {
    this.hash = Math.imul(this.hash ^ value, 0x01000193);
    this.hash ^= this.hash >>> 15;
  }

  /** An event of node `id`. */
  event(id: number, lane: string): void {
    this.events++;
    this.mix(this.schedule.now);
    this.mix(id * 256 + lane.length * 16 + lane.charCodeAt(0));
  }

  disk(id: number, op: string): void {
    this.mix(id * 256 + op.charCodeAt(0));
  }

  /** A frame: by its checksum, which covers all of it. */
  frame(from: number, to: number, bytes: Uint8Array): void {
    const end = bytes.length;
    this.mix(from * 64 + to);
    this.mix(bytes[end - 4] | (bytes[end - 3] << 8) | (bytes[end - 2] << 16) | (bytes[end - 1] << 24));
  }

  messages(from: number, messages: readonly Message[]): void {
    if (this.last === null) return;
    for (const message of messages) {
      const text = describeMessage(message);
      this.note(from, `sends ${text.length > 200 ? `${text.slice(0, 200)}...` : text}`);
    }
  }

  /** Something of node `id` worth a line. */
  note(id: number, what: string | (() => string)): void {
    if (this.last === null) return;
    const lines = this.last.get(id) ?? [];
    this.last.set(id, lines);
    lines.push(`${(this.schedule.now / 1000).toFixed(3)} ms  ${typeof what === "string" ? what : what()}`);
    if (lines.length > LAST) lines.shift();
  }

  /** The last events of each node, in the field's words. */
  describe(): string {
    if (this.last === null) return "";
    const nodes = [...this.last].sort(([a], [b]) => a - b);
    return nodes.map(([id, lines]) => `node ${id}\n  ${lines.join("\n  ")}`).join("\n");
  }
}
