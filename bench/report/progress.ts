// What a bench says while it runs: one line that is rewritten on a terminal, plain lines elsewhere and under CI.
import { clearLine, cursorTo } from "node:readline";
import type { AxisName } from "../harness/axes.js";
import { messageOf } from "../harness/bench-error.js";
import type { Observer, WindowedRun } from "../harness/run-bench.js";
import type { Phase } from "../harness/run-variant.js";
import { describe, type Load, type Variant, varyingAxes } from "../harness/scenario.js";
import { measuresSentence } from "./measures.js";
import { clock, grouped, plural, roughly, short } from "./numbers.js";
import { constants, type Paint } from "./table.js";

/** Where the lines go; `live` lines can be rewritten. */
export interface Output {
  readonly stream: NodeJS.WritableStream & { readonly columns?: number };
  readonly live: boolean;
  readonly paint: Paint;
}

const REDRAW_EVERY_MS = 100;
/** The rate shown is that of the last second. */
const RATE_WINDOW_MS = 1000;
const SPARKS = "▁▂▃▄▅▆▇█";
const SPARK_WIDTH = 16;
/** Readings come ten a second. */
const HISTORY_MAX = 64;

/** What a run did: of an event what it took, of a load how much and how fast. */
function figuresText(run: WindowedRun): string {
  const { proposalsPerS, latencyMs, settings } = run;
  const event = measuresSentence(run);
  const isAll = ["kill-leader", "restart", "catch-up", "replace-member"].includes(settings.event);
  if (event !== "" && isAll) return event;
  const load = `${grouped(proposalsPerS)} proposals/s, p50 ${short(latencyMs.p50)} ms, p99 ${short(latencyMs.p99)} ms`;
  return event === "" ? load : `${load}, ${event}`;
}

export class Progress implements Observer {
  /** What ended it, where that was no abort. */
  fault: unknown = null;
  /** Whoever ends a bench that does not end in order has to wait for so long. */
  onEnding: (msMax: number) => void = () => {};
  private readonly out: Output;
  private axes: AxisName[] = [];
  private load: Load = { warmupMs: 0, durationMs: 0, rounds: 1 };
  private count = 0;
  private current = "";
  private sequence = 0;
  private round = 0;
  private phaseName: Phase = "starting";
  private phaseBegun = 0;
  /** 0: it is not known how long it takes. */
  private phasePlannedMs = 0;
  private readonly begunAt = performance.now();
  private remainingMs = 0;
  private remainingAt = 0;
  private history: { at: number; acked: number }[] = [];
  private timer: NodeJS.Timeout | null = null;

  constructor(out: Output) {
    this.out = out;
  }

  begun({ plan, variants, estimateMs, runDir }: Parameters<Observer["begun"]>[0]): void {
    const { paint } = this.out;
    this.axes = varyingAxes(plan.axes);
    this.load = plan.load;
    this.count = variants.length * plan.load.rounds;
    const { fileSystem } = runDir;
    this.say(`${paint.bold(plan.scenario.question)} ${paint.dim(`(scenario ${plan.scenario.name})`)}`);
    const { rounds } = plan.load;
    const many =
      plural(variants.length, "configuration") +
      (rounds > 1 ? ` in ${(plan.load.withinMs ?? 0) > 0 ? "up to " : ""}${rounds} rounds` : "");
    this.say(`${many}, about ${roughly(estimateMs)}; ${constants(plan.axes)}`);
    this.say(paint.dim(`data in ${runDir.path} (${fileSystem.type} on ${fileSystem.device})`));
    if (fileSystem.volatile) {
      const text = `warning: ${fileSystem.mount} is ${fileSystem.type}, memory: durable writes cost nothing there and the figures say nothing about a disk; choose another place with --dir`;
      this.say(paint.red(text));
    }
    if (this.out.live) this.timer = setInterval(() => this.draw(), REDRAW_EVERY_MS).unref();
  }

  loading(sequence: number, variants: readonly Variant[], round: number, remainingMs: number): void {
    this.sequence = sequence;
    this.round = round;
    this.current = this.place(sequence, round, variants);
    this.remainingMs = remainingMs;
    this.remainingAt = performance.now();
    this.history = [];
  }

  /** "[5/144, round 1/16] 64 in flight": what variants have in common, where they are several. */
  private place(sequence: number, round: number, variants: readonly Pick<Variant, "settings">[]): string {
    const of = this.load.rounds > 1 ? `, round ${round + 1}/${this.load.rounds}` : "";
    const common = this.axes.filter(
      (axis) => new Set(variants.map(({ settings }) => settings[axis])).size === 1,
    );
    const what =
      common.length > 0 ? describe(variants[0].settings, common) : `${variants.length} configurations`;
    return `[${sequence + 1}/${this.count}${of}] ${what}`;
  }

