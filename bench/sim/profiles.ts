// What may befall a simulated world, how often, and under which name a user chooses it.

/** Kinds of faults, each drawn while there is trouble; weather is drawn apart from them (`turn`). */
export const FAULTS = [
  "pause",
  "cut",
  "hold",
  "split",
  "slowPath",
  "narrowPath",
  "reconnect",
  "scatter",
  "turn",
  "transfer",
  "campaign",
  "kill",
  "powerLoss",
  "crashAtDisk",
  "crashInRecovery",
  "blackout",
  "restartStorm",
  "clockJump",
  "slowDisk",
  "hangingDisk",
  "failingDisk",
  "fullDisk",
  "bitFlip",
  "abort",
] as const;
export type Fault = (typeof FAULTS)[number];

export type Weights = Readonly<Record<Fault, number>>;

export interface Profile {
  readonly about: string;
  readonly weights: Weights;
  /** Whether frames may be lost, late, doubled, damaged and out of order. */
  readonly weather: boolean;
}

const NONE = Object.fromEntries(FAULTS.map((fault) => [fault, 0])) as Record<Fault, number>;
const NETWORK = { cut: 3, hold: 2, split: 2, slowPath: 2, narrowPath: 1, reconnect: 2, scatter: 2, turn: 1 };
const CRASHES = { kill: 2, powerLoss: 2, crashAtDisk: 3, crashInRecovery: 2, blackout: 2, restartStorm: 1 };
const DISKS = { slowDisk: 2, hangingDisk: 1, failingDisk: 1, fullDisk: 1, bitFlip: 0.3 };
const LEADERS = { pause: 3, transfer: 3, campaign: 1, clockJump: 1, abort: 1 };

export const PROFILES: Readonly<Record<string, Profile>> = {
  all: {
    about: "everything",
    weights: { ...NONE, ...NETWORK, ...CRASHES, ...DISKS, ...LEADERS },
    weather: true,
  },
  network: {
    about: "connections and frames; processes and disks are sound",
    weights: { ...NONE, ...NETWORK, ...LEADERS },
    weather: true,
  },
  crash: {
    about: "processes and machines that stop and start again; the network is fair",
    weights: { ...NONE, ...CRASHES, ...LEADERS },
    weather: false,
  },
  disk: {
    about: "disks that are slow, silent, full or broken, and machines that stop",
    weights: { ...NONE, ...DISKS, ...CRASHES },
    weather: false,
  },
  none: { about: "no faults at all", weights: NONE, weather: false },
};
