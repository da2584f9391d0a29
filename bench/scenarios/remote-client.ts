// The load inside the leader’s process, and in a client’s.
import { LONE_COMPILED_MS, type Scenario, STEADY_LOAD } from "../harness/scenario.js";

export const remoteClient: Scenario = {
  name: "remote-client",
  question: "What does a remote caller see?",
  explains:
    "The same load from inside the leader’s process, as a service that embeds the engine, and from another process that sends proposals over a WebSocket.",
  compares: "from",
  axes: {
    full: { from: ["leader", "client"], inFlight: [1, 64, 1024] },
    smoke: { from: ["leader", "client"], inFlight: [64] },
  },
  load: { ...STEADY_LOAD, full: { ...STEADY_LOAD.full, warmupMs: LONE_COMPILED_MS } },
};
