// How late the load generator itself was, judged by the latencies that it measured: a figure in microseconds says nothing
// to who does not know what it is a part of. Pure.
import { short } from "./numbers.js";
import type { Run } from "./result-schema.js";

/** Up to this share of a latency the lag is less than what runs of the same configuration differ by. */
const HARMLESS_SHARE = 0.05;
/** From here on the latencies must be read with it. */
const LARGE_SHARE = 0.15;

export interface LagJudgement {
  /** Of the median latency; in an open loop, where a late one is late for good, of the p99 if that is worse. */
  readonly share: number;
  readonly verdict: "harmless" | "small" | "large";
}

type Judged = Pick<Run, "generator" | "latencyMs" | "load">;

function judgeLag({ generator, latencyMs, load }: Judged): LagJudgement {
  const part = (lagUs: number, ms: number) => (ms > 0 ? lagUs / 1000 / ms : 0);
  const typical = part(generator.lagP50Us, latencyMs.p50);
  // A closed loop is late by no more than its thread's delay, which the engine's own work makes: its tail is no lag.
  const share = load.kind === "closed" ? typical : Math.max(typical, part(generator.lagP99Us, latencyMs.p99));
  const verdict = share <= HARMLESS_SHARE ? "harmless" : share < LARGE_SHARE ? "small" : "large";
  return { share, verdict };
}

/** "late by 0.4 % of the latencies: harmless". */
export function lagText(run: Judged): string {
  const { share, verdict } = judgeLag(run);
  return `late by ${percent(share)} of the latencies: ${verdict}`;
}

/** Of the worst of these runs, and where it is not harmless what it means. "" without runs. */
export function worstLagText(runs: readonly Run[]): string {
  if (runs.length === 0) return "";
  const worst = runs.reduce((a, b) => (judgeLag(b).share > judgeLag(a).share ? b : a));
  const text = `the load generator was ${lagText(worst)}${runs.length > 1 ? " (the worst run)" : ""}`;
  if (judgeLag(worst).verdict !== "large") return text;
  return `${text}; ${worst.load.kind === "open" ? OPEN_LATE : CLOSED_LATE[worst.load.from]}`;
}

const OPEN_LATE = "what came due was issued late, so that much of a latency is the load’s own";
const CLOSED_LATE = {
  leader: "it waits for the thread that it shares with the engine, as a program would that embeds it",
  client: "the client’s own thread was busy, so that much of a latency is the load’s own",
} as const;

function percent(share: number): string {
  return `${share === 0 ? "0" : share < 0.0005 ? "less than 0.1" : short(Number((share * 100).toPrecision(2))).replace(/\.?0+$/, "")} %`;
}
