// A follower that was away while the log grew.
import { LONE_COMPILED_MS, type Scenario } from "../harness/scenario.js";

export const catchUp: Scenario = {
  name: "catch-up",
  question: "How long does a follower take that is far behind, and who notices?",
  explains:
    "A follower is stopped; when the log has grown by so much (1 GiB unless --log-mb says less), it starts again and catches up from the leader’s log, while the load goes on. Told are how long that takes, at how many MB/s, and how many commits a second the group does meanwhile, of those before and after. The load ends when it has caught up.",
  compares: "logMb",
  axes: {
    full: { event: ["catch-up"], logMb: [128, 1074], inFlight: [64], entryBytes: [1024] },
    smoke: { event: ["catch-up"], logMb: [2, 8], inFlight: [16], entryBytes: [1024] },
  },
  load: {
    full: { warmupMs: LONE_COMPILED_MS, durationMs: 300_000, rounds: 1 },
    smoke: { warmupMs: 100, durationMs: 20_000, rounds: 1 },
  },
};
