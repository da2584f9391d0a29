// What sockets and processes cost.
import { type Scenario, STEADY_LOAD } from "../harness/scenario.js";

export const link: Scenario = {
  name: "link",
  question: "What do the sockets cost?",
  explains:
    "sockets: a process a node, frames over WebSockets; --link uws,ws compares what accepts them. memory: all nodes in one process over an in-memory link, each still with its own log, so that they share one main thread as well.",
  compares: "link",
  axes: {
    full: { link: ["sockets", "memory"], inFlight: [64, 1024] },
    smoke: { link: ["sockets", "memory"], inFlight: [64] },
  },
  load: STEADY_LOAD,
};