  phase(phase: Phase, plannedMs = 0): void {
    this.phaseName = phase;
    this.phasePlannedMs = plannedMs;
    this.phaseBegun = performance.now();
    if (this.out.live) this.draw();
  }

  progress(acked: number): void {
    const at = performance.now();
    this.history.push({ at, acked });
    if (this.history.length > HISTORY_MAX) this.history.shift();
  }

  /** Throughput over the last seconds as a picture: one sign a reading, the highest of them full. */
  private sparkline(): string {
    const rates: number[] = [];
    for (let i = Math.max(1, this.history.length - SPARK_WIDTH); i < this.history.length; i++) {
      const { at, acked } = this.history[i - 1];
      rates.push((this.history[i].acked - acked) / Math.max(1, this.history[i].at - at));
    }
    const most = Math.max(...rates, Number.MIN_VALUE);
    return rates.map((rate) => SPARKS[Math.round((rate / most) * (SPARKS.length - 1))]).join("");
  }

  done(run: WindowedRun): void {
    const { paint } = this.out;
    const figures = run.void.length > 0 ? paint.red(`void: ${run.void[0]}`) : figuresText(run);
    this.erase();
    this.say(
      `${this.place(this.sequence++, this.round, [run])}: ${figures} ${paint.dim(`(${clock(this.elapsedMs())} elapsed)`)}`,
    );
  }

  repeating(why: readonly string[]): void {
    this.say(this.out.paint.dim(`  disturbed, so once more: ${why.join("; ")}`));
  }

  leftOut(variants: readonly Variant[], rounds: number): void {
    this.count -= variants.length * rounds;
    this.erase();
    const which = variants.map(({ settings }) => describe(settings, this.axes)).filter((text) => text !== "");
    const whose = which.length === 0 ? "its" : `${which.join("; ")}: its`;
    this.say(
      `${whose} nodes did not start, twice in a row: not tried in the other ${plural(rounds, "round")}`,
    );
  }

  gaveUp(roundsDone: number, roundsPlanned: number): void {
    this.erase();
    this.say(`${roundsDone} of ${roundsPlanned} rounds: there is no time left for another`);
  }

  broken(fault: unknown): void {
    this.fault = fault;
  }

  ending(msMax: number): void {
    this.erase();
    this.say(
      `checking what is done, which may take up to ${roughly(msMax)}; Ctrl-C again to leave without a result`,
    );
    this.onEnding(msMax);
  }

  unweighed(fault: unknown): void {
    this.erase();
    this.say(`what the harness itself costs is not known: ${messageOf(fault)}`);
  }

  /** No more lines; also after a failure. */
  end(): void {
    if (this.timer !== null) clearInterval(this.timer);
    this.timer = null;
    this.erase();
  }

  private elapsedMs(): number {
    return performance.now() - this.begunAt;
  }

  private rate(): string {
    const last = this.history[this.history.length - 1];
    const first = this.history.find(({ at }) => last.at - at <= RATE_WINDOW_MS);
    if (first === undefined || last.at === first.at) return "";
    const rate = ((last.acked - first.acked) / (last.at - first.at)) * 1000;
    return `, ${this.sparkline()} ${grouped(rate)} proposals/s`;
  }

  /** "[3/9] pool-wasm, 64 in flight: measuring 2.1/5.0 s, ▅▆▇█▇▇ 71,402 proposals/s, 0:34 elapsed, 1:12 left". */
  line(): string {
    const inPhase = (performance.now() - this.phaseBegun) / 1000;
    const planned = this.phasePlannedMs;
    const loading = planned > 0;
    const spent = loading ? ` ${inPhase.toFixed(1)}/${(planned / 1000).toFixed(1)} s` : "";
    const left = this.remainingMs - (performance.now() - this.remainingAt);
    const times = `${clock(this.elapsedMs())} elapsed, ${clock(left)} left`;
    return `${this.current}: ${this.phaseName}${spent}${loading ? this.rate() : ""}, ${times}`;
  }

  private draw(): void {
    if (this.timer === null || this.current === "") return;
    cursorTo(this.out.stream, 0);
    const width = (this.out.stream.columns || 80) - 1; // 0: a terminal that does not know its size
    this.out.stream.write(this.line().slice(0, width));
    clearLine(this.out.stream, 1);
  }

  private erase(): void {
    if (!this.out.live) return;
    cursorTo(this.out.stream, 0);
    clearLine(this.out.stream, 0);
  }

  private say(text: string): void {
    this.out.stream.write(`${text}\n`);
  }
}
