// An engine that does nothing: every proposal is answered in the next turn of the event loop. A load on it shows what
// the harness itself costs, and the most it could ever measure.
import type { NodeMetrics, NodeStatus, Proposed, RaftmarkError } from "../../src/index.js";
import type { Engine } from "./engine.js";

/** Counters of an engine that has none. */
export const NO_METRICS: NodeMetrics = {
  proposals: 0,
  proposalsForwarded: 0,
  applied: 0,
  turns: 0,
  readies: 0,
  preVotesStarted: 0,
  electionsStarted: 0,
  electionsWon: 0,
  electionsLost: 0,
  leaderChanges: 0,
  messagesSent: 0,
  messagesReceived: 0,
  framesSent: 0,
  bytesSent: 0,
  bytesReceived: 0,
  framesDropped: 0,
  framesRefused: 0,
  snapshotsRefused: 0,
  snapshotsTaken: 0,
  snapshotsFailed: 0,
  snapshotBytes: 0,
  snapshotsSent: 0,
  snapshotBytesSent: 0,
  snapshotsReceived: 0,
  snapshotBytesReceived: 0,
  walSyncs: 0,
  walWrites: 0,
  walBytes: 0,
  walEntries: 0,
  walSyncSeconds: { bounds: [], counts: [0], sum: 0 },
  peers: [],
  eventLoopDelay: { meanMs: 0, p99Ms: 0, maxMs: 0 },
  link: "none",
};

export class NullEngine implements Engine {
  onFault: (error: RaftmarkError) => void = () => {};
  readonly metrics = NO_METRICS;
  private waiting: ((value: Proposed) => void)[] = [];
  private waitingMany: (() => void)[] = [];
  private index = 0;

  propose(_bytes: Uint8Array): Promise<Proposed> {
    if (this.waiting.length === 0) setImmediate(this.answer);
    return new Promise((resolve) => this.waiting.push(resolve));
  }

  proposeMany({ length }: readonly Uint8Array[]): Promise<Proposed[]> {
    if (this.waitingMany.length === 0) setImmediate(this.answerMany);
    return new Promise((resolve) => this.waitingMany.push(() => resolve(Array.from({ length }, this.next))));
  }

  private readonly next = (): Proposed => ({ index: ++this.index, term: 1, result: undefined });

  private readonly answer = (): void => {
    const { waiting } = this;
    this.waiting = [];
    for (const resolve of waiting) resolve({ index: ++this.index, term: 1, result: undefined });
  };

  private readonly answerMany = (): void => {
    const { waitingMany } = this;
    this.waitingMany = [];
    for (const answer of waitingMany) answer();
  };

  async readBarrier(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
  }

  campaign(): void {}

  transferLeadership(): void {}

  status(): NodeStatus {
    const { index } = this;
    return {
      id: 0,
      term: 1,
      vote: 0,
      commit: index,
      applied: index,
      lastIndex: index,
      state: "StateLeader",
      leader: 0,
      members: [],
      isJoint: false,
      disk: { durability: "none", silent: false, stalls: 0, appendLatencyMaxMs: 0, warnings: 0 },
      log: { firstIndex: 1, bytes: 0, ringBytes: 0, ringBytesMax: 0, backlogBytes: 0 },
      snapshot: null,
      receivingSnapshot: null,
      waitingForSnapshot: [],
      takingSnapshot: null,
      sendingSnapshots: [],
      progress: [],
      lostLogs: [],
      obstacles: [],
      fault: null,
    };
  }

  async close(): Promise<void> {}
}
