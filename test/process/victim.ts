// A loaded node in a process of its own, as its killer sees it: what it reported, and its end.
import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const PROGRAM = fileURLToPath(new URL("./loaded-node.js", import.meta.url));

export interface Reported {
  readonly index: number;
  readonly round: number;
  readonly seq: number;
  readonly crc: number;
}

export class Victim {
  readonly reported: Reported[] = [];
  private readonly child: ChildProcess;
  private readonly ended: Promise<void>;
  private stderr = "";

  constructor(dir: string, round: number, segmentBytes: number) {
    this.child = spawn(process.execPath, [PROGRAM, dir, `${round}`, `${segmentBytes}`], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    let rest = "";
    this.child.stdout!.setEncoding("utf8").on("data", (text: string) => {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      for (const line of lines) {
        const [index, seq, crc] = line.split(" ").map(Number);
        this.reported.push({ index, round, seq, crc });
      }
    });
    this.child.stderr!.on("data", (text: Buffer) => {
      this.stderr += text.toString();
    });
    // "close": its pipes are drained, too.
    this.ended = new Promise((resolve) => this.child.once("close", () => resolve()));
  }

  /** Throws if it ended by itself. */
  check(): void {
    if (this.child.exitCode !== null) throw new Error(`the node ended by itself:\n${this.stderr}`);
  }

  /** kill -9; resolves when it is gone and all that it had said is in `reported`. */
  async kill(): Promise<void> {
    this.child.kill("SIGKILL");
    await this.ended;
  }
}
