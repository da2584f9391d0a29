// One node process as the harness sees it: commands with replies, events, and its end. Knows nothing of clusters.
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { BenchError, ClusterFault, messageOf } from "./bench-error.js";
import { type Command, FromNode, type Op, type ReplyOf, ReplyValue } from "./protocol.js";

/** The parameters of a command, without what pairs it with its reply. */
export type Params<K extends Op> = Omit<Extract<Command, { op: K }>, "call" | "node" | "op">;

/** A command that the node refused: the code and text of its error. */
export class NodeRefusal extends BenchError {
  override readonly name = "NodeRefusal";
  readonly code: string;
  /** In the node's own words. */
  readonly said: string;
  readonly mayCommit: boolean;

  constructor(what: string, code: string, said: string, mayCommit: boolean) {
    super("failed", `${what}: ${withCure(said, code)}`);
    this.code = code;
    this.said = said;
    this.mayCommit = mayCommit;
  }
}

interface Waiting {
  readonly op: Op;
  readonly resolve: (value: unknown) => void;
  readonly reject: (reason: Error) => void;
}

/** How long a call may take, and what. */
export interface CallLimits {
  readonly timeoutMs?: number | undefined;
  /** Without any sign of life: a process sends one each second unless its main thread stands still. */
  readonly silentMs?: number | undefined;
}

const CALL_TIMEOUT_MS = 10_000;
const SILENT_MS = 10_000;
/** Looked for so often. */
const SILENCE_STEPS = 5;
const STDERR_TAIL_CHARS = 2000;
/** How long the output of a dead process may still be on its way. */
const LAST_WORDS_MS = 50;
/** Between asking a process to end and killing it. */
const GRACE_MS = 1000;

/** This process's flags for Node.js, such as --cpu-prof; none in a test, whose flags (and their values) are the runner's. */
export function flagsForNodes(own: readonly string[]): string[] {
  return own.some((flag) => flag.startsWith("--test")) ? [] : [...own];
}

export interface ProcessOptions {
  readonly env?: NodeJS.ProcessEnv;
  /** The Node.js that runs it; this process's. */
  readonly execPath?: string | undefined;
  /** Its flags, before this process's own. */
  readonly nodeFlags?: readonly string[] | undefined;
}

/** Id 0: a client's process, which is no node. */
export class NodeProcess {
  readonly id: number;
  private readonly child: ChildProcess;
  private readonly waiting = new Map<number, Waiting>();
  private readonly exited: Promise<void>;
  private calls = 0;
  /** Messages that came. */
  private heard = 0;
  private stderr = "";
  private ended = false;
  /** The end of this process is wanted: it is no failure. */
  private expected = false;
  /** Told once when the process fails: it fenced itself, or ended unasked. */
  onFailure: (error: BenchError) => void = () => {};
  onWindow: (open: boolean) => void = () => {};
  onProgress: (acked: number) => void = () => {};

  /** Starts `program`; the process obeys once `ready` has resolved. */
  constructor(id: number, program: string, options: ProcessOptions = {}) {
    const { env = process.env, execPath = process.execPath, nodeFlags = [] } = options;
    this.id = id;
    this.child = fork(program, [this.name], {
      serialization: "advanced",
      stdio: ["ignore", "pipe", "pipe", "ipc"],
      env,
      execPath,
      execArgv: [...nodeFlags, ...flagsForNodes(process.execArgv)],
    });
    this.child.stdout?.on("data", (text: Buffer) => this.noteOutput(text));
    this.child.stderr?.on("data", (text: Buffer) => this.noteOutput(text));
    this.child.on("message", (raw) => this.receive(raw));
    this.exited = this.untilEnd();
  }

  /** Resolves when the process is gone and what it said last is read. Never rejects. */
  private async untilEnd(): Promise<void> {
    // Not "close" alone: Node does not emit it for a child whose channel we disconnected ourselves.
    const closed = once(this.child, "close").catch(() => {});
    try {
      await once(this.child, "exit");
    } catch (error) {
      this.stderr += `\n${messageOf(error)}`; // It did not even start.
    }
    await Promise.race([closed, new Promise((resolve) => setTimeout(resolve, LAST_WORDS_MS))]);
    this.noteEnd();
  }

