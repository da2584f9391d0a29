// Snapshots of a large state while proposals come.
import { LONE_COMPILED_MS, type Scenario } from "../harness/scenario.js";

export const snapshotUnderLoad: Scenario = {
  name: "snapshot-under-load",
  question: "What do callers notice of snapshots?",
  explains:
    "From three tenths of the window to seven, every node takes one snapshot after the other of a state of so many MB, all at the same time and on one disk: the worst that can be. Told are how long one takes, and how many commits a second there are meanwhile and at which p99, against before and after. The state is there already as bytes: what your state machine takes to make them comes on top. The log is kept as a whole, so that it can be checked.",
  compares: "stateMb",
  axes: {
    full: { event: ["snapshots"], stateMb: [16, 256], inFlight: [64] },
    smoke: { event: ["snapshots"], stateMb: [1, 8], inFlight: [16] },
  },
  load: {
    full: { warmupMs: LONE_COMPILED_MS, durationMs: 10_000, rounds: 3 },
    smoke: { warmupMs: 100, durationMs: 1500, rounds: 1 },
  },
};
