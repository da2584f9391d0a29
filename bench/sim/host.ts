// What code takes from its host (files, clocks, timers, random bytes, its process id), given by a simulated one while a
// simulated process runs: the functions of node:fs, node:crypto and the globals are replaced for as long as worlds are
// run, and pass calls on to the process whose event this is. So the engine runs as it is shipped, without a seam, and
// what it would ask of the real host in a simulated process is either simulated or an error.
import crypto from "node:crypto";
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import net from "node:net";
import { type DiskFs, SIM_FD_MIN, SIM_ROOT } from "./disk-fs.js";
import type { Memories, MemoryKind, SimMemory } from "./memories.js";

/** A simulated process, as the code in it sees its host. */
export interface Guest {
  readonly pid: number;
  readonly fs: DiskFs;
  monotonicMs(): number;
  wallMs(): number;
  immediate(run: () => void): void;
  /** Returns what `cancel` takes. */
  timer(delayMs: number, repeat: boolean, run: () => void): SimTimer;
  randomBytes(size: number): Buffer;
  readonly memories: Memories;
  /** Whether there is a process of that id on its machine. */
  lives(pid: number): boolean;
}

export class SimTimer {
  cancelled = false;

  /** A world ends when its plan does: no timer keeps it. */
  unref(): this {
    return this;
  }
}

// biome-ignore lint/suspicious/noExplicitAny: it stands for functions of any kind.
type Fn = (...args: any[]) => any;

/** Whose event this is; null: the world's own code runs, on the real host. */
let guest: Guest | null = null;
let undo: (() => void) | null = null;

/** From here on to `leave`, promises' reactions included, it is this process that runs. */
export function enter(process: Guest): void {
  guest = process;
}

export function leave(): void {
  guest = null;
}

/** Replaces the host's functions. Idempotent, until `uninstall`. */
export function install(): void {
  if (undo !== null) return;
  const restore: (() => void)[] = [];
  const replace = (owner: object, name: string, value: unknown): void => {
    const before = Object.getOwnPropertyDescriptor(owner, name);
    Object.defineProperty(owner, name, { value, writable: true, configurable: true, enumerable: true });
    restore.push(() => {
      if (before === undefined) delete (owner as Record<string, unknown>)[name];
      else Object.defineProperty(owner, name, before);
    });
  };
  replaceFs(fs, "", replace);
  replaceFs(fs.promises, "promises", replace);
  replaceSockets(replace);
  replaceClocks(replace);
  replaceTimers(replace);
  const { randomBytes, randomInt } = crypto as unknown as Record<string, Fn>;
  replace(crypto, "randomBytes", (...args: unknown[]) =>
    guest === null ? randomBytes!(...args) : guest.randomBytes(args[0] as number),
  );
  replace(crypto, "randomInt", (...args: unknown[]) => {
    if (guest === null) return randomInt!(...args);
    throw new Error("not simulated: crypto.randomInt");
  });
  const { WebAssembly } = globalThis as unknown as {
    WebAssembly: { Memory: new (kind: MemoryKind) => SimMemory };
  };
  const { Memory } = WebAssembly;
  const construct = (_: unknown, [kind]: [MemoryKind]): SimMemory => {
    const make = (): SimMemory => new Memory(kind);
    return guest === null ? make() : guest.memories.take(kind, make);
  };
  replace(WebAssembly, "Memory", new Proxy(Memory, { construct }));
  const pid = Object.getOwnPropertyDescriptor(process, "pid")!;
  const realPid = process.pid;
  Object.defineProperty(process, "pid", {
    get: () => guest?.pid ?? realPid,
    configurable: true,
    enumerable: true,
  });
  restore.push(() => Object.defineProperty(process, "pid", pid));
  const kill = process.kill.bind(process);
  replace(process, "kill", (of: number, signal: number | string) => {
    if (guest === null) return kill(of, signal);
    if (signal !== 0 || !guest.lives(of)) throw Object.assign(new Error("kill ESRCH"), { code: "ESRCH" });
    return true;
  });
  syncBuiltinESMExports();
  undo = () => {
    for (const back of restore.reverse()) back();
    syncBuiltinESMExports();
  };
}

export function uninstall(): void {
  undo?.();
  undo = null;
}

type Replace = (owner: object, name: string, value: unknown) => void;

// Files of the package itself (its WASM module) are read from the real disk; a simulated path never gets there.
function replaceFs(owner: object, part: "" | "promises", replace: Replace): void {
  for (const [name, real] of Object.entries(owner) as [string, Fn][]) {
    if (typeof real !== "function" || !/^[a-z]/.test(name)) continue;
    replace(owner, name, (...args: unknown[]) => {
      if (guest === null || !isSimulated(args[0])) return real(...args);
      const ours = part === "" ? guest.fs : guest.fs.promises;
      const call = (ours as unknown as Record<string, Fn | undefined>)[name];
      if (call === undefined) throw new Error(`not simulated: fs.${name}(${String(args[0])})`);
      return call.apply(ours, args);
    });
  }
}

// A simulated file system has no sockets, as some real ones: a lock's owner is known by its process id there.
function replaceSockets(replace: Replace): void {
  const { connect } = net as unknown as Record<string, Fn>;
  const { listen } = net.Server.prototype as unknown as Record<string, Fn>;
  replace(net, "connect", (...args: unknown[]) => {
    if (guest === null) return connect!(...args);
    throw Object.assign(new Error("connect ENOENT"), { code: "ENOENT" });
  });
  replace(net.Server.prototype, "listen", function (this: net.Server, ...args: unknown[]) {
    if (guest === null) return listen!.apply(this, args);
    throw Object.assign(new Error("listen EPERM"), { code: "EPERM" });
  });
}

function isSimulated(of: unknown): boolean {
  if (typeof of === "number") return of >= SIM_FD_MIN;
  return typeof of === "string" && (of === "/" || of === SIM_ROOT || /^\/(sim|proc)\//.test(of));
}

function replaceClocks(replace: Replace): void {
  const now = performance.now.bind(performance);
  replace(performance, "now", () => (guest === null ? now() : guest.monotonicMs()));
  const wall = Date.now;
  replace(Date, "now", () => (guest === null ? wall() : guest.wallMs()));
}

function replaceTimers(replace: Replace): void {
  const real = { setImmediate, setTimeout, setInterval, clearTimeout, clearInterval };
  replace(globalThis, "setImmediate", (run: Fn, ...args: unknown[]) => {
    if (guest === null) return real.setImmediate(() => run(...args));
    guest.immediate(args.length === 0 ? (run as () => void) : () => run(...args));
    return undefined;
  });
  for (const name of ["setTimeout", "setInterval"] as const) {
    replace(globalThis, name, (run: Fn, delayMs: number, ...args: unknown[]) => {
      if (guest === null) return real[name](() => run(...args), delayMs);
      return guest.timer(delayMs, name === "setInterval", () => run(...args));
    });
  }
  for (const name of ["clearTimeout", "clearInterval"] as const) {
    replace(globalThis, name, (timer: SimTimer | NodeJS.Timeout) => {
      if (timer instanceof SimTimer) timer.cancelled = true;
      else real[name](timer);
    });
  }
}
