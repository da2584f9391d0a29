// The long forms, one part a call: see CONTRIBUTING.md. Arguments: the part, and options that change its plan.
import { parseArgs } from "node:util";
import { bounds } from "./bounds.js";
import { hostile } from "./hostile.js";
import { restart } from "./restart.js";

const MiB = 1 << 20;
/** The engine's. */
const DEFAULTS = { snapshotEveryBytes: 128 * MiB, segmentBytes: 64_000_000 };
const PARTS = ["bounds", "restart", "hostile"] as const;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    minutes: { type: "string", default: "10" },
    "away-s": { type: "string", default: "60" },
    "restart-every-s": { type: "string", default: "60" },
    dir: { type: "string" },
    gib: { type: "string", default: "10" },
    "state-mib": { type: "string", default: "10" },
    kill: { type: "boolean", default: false },
    connections: { type: "string", default: "1000" },
    seed: { type: "string", default: "1" },
    "in-flight": { type: "string", default: "256" },
    bytes: { type: "string", default: "1000" },
  },
});

const say = (line: string): void => console.log(line);
const stateBytes = Number(values["state-mib"]) * MiB;
const inFlight = Number(values["in-flight"]);
const rowBytes = Number(values.bytes);

async function run(part: (typeof PARTS)[number]): Promise<void> {
  say(`== ${part}`);
  if (part === "bounds") {
    await bounds({
      loadMs: Number(values.minutes) * 60_000,
      awayMs: Number(values["away-s"]) * 1000,
      restartEveryMs: Number(values["restart-every-s"]) * 1000,
      inFlight,
      rowBytes,
      stateBytes,
      ...DEFAULTS,
      growthMax: 96 * MiB,
      slowerMax: 3,
      timeoutMs: 120_000,
      dir: values.dir,
      say,
    });
  } else if (part === "restart") {
    const proposedBytes = Number(values.gib) * 1024 * MiB;
    const { kill } = values;
    const startMsMax = 2000;
    await restart({ proposedBytes, stateBytes, rowBytes, inFlight, ...DEFAULTS, startMsMax, kill, say });
  } else {
    const connections = Number(values.connections);
    await hostile({ connections, seed: Number(values.seed), inFlight: 16, growthMax: 64 * MiB, say });
  }
}

for (const part of PARTS) {
  if (positionals.length === 0 || positionals.includes(part)) await run(part);
}
for (const name of positionals) {
  if (!(PARTS as readonly string[]).includes(name))
    throw new Error(`part ${name}: there are ${PARTS.join(", ")}`);
}
