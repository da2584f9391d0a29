// What going on while the disk writes is worth.
import type { Scenario } from "../harness/scenario.js";

export const storageWrites: Scenario = {
  name: "storage-writes",
  question: "What are asynchronous storage writes worth?",
  explains:
    "Sync: a node takes no further Ready until its last append is durable, as the simple loop around etcd raft does. Async: appends queue up and responses leave as each becomes durable.",
  compares: "storageWrites",
  axes: {
    full: { storageWrites: ["async", "sync"], inFlight: [64, 1024] },
    smoke: { storageWrites: ["async", "sync"], inFlight: [64] },
  },
  load: {
    full: { warmupMs: 2000, durationMs: 2000, rounds: 3 },
    smoke: { warmupMs: 100, durationMs: 250, rounds: 1 },
  },
};
