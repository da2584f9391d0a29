// What it costs that nobody on the way can change a frame.
import { type Scenario, STEADY_LOAD } from "../harness/scenario.js";

export const frameTags: Scenario = {
  name: "frame-tags",
  question: "What do the tags of frames cost?",
  explains:
    "On: each frame between the processes carries a tag under a key of its connection, as it does by default and in every other scenario. Off: a CRC only, as will do on loopback and on a network that only the nodes use.",
  compares: "frameTags",
  axes: {
    full: { frameTags: ["on", "off"], inFlight: [1, 64, 1024] },
    smoke: { frameTags: ["on", "off"], inFlight: [64] },
  },
  load: STEADY_LOAD,
};
