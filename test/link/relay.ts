// A slow path: a TCP relay that passes on so many bytes a second, one way.
import net from "node:net";
import type { TestContext } from "node:test";

const TURN_MS = 10;

export class Relay {
  /** Where to connect; what goes on to `to` and comes back from it passes here. */
  port = 0;
  /** Bytes that came back. */
  through = 0;
  private readonly server: net.Server;

  constructor(t: TestContext, to: () => number, bytesPerSecond: number) {
    const ends = new Set<() => void>();
    this.server = net.createServer((near) => {
      const far = net.connect(to(), "127.0.0.1");
      far.pause();
      let due = performance.now();
      const timer = setInterval(() => {
        // What a late turn missed is made up for.
        const now = performance.now();
        const share = Math.floor(((now - due) * bytesPerSecond) / 1000);
        due = now;
        const chunk = far.read(Math.min(share, far.readableLength)) as Buffer | null;
        if (chunk === null) return;
        this.through += chunk.length;
        near.write(chunk);
      }, TURN_MS);
      const end = (): void => {
        clearInterval(timer);
        near.destroy();
        far.destroy();
        ends.delete(end);
      };
      ends.add(end);
      near.pipe(far);
      for (const socket of [near, far]) {
        socket.on("error", () => {});
        socket.on("close", end);
      }
    });
    t.after(() => {
      this.server.close();
      for (const end of [...ends]) end();
    });
  }

  async listen(): Promise<this> {
    await new Promise<void>((done) => this.server.listen(0, "127.0.0.1", done));
    this.port = (this.server.address() as net.AddressInfo).port;
    return this;
  }
}
