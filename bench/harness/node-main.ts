// The program of a node process: the real engine under the harness's control.
import { engineFrom } from "./engine-from.js";
import { runAgent } from "./node-agent.js";

runAgent(await engineFrom(process.env));
