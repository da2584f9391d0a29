// What it costs that an acknowledged proposal survives a power cut.
import { type Scenario, STEADY_LOAD } from "../harness/scenario.js";

export const durability: Scenario = {
  name: "durability",
  question: "What does durability cost?",
  explains:
    "Direct and O_DSYNC writes, write and fdatasync, or no sync at all. The last is not safe and shows what the disk takes.",
  compares: "durability",
  axes: {
    full: { durability: ["o_direct", "o_dsync", "fdatasync", "none"], inFlight: [64, 1024] },
    smoke: { durability: ["o_direct", "none"], inFlight: [64] },
  },
  load: STEADY_LOAD,
};
