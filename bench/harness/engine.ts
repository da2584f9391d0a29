// What the bench needs of the thing it measures. RaftNode fits it; tests put a stand-in of known behaviour here.
import type { NodeMetrics, NodeStatus, Proposed, RaftmarkError, RaftNodeOptions } from "../../src/index.js";

export interface Engine {
  onFault: (error: RaftmarkError) => void;
  propose(bytes: Uint8Array): Promise<Proposed>;
  campaign(): void;
  transferLeadership(id: number): void;
  status(): NodeStatus;
  readonly metrics: NodeMetrics;
  close(): Promise<void>;
}

/** Opens a node, or the stand-in for one. */
export type OpenEngine = (options: RaftNodeOptions) => Promise<Engine>;
