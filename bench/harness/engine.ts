// What the bench needs of the thing it measures. RaftNode fits it; tests put a stand-in of known behaviour here.
import type {
  CloseOptions,
  MembershipChange,
  NodeMetrics,
  NodeStatus,
  Proposed,
  RaftmarkError,
  RaftNodeOptions,
} from "../../src/index.js";
import type { Trace } from "../../src/node/trace.js";

/** `missing`: counters that the engine does not keep, which read 0; absent: none. */
export type EngineMetrics = NodeMetrics & { readonly missing?: readonly string[] };

export interface Engine {
  onFault: (error: RaftmarkError) => void;
  propose(bytes: Uint8Array): Promise<Proposed>;
  /** Absent: it takes one proposal a call. */
  proposeMany?(batch: readonly Uint8Array[]): Promise<Proposed[]>;
  readBarrier(): Promise<void>;
  campaign(): void;
  transferLeadership(id: number): void;
  /** Absent: it takes none. */
  takeSnapshot?(): Promise<{ readonly index: number }>;
  /** Absent: its members stay who they are. */
  changeMembership?(change: MembershipChange): Promise<{ readonly index: number }>;
  status(): NodeStatus;
  readonly metrics: EngineMetrics;
  close(options?: CloseOptions): Promise<void>;
}

/** Where engines come from: RaftNode, or the stand-in for it. */
export interface EngineSource {
  open(options: RaftNodeOptions): Promise<Engine>;
  /** `options` with every default filled in. */
  effective(options: RaftNodeOptions): object;
  /** What its option `trace` takes: one entry in `every` is followed. */
  newTrace(every: number): Trace;
}
