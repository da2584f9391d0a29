// The program of a node process: the real engine under the harness's control.
import { RaftNode } from "../../src/index.js";
import { runAgent } from "./node-agent.js";

runAgent((options) => RaftNode.open(options));
