// A node that starts again on a log of known size.
import type { Scenario } from "../harness/scenario.js";

export const restart: Scenario = {
  name: "restart",
  question: "How long does a node take to start again on its log?",
  explains:
    "A cluster writes until its log has the size; a follower is stopped and opened again. Told are the time to open, the bytes read a second, and the time until it has applied everything.",
  compares: "logMb",
  axes: {
    full: { event: ["restart"], logMb: [16, 64, 256], entryBytes: [256] },
    smoke: { event: ["restart"], logMb: [1, 4], inFlight: [256], entryBytes: [1024] },
  },
  load: {
    full: { warmupMs: 0, durationMs: 60000, rounds: 3 },
    smoke: { warmupMs: 0, durationMs: 10000, rounds: 1 },
  },
};
