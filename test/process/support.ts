// What the process tests share: the command as a child, its descendants, waiting for an event with a deadline.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const MAIN = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));

/** Everything that is to come true does so within this, on a machine that is busy with other things, too. */
export const PATIENCE_MS = 60_000;

interface ScratchDir {
  readonly path: string;
  /** A new directory in it. */
  folder(): string;
  remove(): void;
}

/** A directory on the disk that the repository lies on: a memory file system would prove less. */
export function scratchDir(name: string): ScratchDir {
  const base = join(ROOT, ".raftmark-test");
  mkdirSync(base, { recursive: true });
  const path = mkdtempSync(join(base, `${name}-`));
  let folders = 0;
  const folder = () => {
    const one = join(path, `cwd-${++folders}`);
    mkdirSync(one);
    return one;
  };
  const remove = () => {
    rmSync(path, { recursive: true, force: true });
    if (readdirSync(base).length === 0) rmdirSync(base);
  };
  return { path, folder, remove };
}

/** The command running in `cwd`. */
export class Command {
  private static readonly all: Command[] = [];
  readonly child: ChildProcess;
  private readonly ended: Promise<number | null>;
  stdout = "";
  stderr = "";

  constructor(cwd: string, ...args: string[]) {
    this.child = spawn(process.execPath, [MAIN, ...args], { cwd, stdio: ["ignore", "pipe", "pipe"] });
    this.child.stdout?.on("data", (text: Buffer) => {
      this.stdout += text.toString();
    });
    this.child.stderr?.on("data", (text: Buffer) => {
      this.stderr += text.toString();
    });
    this.ended = new Promise((resolve) => this.child.once("close", resolve));
    Command.all.push(this);
  }

  /** Ends what a failed test left running. */
  static killAll(): void {
    for (const { child } of Command.all) child.kill("SIGKILL");
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  /** The exit code; kills the command and throws if it takes longer than `timeoutMs`. */
  async end(timeoutMs: number): Promise<number | null> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        this.child.kill("SIGKILL");
        reject(new Error(`not over after ${timeoutMs} ms:\n${this.stdout}\n${this.stderr}`));
      }, timeoutMs);
    });
    try {
      return await Promise.race([this.ended, late]);
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Resolves when `condition` holds; throws after `timeoutMs`, saying what was waited for. */
export async function until(
  what: string,
  timeoutMs: number,
  condition: () => boolean | Promise<boolean>,
): Promise<void> {
  const begun = performance.now();
  while (!(await condition())) {
    if (performance.now() - begun > timeoutMs) throw new Error(`${what}: not within ${timeoutMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Ids of the running processes whose parent is `pid`. */
export function childrenOf(pid: number): number[] {
  const found: number[] = [];
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const status = statusOf(Number(name));
    if (status !== null && status.parent === pid && status.state !== "Z") found.push(Number(name));
  }
  return found;
}

/** True while process `pid` runs, not counting one that only waits to be reaped. */
export function isRunning(pid: number): boolean {
  const status = statusOf(pid);
  return status !== null && status.state !== "Z";
}

/** The words of a process's command line. */
export function commandLineOf(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").slice(0, -1);
  } catch {
    return []; // It ended meanwhile.
  }
}

/** Of no effect on a process that has ended meanwhile. */
export function killProcess(pid: number, signal: NodeJS.Signals = "SIGKILL"): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, "ESRCH");
  }
}

/** kill -9; resolves when it is gone, also where it was before. */
export async function killChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, "exit");
  child.kill("SIGKILL");
  await gone;
}

/** The next message of a forked program; rejects where it ends without one. */
export function nextMessage(child: ChildProcess): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const settle = (): void => {
      child.off("message", onMessage).off("exit", onExit);
    };
    const onMessage = (message: unknown): void => {
      settle();
      resolve(message);
    };
    const onExit = (code: number | null, signal: string | null): void => {
      settle();
      reject(new Error(`process ${child.pid} ended (${code ?? signal}) without a word`));
    };
    if (child.exitCode !== null || child.signalCode !== null) onExit(child.exitCode, child.signalCode);
    else child.on("message", onMessage).on("exit", onExit);
  });
}

function statusOf(pid: number): { state: string; parent: number } | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    const [state, parent] = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return { state, parent: Number(parent) };
  } catch {
    return null; // It ended meanwhile.
  }
}

/**
 * The journal of acknowledgements, DIR/run-*\/variant-*\/acked-*.bin, appears when the load begins. Not by a recursive
 * walk: the nodes rename directories beside it meanwhile.
 */
export function hasJournal(cwd: string): boolean {
  const inside = (dir: string, name: RegExp): string[] =>
    readdirSync(join(cwd, dir))
      .filter((found) => name.test(found))
      .map((found) => join(dir, found));
  const variants = inside(".raftmark", /^run-/).flatMap((run) => inside(run, /^variant-/));
  return variants.some((variant) => inside(variant, /^acked-\d+\.bin$/).length > 0);
}

export function assertClean(cwd: string): void {
  assert.equal(existsSync(join(cwd, ".raftmark")), false, "the data directory is removed");
}
