// Linearizable reads among the writes.
import { type Scenario, STEADY_LOAD } from "../harness/scenario.js";

export const mixedReads: Scenario = {
  name: "mixed-reads",
  question: "What do linearizable reads cost, and what does the lease save?",
  explains:
    "Each caller writes, then reads so many times: readBarrier(), confirmed by a round of heartbeats to a quorum (safe) or by the leader’s lease, which trusts the clocks. The latency of reads is told apart.",
  compares: "reads",
  axes: {
    full: { reads: ["safe", "lease"], readsPerWrite: [1, 9], inFlight: [64] },
    smoke: { reads: ["safe", "lease"], readsPerWrite: [1], inFlight: [16] },
  },
  load: STEADY_LOAD,
};
