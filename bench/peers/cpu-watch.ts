// How much CPU the children of a process use while it runs, read from outside: for peers that do not say it themselves.
// The kernel's account of children that have ended would hold start and warm-up, too. Linux; elsewhere it tells nothing.
import { readdirSync, readFileSync } from "node:fs";

const EVERY_MS = 50;
/** Of the times in /proc, whatever the kernel's own clock is. */
const TICK_MS = 10;

export class CpuWatch {
  private readonly pid: number;
  private readonly timer: NodeJS.Timeout;
  /** Ascending by time. */
  private readonly samples: (Children & { readonly atMs: number })[] = [];

  constructor(pid: number) {
    this.pid = pid;
    this.timer = setInterval(() => this.look(), EVERY_MS);
  }

  private look(): void {
    const children = childrenOf(this.pid);
    if (children !== null) this.samples.push({ ...children, atMs: performance.now() });
  }

  end(): void {
    clearInterval(this.timer);
  }

  /**
   * Milliseconds of CPU a second in the `spanMs` that ended `restMs` before the first of the children did; null: they
   * were not seen that long.
   */
  perSecond(spanMs: number, restMs: number): number | null {
    const most = Math.max(...this.samples.map(({ count }) => count));
    const all = this.samples.filter(({ count }) => count === most);
    const toMs = (all[all.length - 1]?.atMs ?? 0) - restMs;
    const within = all.filter(({ atMs }) => atMs >= toMs - spanMs && atMs <= toMs);
    const [first, last] = [within[0], within[within.length - 1]];
    if (first === undefined || last === undefined) return null;
    const seenMs = last.atMs - first.atMs;
    return seenMs < spanMs / 2 ? null : ((last.cpuMs - first.cpuMs) / seenMs) * 1000;
  }
}

interface Children {
  readonly count: number;
  /** Of all of them since they began. */
  readonly cpuMs: number;
}

/** Null where it is not told. */
function childrenOf(pid: number): Children | null {
  try {
    // A child is its thread's that started it.
    const children = readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
      readFileSync(`/proc/${pid}/task/${thread}/children`, "utf8").split(" ").filter(Boolean),
    );
    const ticks = children.map((child) => {
      // Behind the name, which may hold anything: state is field 3, user and system time are 14 and 15.
      const stat = readFileSync(`/proc/${child}/stat`, "utf8");
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      return Number(fields[14 - 3]) + Number(fields[15 - 3]);
    });
    return { count: ticks.length, cpuMs: ticks.reduce((a, b) => a + b, 0) * TICK_MS };
  } catch {
    return null; // They end while they are read; or this is no Linux.
  }
}
