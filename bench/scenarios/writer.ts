// The writers at two entry sizes, one load.
import { type Scenario, STEADY_LOAD } from "../harness/scenario.js";

export const writer: Scenario = {
  name: "writer",
  question: "Where should the log be encoded and written?",
  explains:
    "On the main thread in TypeScript, there in WebAssembly, or in a worker. The worker pays where the main thread is the limit.",
  compares: "writer",
  axes: {
    full: { writer: ["inline-js", "inline-wasm", "pool-wasm"], entryBytes: [256, 4096], inFlight: [256] },
    smoke: { writer: ["inline-js", "inline-wasm", "pool-wasm"], inFlight: [64] },
  },
  load: STEADY_LOAD,
};
