// A TCP relay on the path from one node to another, so that the path can fail: what one node sends stays away while the
// other's way is whole. In the test's process.
import net from "node:net";

/**
 * "open": carries. "stalled": keeps what comes until it opens again, as lost packets do that are sent again.
 * "closed": breaks connections and lets none through.
 */
export type PathState = "open" | "stalled" | "closed";

export class Relay {
  private readonly server: net.Server;
  private readonly target: number;
  private readonly sockets = new Set<net.Socket>();
  private state: PathState = "open";

  private constructor(target: number) {
    this.target = target;
    this.server = net.createServer((socket) => this.accept(socket));
  }

  /** Listens on a free port of this machine and carries to `target` there. */
  static async listen(target: number): Promise<Relay> {
    const relay = new Relay(target);
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
    this.join(near, far);
    this.join(far, near);
  }

  private join(from: net.Socket, to: net.Socket): void {
    this.sockets.add(from);
    from.setNoDelay(true);
    from.on("data", (bytes) => to.write(bytes));
    from.on("end", () => to.end());
    from.on("error", () => to.destroy());
    from.on("close", () => {
      this.sockets.delete(from);
      to.destroy();
    });
    if (this.state === "stalled") from.pause();
  }
}
