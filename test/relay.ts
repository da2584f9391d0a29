// A TCP relay on the path from one to another, so that the path can fail, be slow or be looked into: what one sends stays
// away while the other's way is whole. In the test's process.
import net from "node:net";

/**
 * "open": carries. "stalled": keeps what comes until it opens again, as lost packets do that are sent again.
 * "closed": breaks connections and lets none through.
 */
export type PathState = "open" | "stalled" | "closed";

/** How what `from` sends comes to `to`. */
export type Carry = (from: net.Socket, to: net.Socket) => void;

export class Relay {
  private readonly server: net.Server;
  private readonly target: number;
  private readonly ways: readonly [there: Carry, back: Carry];
  private readonly sockets = new Set<net.Socket>();
  private state: PathState = "open";

  private constructor(target: number, ways: readonly [Carry, Carry]) {
    this.target = target;
    this.ways = ways;
    this.server = net.createServer((socket) => this.accept(socket));
  }

  /** Listens on a free port of this machine and carries to `target` there, and back. */
  static async listen(target: number, there: Carry = whole, back: Carry = whole): Promise<Relay> {
    const relay = new Relay(target, [there, back]);
    await new Promise<void>((resolve) => relay.server.listen(0, "127.0.0.1", resolve));
    return relay;
  }

  get port(): number {
    return (this.server.address() as net.AddressInfo).port;
  }

  set(state: PathState): void {
    this.state = state;
    for (const socket of this.sockets) {
      if (state === "open") socket.resume();
      else if (state === "stalled") socket.pause();
      else socket.destroy();
    }
  }

  async close(): Promise<void> {
    this.set("closed");
    await new Promise((resolve) => this.server.close(resolve));
  }

  private accept(near: net.Socket): void {
    if (this.state === "closed") {
      near.destroy();
      return;
    }
    const far = net.connect(this.target, "127.0.0.1");
    const [there, back] = this.ways;
    this.join(near, far, there);
    this.join(far, near, back);
  }

  private join(from: net.Socket, to: net.Socket, carry: Carry): void {
    this.sockets.add(from);
    from.setNoDelay(true);
    carry(from, to);
    from.on("end", () => to.end());
    from.on("error", () => to.destroy());
    from.on("close", () => {
      this.sockets.delete(from);
      to.destroy();
    });
    if (this.state === "stalled") from.pause();
  }
}

function whole(from: net.Socket, to: net.Socket): void {
  from.on("data", (bytes) => to.write(bytes));
}

const TURN_MS = 10;

/** So many bytes a second, which `count` is told as they pass. What is not taken yet waits at its sender. */
export function slowly(bytesPerSecond: number, count: (bytes: number) => void): Carry {
  return (from, to) => {
    from.pause();
    let due = performance.now();
    const timer = setInterval(() => {
      // What a late turn missed is made up for.
      const now = performance.now();
      const share = Math.floor(((now - due) * bytesPerSecond) / 1000);
      due = now;
      const chunk = from.read(Math.min(share, from.readableLength)) as Buffer | null;
      if (chunk === null) return;
      count(chunk.length);
      to.write(chunk);
    }, TURN_MS);
    from.on("close", () => clearInterval(timer));
  };
}
