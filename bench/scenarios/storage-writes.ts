// What going on while the disk writes is worth.
import { type Scenario, STEADY_LOAD } from "../harness/scenario.js";

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
  load: STEADY_LOAD,
};
