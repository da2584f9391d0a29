// A result made up for tests of what is written and shown. The figures mean nothing.
import { encodeIntoCompressedBase64 } from "hdr-histogram-js";
import { DEFAULT_SETTINGS, type Settings } from "../../bench/harness/axes.js";
import { LatencyCounts, toHistogram } from "../../bench/harness/latency.js";
import { type NodeUse, type Result, type Run, SCHEMA_VERSION } from "../../bench/report/result-schema.js";
import { canonical } from "../../bench/scenarios/canonical.js";

/** What one variant did; the rest is filled in. */
export interface Outcome {
  readonly settings: Partial<Settings>;
  readonly proposalsPerS: number;
  readonly p50?: number;
  readonly mainThreadMs?: number;
  readonly cpuMs?: number;
  readonly otherCpuShare?: number;
  readonly stolenCpuShare?: number;
  readonly void?: readonly string[];
  readonly disturbed?: readonly string[];
}

const WINDOW_MS = 1000;

export function sampleRun(position: number, outcome: Outcome): Run {
  const settings = { ...DEFAULT_SETTINGS, ...outcome.settings };
  const p50 = outcome.p50 ?? 1;
  const latencies = new LatencyCounts();
  for (let i = 0; i < 100; i++) latencies.record(p50);
  return {
    position,
    round: 0,
    sequence: position,
    settings,
    nodeOptions: { tickMs: 100 },
    leader: 1,
    link: "sample link",
    node: "",
    load: { kind: "closed", ratePerS: null, arrivals: null, due: null, from: "leader" },
    warmup: { ms: 100, stable: true },
    generator: { lagP50Us: 1, lagP99Us: 5, lagMaxUs: 50 },
    windowMs: WINDOW_MS,
    done: outcome.proposalsPerS,
    acknowledged: outcome.proposalsPerS + 10,
    failed: {},
    proposalsPerS: outcome.proposalsPerS,
    payloadBytesPerS: outcome.proposalsPerS * settings.entryBytes,
    latencyMs: {
      mean: p50,
      p50,
      p90: p50 * 1.5,
      p99: p50 * 2,
      p99_9: p50 * 3,
      p99_99: p50 * 4,
      max: p50 * 5,
    },
    histogram: {
      unitUs: 0.1,
      encoding: "HdrHistogram V2, compressed, base64",
      data: encodeIntoCompressedBase64(toHistogram(latencies)),
    },
    series: { stepMs: 100, applied: [outcome.proposalsPerS] },
    fsyncs: 500,
    entriesPerFsync: outcome.proposalsPerS / 500,
    nodes: [1, 2, 3].map((id) => use(id, outcome)),
    perCommit: {
      messages: 0.1,
      frames: 0.05,
      sentBytes: 600,
      fsyncs: 0.02,
      fsyncsWaited: null,
      walBytes: 900,
      allocatedBytes: null,
      turns: 0.01,
    },
    waterfall: null,
    measures: {},
    otherCpuShare: outcome.otherCpuShare ?? 0.02,
    stolenCpuShare: outcome.stolenCpuShare ?? 0,
    diskProbeUs: null,
    disturbed: [...(outcome.disturbed ?? [])],
    truth: {
      ok: true,
      findings: [],
      findingCount: 0,
      ackedChecked: outcome.proposalsPerS + 10,
      ackedLost: 0,
      committedChecked: outcome.proposalsPerS + 11,
      logsRead: 3,
      stateHash: "00112233445566ff",
      stateIndex: outcome.proposalsPerS + 11,
    },
    stateHash: "00112233445566ff",
    void: [...(outcome.void ?? [])],
  };
}

/** Of each node. */
export const COUNTERS: readonly string[] = [
  ...["proposals", "applied", "turns", "readies", "messagesSent", "messagesReceived", "framesSent"],
  ...["bytesSent", "bytesReceived", "framesDropped", "walSyncs", "walWrites", "walBytes", "walEntries"],
];

function use(id: number, outcome: Outcome): NodeUse {
  const counters = Object.fromEntries(COUNTERS.map((name) => [name, 500])) as NodeUse["counters"];
  return {
    id,
    leader: id === 1,
    windowMs: WINDOW_MS,
    cpuUserMs: outcome.cpuMs ?? 200,
    cpuSystemMs: 50,
    mainThreadMs: outcome.mainThreadMs ?? 200,
    otherThreadsMs: [30],
    loopActiveShare: 0.3,
    loopDelayMs: { p50: 10, p99: 12, max: 20 },
    rssBytes: 1e8,
    counters,
  };
}

export function sampleResult(outcomes: readonly Outcome[]): Omit<Result, "verdict"> {
  const runs = outcomes.map((outcome, i) => sampleRun(i, outcome));
  const axes: Record<string, (string | number)[]> = {};
  for (const name of Object.keys(DEFAULT_SETTINGS) as (keyof Settings)[]) {
    axes[name] = [...new Set(runs.map(({ settings }) => settings[name]))];
  }
  const { name, question, compares } = canonical;
  return {
    schemaVersion: SCHEMA_VERSION,
    tool: "raftmark bench",
    command: "raftmark bench",
    startedAt: "2026-01-02T03:04:05.678Z",
    elapsedMs: 12_345,
    scenario: { name, question, compares },
    options: {
      quick: false,
      axes,
      warmupMs: 100,
      durationMs: 1000,
      rounds: 1,
      order: "table",
      seed: 1,
      basePort: 0,
      dir: "/data/run",
      keep: false,
    },
    environment: {
      cpu: "sample CPU",
      cores: 2,
      memoryBytes: 2 ** 34,
      loadAverage1m: 0.5,
      kernel: "linux 6.1.0 x64",
      node: "v20.0.0",
      v8: "11.3",
      raftmark: "0.1.0",
      commit: null,
      dirty: null,
      fileSystem: {
        ...{ type: "ext4", mount: "/", device: "/dev/sda", options: "rw" },
        readAheadKb: null,
        scheduler: null,
      },
      volatileStorage: false,
      link: "sample link",
    },
    diskProbe: { writes: 200, bytes: 4096, p50Us: 250, p99Us: 900, direct: true },
    nullRun: null,
    interrupted: false,
    disturbance: { repeated: 0, leftOut: runs.filter(({ disturbed }) => disturbed.length > 0).length },
    stages: {},
    runs,
  };
}
