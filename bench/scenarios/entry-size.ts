// What a proposal of more bytes costs.
import { type Scenario, STEADY_LOAD } from "../harness/scenario.js";

export const entrySize: Scenario = {
  name: "entry-size",
  question: "What does the size of an entry cost?",
  explains:
    "From 16 bytes, where the cost is per proposal, to 64 KiB, where it is per byte: read proposals/s at the small end and MB/s at the large.",
  compares: "entryBytes",
  axes: {
    full: { entryBytes: [16, 256, 4096, 65536], inFlight: [256] },
    smoke: { entryBytes: [16, 4096], inFlight: [64] },
  },
  load: STEADY_LOAD,
};
