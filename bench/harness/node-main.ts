// The program of a node process: the real engine under the harness's control.
import { RaftNode } from "../../src/index.js";
import { resolveOptions } from "../../src/node/options.js";
import { runAgent } from "./node-agent.js";

runAgent({ open: (options) => RaftNode.open(options), effective: resolveOptions });
