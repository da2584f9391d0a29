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
  "relapse",
  "blackout",
  "restartStorm",
  "close",
  "clockJump",
  "slowDisk",
  "hangingDisk",
  "failingDisk",
  "fullDisk",
  "deadDisk",
  "crossed",
  "noDescriptors",
  "bitFlip",
  "misdirected",
  "wipe",
  "otherMembers",
  "otherOptions",
  "abort",
  "leadAgain",
  "comeBack",
  "lateAnswers",
  "startAnew",
  "aside",
  "transferStorm",
  "suspend",
  "nap",
  "memberChange",
] as const;
export type Fault = (typeof FAULTS)[number];

export type Weights = Readonly<Record<Fault, number>>;

export interface Profile {
  readonly about: string;
  readonly weights: Weights;
  /** Whether frames may be lost, late, doubled, damaged and out of order. */
  readonly weather: boolean;
  /** One clock runs true, and all others as fast as they may: left out: all differ. */
  readonly oneSlow?: boolean;
  /** Members have ticks and election timeouts of their own. */
  readonly differ?: boolean;
  /** How many times as often as elsewhere it is read. */
  readonly reads?: number;
  /** Some callers wait no longer than a time of their own, and some state machines take their time. */
  readonly services?: boolean;
  /** Share of worlds in which nodes that do not lead send on what they are asked to write. Left out: none. */
  readonly forwards?: number;
  /** Nodes that are no members at first, for changes of members; left out: none. */
  readonly spares?: number;
  /** Share of worlds in which nodes take snapshots. Left out: none. */
  readonly snapshots?: number;
}

const NONE = Object.fromEntries(FAULTS.map((fault) => [fault, 0])) as Record<Fault, number>;
const NETWORK = { cut: 3, hold: 2, split: 2, slowPath: 2, narrowPath: 1, reconnect: 2, scatter: 2, turn: 1 };
const CRASHES = {
  kill: 2,
  powerLoss: 2,
  crashAtDisk: 3,
  crashInRecovery: 2,
  relapse: 2,
  blackout: 2,
  restartStorm: 1,
  close: 2,
};
const DISKS = {
  slowDisk: 2,
  hangingDisk: 1,
  failingDisk: 1,
  fullDisk: 1,
  deadDisk: 0.2,
  crossed: 2,
  noDescriptors: 1,
};
const RUIN = { bitFlip: 0.3, misdirected: 0.3, wipe: 0.3 };
const OPERATOR = { otherMembers: 1, otherOptions: 2 };
const LEADERS = {
  pause: 3,
  suspend: 1,
  nap: 0.5,
  transfer: 3,
  transferStorm: 1,
  campaign: 1,
  clockJump: 1,
  abort: 1,
};
const PLOTS = { leadAgain: 1, comeBack: 1, lateAnswers: 1, startAnew: 1 };

export const PROFILES: Readonly<Record<string, Profile>> = {
  all: {
    about: "everything",
    weights: { ...NONE, ...NETWORK, ...CRASHES, ...DISKS, ...RUIN, ...OPERATOR, ...LEADERS, ...PLOTS },
    weather: true,
    services: true,
    forwards: 0.6,
    snapshots: 0.3,
  },
  network: {
    about: "connections and frames; processes and disks are sound",
    weights: { ...NONE, ...NETWORK, ...LEADERS, close: 1 },
    weather: true,
    services: true,
    forwards: 0.6,
  },
  crash: {
    about: "processes and machines that stop and start again; the network is fair",
    weights: { ...NONE, ...CRASHES, ...OPERATOR, ...LEADERS },
    weather: false,
    services: true,
    forwards: 0.6,
  },
  disk: {
    about: "disks that are slow, silent, full or broken, and machines that stop",
    weights: { ...NONE, ...DISKS, ...RUIN, ...CRASHES },
    weather: false,
    services: true,
    forwards: 0.6,
  },
  feud: {
    about: "leaders that are deposed and lead again, answers that outlive who asked, hosts that sleep",
    weights: {
      ...NONE,
      leadAgain: 6,
      comeBack: 2,
      lateAnswers: 3,
      transferStorm: 1,
      suspend: 2,
      kill: 1,
      reconnect: 1,
    },
    weather: false,
    forwards: 0.5,
  },
  leases: {
    about: "whatever may leave a leader with a lease that others do not keep",
    weights: {
      ...NONE,
      blackout: 4,
      startAnew: 4,
      pause: 1,
      suspend: 1,
      nap: 1,
      cut: 1,
      transfer: 1,
      otherOptions: 3,
    },
    weather: false,
    differ: true,
  },
  naps: {
    about: "hosts that sleep for a moment, again and again",
    weights: { ...NONE, nap: 1 },
    weather: false,
    oneSlow: true,
  },
  reads: {
    about: "many reads on all nodes, answers that come late and out of order, counters that start again",
    weights: {
      ...NONE,
      slowPath: 6,
      hold: 2,
      cut: 2,
      pause: 2,
      kill: 2,
      lateAnswers: 2,
      transfer: 1,
      turn: 1,
    },
    weather: true,
    reads: 5,
  },
  snapshots: {
    about: "snapshots taken, sent, installed and started from, amid cuts, crashes and full disks",
    weights: {
      ...NONE,
      cut: 5,
      hold: 1,
      split: 3,
      slowPath: 1,
      reconnect: 3,
      turn: 1,
      pause: 3,
      kill: 3,
      powerLoss: 3,
      crashAtDisk: 6,
      crashInRecovery: 3,
      relapse: 2,
      blackout: 1,
      close: 1,
      fullDisk: 2,
      slowDisk: 1,
      transfer: 2,
    },
    weather: true,
    services: true,
    forwards: 0.6,
    snapshots: 1,
  },
  members: {
    about: "members that are added, promoted, removed and replaced, amid cuts, crashes and transfers",
    weights: {
      ...NONE,
      memberChange: 12,
      aside: 4,
      cut: 3,
      hold: 1,
      split: 2,
      reconnect: 2,
      turn: 1,
      pause: 2,
      kill: 3,
      powerLoss: 2,
      crashAtDisk: 2,
      crashInRecovery: 1,
      blackout: 1,
      close: 1,
      transfer: 2,
      otherMembers: 1,
    },
    weather: true,
    spares: 4,
    snapshots: 0.4,
  },
  none: { about: "no faults at all", weights: NONE, weather: false },
};