  /** As it stands in the list of processes. */
  private get name(): string {
    return this.id === 0 ? "client" : `node-${this.id}`;
  }

  /** In a sentence. */
  private get who(): string {
    return this.id === 0 ? "the client" : `node ${this.id}`;
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  /** It runs, and nobody has asked it to end. */
  get isAlive(): boolean {
    return !this.ended && !this.expected;
  }

  private noteOutput(text: Buffer): void {
    this.stderr = (this.stderr + text.toString()).slice(-STDERR_TAIL_CHARS);
    if (process.env["RAFTMARK_DEBUG"] !== undefined) process.stderr.write(text);
  }

  private noteEnd(): void {
    if (this.ended) return;
    this.ended = true;
    const error = this.endError();
    for (const call of this.waiting.values()) call.reject(error);
    this.waiting.clear();
    if (!this.expected) this.onFailure(error);
  }

  private endError(): BenchError {
    const isFull = /ENOSPC/.test(this.stderr); // The next cluster would meet the same disk.
    return isFull ? new BenchError("failed", this.endSentence()) : new ClusterFault(this.endSentence());
  }

  private endSentence(): string {
    const { exitCode, signalCode } = this.child;
    const how = signalCode !== null ? `was killed by ${signalCode}` : `ended with code ${exitCode}`;
    const said = this.stderr.trim();
    const why = said === "" ? "" : ` It said last: ${lastLines(said).replace(/\.?$/, ".")}`;
    const hint = /ENOSPC/.test(said) ? ` ${DISK_FULL}` : "";
    return `the process of ${this.who} (pid ${this.pid}) ${how} in the middle of the run.${why}${hint}`;
  }

  private receive(raw: unknown): void {
    this.heard++;
    const parsed = FromNode.safeParse(raw);
    if (!parsed.success) {
      this.fail(`node ${this.id} sent what is no message of the control protocol: ${parsed.error.message}`);
      return;
    }
    const message = parsed.data;
    if (message.kind === "reply") this.settle(message.call, message.value);
    else if (message.kind === "refusal") {
      const { code, message: text, mayCommit } = message.error;
      const waiting = this.waiting.get(message.call);
      const what = `${this.who} refused "${waiting?.op}"`;
      waiting?.reject(new NodeRefusal(what, code, text, mayCommit));
      this.waiting.delete(message.call);
    } else if (message.kind === "fault")
      this.fail(`${this.who} stopped itself: ${withCure(message.error.message, message.error.code)}`);
    else if (message.kind === "window") this.onWindow(message.open);
    else if (message.kind === "progress") this.onProgress(message.acked);
  }

  private settle(call: number, value: unknown): void {
    const waiting = this.waiting.get(call);
    this.waiting.delete(call);
    if (waiting === undefined) return;
    const parsed = ReplyValue[waiting.op].safeParse(value);
    if (parsed.success) waiting.resolve(parsed.data);
    else waiting.reject(new Error(`node ${this.id}: bad answer to ${waiting.op}: ${parsed.error.message}`));
  }

  private fail(text: string): void {
    if (!this.expected) this.onFailure(new BenchError("failed", text));
  }

  /** Sends a command. Rejects with NodeRefusal, or with ClusterFault if the process ends or stays silent. */
  call<K extends Op>(
    op: K,
    params: Params<K>,
    { timeoutMs = CALL_TIMEOUT_MS, silentMs = SILENT_MS }: CallLimits = {},
    node = this.id,
  ): Promise<ReplyOf<K>> {
    if (this.ended) return Promise.reject(this.endError());
    const call = ++this.calls;
    return new Promise<ReplyOf<K>>((resolve, reject) => {
      const stop = this.afterSilence(timeoutMs, silentMs, (isSilent) => {
        this.waiting.delete(call);
        const silent = `gave no sign of life for ${silentMs} ms after "${op}"`;
        reject(this.standsStill(isSilent ? silent : `did not answer "${op}" in ${timeoutMs} ms`));
      });
      this.waiting.set(call, {
        op,
        resolve: (value) => {
          stop();
          resolve(value as ReplyOf<K>);
        },
        reject: (reason) => {
          stop();
          reject(reason);
        },
      });
      // What cannot be sent is told when the process has ended, and how is known.
      this.child.send({ call, node, op, ...params }, () => {});
    });
  }

  /** `load`, which another process puts on this one; or ClusterFault if this one gives no sign of life meanwhile. */
  async whileHeard<T>(load: Promise<T>, silentMs = SILENT_MS): Promise<T> {
    let stop = () => {};
    const silence = new Promise<never>((_, reject) => {
      const text = `gave no sign of life for ${silentMs} ms under load`;
      stop = this.afterSilence(Number.POSITIVE_INFINITY, silentMs, () => reject(this.standsStill(text)));
    });
    try {
      return await Promise.race([load, silence]);
    } finally {
      stop();
    }
  }

  private standsStill(what: string): ClusterFault {
    const text = `${this.who} (pid ${this.pid}) ${what}: it stands still, or the machine or its disk is overloaded.`;
    return new ClusterFault(text);
  }

  /** Does `work` when the process has been silent for `silentMs`, or when `timeoutMs` are over. Returns what stops it. */
  private afterSilence(timeoutMs: number, silentMs: number, work: (isSilent: boolean) => void): () => void {
    let spentMs = 0;
    let quietMs = 0;
    let stop = () => {};
    const wait = () => {
      const { heard } = this;
      const ms = Math.min(silentMs / SILENCE_STEPS, timeoutMs - spentMs);
      stop = afterAwake(ms, () => {
        spentMs += ms;
        quietMs = this.heard === heard ? quietMs + ms : 0;
        if (spentMs >= timeoutMs) work(false);
        else if (quietMs >= silentMs) work(true);
        else wait();
      });
    };
    wait();
    return () => stop();
  }

  /** Closes one node of the process. Resolves with its last state; null: it did not answer. */
  async close(node = this.id): Promise<ReplyOf<"close"> | null> {
    this.expected = true;
    return this.ended
      ? null
      : await this.call("close", {}, { timeoutMs: CLOSE_TIMEOUT_MS }, node).catch(() => null);
  }

  /** SIGSTOP and SIGCONT: the process stands still, and goes on. */
  pause(): void {
    this.child.kill("SIGSTOP");
  }

  resume(): void {
    this.child.kill("SIGCONT");
  }

  /** Ends the process without closing the node: the channel is cut, and after a second it is killed. */
  async end(): Promise<void> {
    this.expected = true;
    if (this.child.connected) this.child.disconnect();
    const timer = setTimeout(() => this.child.kill("SIGKILL"), GRACE_MS);
    await this.exited;
    clearTimeout(timer);
  }

  /** kill -9, as a test does it. Resolves when it is gone; the cluster is not told. */
  async kill(): Promise<void> {
    this.expected = true;
    this.child.kill("SIGKILL");
    await this.exited;
  }

  /** For the last moments of the harness. */
  killNow(): void {
    if (!this.ended) this.child.kill("SIGKILL");
  }
}

/** A timer that fires later than this does so since the process stood still: stopped, or its machine asleep. */
const LATE_MS = 1000;

/**
 * Does `work` when `ms` have passed in which this process ran, and what came meanwhile has been heard. Returns what stops
 * it.
 */
function afterAwake(ms: number, work: () => void): () => void {
  let timer: NodeJS.Timeout;
  let heard: NodeJS.Immediate | undefined;
  const wait = () => {
    const due = performance.now() + ms;
    timer = setTimeout(() => {
      if (performance.now() > due + LATE_MS) wait();
      else heard = setImmediate(work); // Behind the poll for what was sent to us.
    }, ms);
  };
  wait();
  return () => {
    clearTimeout(timer);
    clearImmediate(heard);
  };
}

/** Closing writes out what was appended; a disk that takes longer than this is a fault. */
const CLOSE_TIMEOUT_MS = 3000;

function lastLines(text: string): string {
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  const telling = lines.find((line) => /^\w*Error\b|: /.test(line.trim()) && !line.includes(" at "));
  return (telling ?? lines[lines.length - 1]).trim();
}

const DISK_FULL = "The disk is full: free space, or choose another place with --dir.";

/** What a node said of an error, and what to do about it, where that is known. */
function withCure(said: string, code: string): string {
  const isFull = code === "WAL_NO_SPACE" || code === "ENOSPC";
  return `${said.replace(/\.?$/, ".")} ${isFull ? DISK_FULL : `[${code}]`}`;
}
