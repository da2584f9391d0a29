// When a node takes a snapshot, and how much log it keeps in front of it: the options, and the count against them. Pure.
import type { StateMachine } from "./api.js";
import { badOption } from "./option-errors.js";

const EVERY_BYTES_DEFAULT = 128 << 20;

/** The options of RaftNodeOptions, filled in; 0: none. */
export interface SnapshotPolicy {
  readonly snapshotEveryBytes: number;
  readonly snapshotEveryEntries: number;
  readonly snapshotCatchUpBytes: number;
}

/** Throws RAFT_BAD_OPTION for options that say when, where nothing is there to take one with, or to open one with. */
export function resolvePolicy(
  given: { readonly [name in keyof SnapshotPolicy]?: number | undefined } & {
    readonly stateMachine: StateMachine;
  },
): SnapshotPolicy {
  const { stateMachine } = given;
  if (stateMachine.snapshot === undefined) {
    for (const name of ["snapshotEveryBytes", "snapshotEveryEntries", "snapshotCatchUpBytes"] as const) {
      if (given[name] === undefined) continue;
      throw badOption(
        name,
        "stateMachine has no method snapshot() to take one with: add it, or leave this out",
      );
    }
  } else if (stateMachine.restore === undefined) {
    const text =
      "is missing: without it the node could not open again once stateMachine.snapshot() was called";
    throw badOption("stateMachine.restore", text);
  }
  const snapshotEveryBytes = given.snapshotEveryBytes ?? EVERY_BYTES_DEFAULT;
  return {
    snapshotEveryBytes,
    snapshotEveryEntries: given.snapshotEveryEntries ?? 0,
    snapshotCatchUpBytes: given.snapshotCatchUpBytes ?? (snapshotEveryBytes || EVERY_BYTES_DEFAULT),
  };
}

/** The log since the last snapshot, against what the options say. */
export class SnapshotDue {
  private readonly policy: SnapshotPolicy;
  private bytes = 0;
  private entries = 0;
  /** The same in front of the one that is being taken. */
  private bytesBefore = 0;
  private entriesBefore = 0;
  /** Bytes at which one is due; Infinity: never. */
  private bytesDue = Infinity;

  constructor(policy: SnapshotPolicy) {
    this.policy = policy;
    this.known(0);
  }

  /** So much was applied. True: one is due. */
  // hot
  add(entries: number, bytes: number): boolean {
    this.entries += entries;
    this.bytes += bytes;
    return this.isDue;
  }

  get isDue(): boolean {
    const { snapshotEveryEntries } = this.policy;
    return this.bytes >= this.bytesDue || (snapshotEveryEntries > 0 && this.entries >= snapshotEveryEntries);
  }

  /** One is being taken: what is applied from now on is behind it. */
  begin(): void {
    this.bytesBefore = this.bytes;
    this.entriesBefore = this.entries;
    this.bytes = 0;
    this.entries = 0;
  }

  /** It failed: what was before it still is not in any. */
  failed(): void {
    this.bytes += this.bytesBefore;
    this.entries += this.entriesBefore;
  }

  /** The last one had so many bytes. */
  known(lastBytes: number): void {
    const { snapshotEveryBytes } = this.policy;
    this.bytesDue = snapshotEveryBytes === 0 ? Infinity : Math.max(snapshotEveryBytes, lastBytes);
  }
}
