// File descriptors that a log holds open for when it needs one and the process has none left (EMFILE; ENFILE: the whole
// machine): whoever opens connections or files in this process must not be able to stop the log. One is given up, and
// opening tried again; it is taken again as soon as there is one. In the thread that uses it.
import fs from "node:fs";

/** How long after a try that failed the next one is worth a system call. */
const RETRY_MS = 1000;

export class SpareDescriptors {
  private readonly dir: string;
  private readonly count: number;
  private readonly spares: number[] = [];
  private retryAt = 0;

  /** `count` of them, or fewer for now, over `dir`, which is there. */
  constructor(dir: string, count: number) {
    this.dir = dir;
    this.count = count;
    this.refill();
  }

  /** Takes those that are missing, if there are any. `now`: one was just closed, and others want it, too. */
  refill(now = false): void {
    if (this.spares.length === this.count || (!now && performance.now() < this.retryAt)) return;
    try {
      while (this.spares.length < this.count) this.spares.push(fs.openSync(this.dir, "r"));
    } catch {
      // Whatever it is: who needs the spare ones is told when opening fails.
      this.retryAt = performance.now() + RETRY_MS;
    }
  }

  /** Makes room for one more open file. False: there is none to give up. */
  giveUp(): boolean {
    const fd = this.spares.pop();
    if (fd === undefined) return false;
    fs.closeSync(fd);
    return true;
  }

  close(): void {
    while (this.giveUp());
  }
}
