// The lock of a log directory against owners whose process ids say nothing here: what lives in another pid namespace, as
// in another container, is known by its socket. By real namespaces, where the system lets us have some, and without.
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import net from "node:net";
import path from "node:path";
import { createInterface } from "node:readline";
import { type TestContext, test } from "node:test";
import { lockDir } from "../../../src/wal/disk/lock.js";
import { openWal } from "../../../src/wal/index.js";
import { atEnd, tempDir } from "../../temp-dir.js";
import { open, options } from "../helpers.js";

const NAMESPACES = ["--pid", "--net", "--fork", "--kill-child", "--mount-proc"];
const refused = spawnSync("unshare", [...NAMESPACES, "true"]).status !== 0;
const SKIP = refused ? "no namespaces to be had here (unshare --pid)" : false;
const MEMORY = "/dev/shm";

const WAL = new URL("../../../src/wal/index.js", import.meta.url).href;
const ENTRY = new URL("../../../src/raft/raftpb/index.js", import.meta.url).href;
/** Appends as long as it lives, and says up to which index all is durable; or with which code it was refused. */
const WRITER = `
  import fs from "node:fs";
  const { openWal } = await import(${JSON.stringify(WAL)});
  const { Entry } = await import(${JSON.stringify(ENTRY)});
  const say = (text) => fs.writeSync(1, text + "\\n");
  try {
    const wal = await openWal({ dir: process.argv[1], metadata: Uint8Array.of(8, 1, 16, 2), writer: "inline-js",
      segmentBytes: 65536, ringBytes: 16384 });
    const first = wal.recovered.lastIndex;
    let index = first;
    const more = () => wal.append({ term: 1, vote: 1, commit: 0 }, [new Entry(0, 1, ++index, new Uint8Array(9))], true);
    say("from " + first);
    wal.onFault = (fault) => say(fault.code);
    wal.onDurable = (seq) => { say("durable " + (first + seq)); setTimeout(more, 2); };
    more();
  } catch (error) { say(error.code + " " + error.message); }`;

/** A process of its own with its lines. `pid`: as it is seen here. */
class Owner {
  private readonly child: ChildProcess;
  private readonly lines: string[] = [];
  private readonly ended: Promise<unknown>;
  private onLine = (): void => {};

  constructor(t: TestContext, inside: boolean, dir: string) {
    const argv = [process.execPath, "--input-type=module", "-e", WRITER, dir];
    const [command, ...args] = inside ? ["unshare", ...NAMESPACES, ...argv] : argv;
    this.child = spawn(command!, args, { stdio: ["ignore", "pipe", "inherit"] });
    this.ended = once(this.child, "exit");
    createInterface(this.child.stdout!).on("line", (line) => {
      this.lines.push(line);
      this.onLine();
    });
    atEnd(t, () => this.kill());
  }

  /** The next line that begins so; what it says in between is of its writing. */
  async next(start: string): Promise<string> {
    for (;;) {
      const line = this.lines.shift();
      if (line === undefined) await new Promise<void>((resolve) => (this.onLine = resolve));
      else if (line.startsWith(start)) return line;
      else assert.ok(start !== "WAL_LOCKED" && !line.startsWith("WAL_"), `${line}, and not ${start}`);
    }
  }

  signal(name: NodeJS.Signals): void {
    const { pid } = this.child;
    const children = fs.readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
    process.kill(children === "" ? pid! : Number(children), name);
  }

  async kill(): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) this.signal("SIGKILL");
    await this.ended;
  }
}

for (const [place, first, second] of [
  ["disk", true, false],
  ["disk", false, true],
  ["disk", true, true],
  ["memory", true, true],
] as const) {
  const name = (inside: boolean) => (inside ? "a container" : "its host");
  const at = `in ${place === "disk" ? "the temporary directory" : MEMORY}`;
  const skip = SKIP || (place === "memory" && !fs.existsSync(MEMORY) ? `no ${MEMORY}` : false);
  test(`${at}: ${name(first)} writes, ${name(second)} is refused, and takes over after a kill`, {
    skip,
  }, async (t) => {
    const top = place === "disk" ? tempDir(t) : fs.mkdtempSync(`${MEMORY}/raftmark-test-`);
    if (place === "memory") atEnd(t, () => fs.rmSync(top, { recursive: true, force: true }));
    const dir = path.join(top, "wal");
    const owner = new Owner(t, first, dir);
    await owner.next("durable");
    assert.match(
      await new Owner(t, second, dir).next("WAL_LOCKED"),
      /in use by a process of another container/,
    );
    await owner.next("durable");
    owner.signal("SIGSTOP");
    await new Owner(t, second, dir).next("WAL_LOCKED");
    owner.signal("SIGCONT");
    const durable = Number((await owner.next("durable")).slice(8));
    await owner.kill();
    const successor = new Owner(t, second, dir);
    const from = Number((await successor.next("from")).slice(5));
    assert.ok(from >= durable, `${from} < ${durable}`);
    await successor.kill();
    await (await openWal(options(top))).close();
    assert.deepEqual(fs.readdirSync(top), ["wal"], "nothing is left of lock and sockets");
  });
}

const NOBODY = 2 ** 31 - 2;
const NONCE = "0123456789abcdef";

for (const [whose, pid] of [
  ["nobody's", NOBODY],
  ["our own, without /proc,", process.pid],
] as const) {
  test(`an owner whose process id is ${whose} is refused for while it listens, and not for what it leaves`, async (t) => {
    const top = tempDir(t);
    const walOptions = options(top);
    const lock = `${walOptions.dir}.lock`;
    fs.writeFileSync(lock, JSON.stringify({ pid, started: "", nonce: NONCE }));
    const server = net.createServer((socket) => socket.destroy());
    server.listen(path.join(top, `wal.lock.${NONCE}.sock`));
    await once(server, "listening");
    const left = path.join(top, "left");
    fs.linkSync(path.join(top, `wal.lock.${NONCE}.sock`), left);
    await assert.rejects(openWal(walOptions), { code: "WAL_LOCKED" });
    assert.equal(JSON.parse(fs.readFileSync(lock, "utf8")).nonce, NONCE);
    server.close();
    fs.renameSync(left, path.join(top, `wal.lock.${NONCE}.sock`));
    await (await openWal(walOptions)).close();
    assert.deepEqual(fs.readdirSync(top), ["wal"]);
  });
}

test("a lock of an older raftmark, which has no socket, is judged by its process id", async (t) => {
  const walOptions = options(tempDir(t));
  const lock = `${walOptions.dir}.lock`;
  fs.writeFileSync(lock, JSON.stringify({ pid: process.pid, started: "", nonce: NONCE }));
  await assert.rejects(openWal(walOptions), { code: "WAL_LOCKED" });
  fs.writeFileSync(lock, JSON.stringify({ pid: NOBODY, started: "", nonce: NONCE }));
  await (await openWal(walOptions)).close();
});

test("whether an owner lives that cannot be told is not guessed", async (t) => {
  const walOptions = options(tempDir(t));
  const lock = `${walOptions.dir}.lock`;
  fs.writeFileSync(lock, JSON.stringify({ pid: NOBODY, started: "", nonce: NONCE }));
  const original = net.connect;
  t.mock.method(net, "connect", (given: { path: string }) => {
    if (!given.path.includes(NONCE)) return original(given);
    const socket = new net.Socket();
    setImmediate(() => socket.destroy(Object.assign(new Error("EACCES"), { code: "EACCES" })));
    return socket;
  });
  await assert.rejects(openWal(walOptions), { code: "WAL_LOCKED", message: /cannot be told \(EACCES\)/ });
  assert.equal(JSON.parse(fs.readFileSync(lock, "utf8")).nonce, NONCE);
});

test("a directory whose path is longer than a socket's may be has one all the same, beside its lock", async (t) => {
  const root = tempDir(t);
  const top = path.join(root, "x".repeat(90), "y".repeat(200));
  const dir = path.join(top, "z".repeat(150));
  fs.mkdirSync(top, { recursive: true });
  const lock = await lockDir(dir);
  const [socket] = fs.readdirSync(top).filter((name) => name.endsWith(".sock"));
  assert.ok(fs.lstatSync(path.join(top, socket!)).isSocket());
  assert.deepEqual(fs.readdirSync(root), ["x".repeat(90)]);
  // As from another pid namespace.
  const { nonce } = JSON.parse(fs.readFileSync(lock.file.path, "utf8"));
  fs.writeFileSync(lock.file.path, JSON.stringify({ pid: NOBODY, started: "", nonce }));
  await assert.rejects(lockDir(dir), { code: "WAL_LOCKED" });
  lock.release();
  assert.deepEqual(fs.readdirSync(top), []);
});

test("where the file system has no sockets, the process id is what there is", async (t) => {
  const walOptions = options(tempDir(t));
  t.mock.method(net.Server.prototype, "listen", () => {
    throw Object.assign(new Error("EPERM"), { code: "EPERM" });
  });
  const wal = await open(t, walOptions);
  assert.deepEqual(fs.readdirSync(path.dirname(walOptions.dir)).sort(), ["wal", "wal.lock"]);
  await assert.rejects(openWal(walOptions), { code: "WAL_LOCKED" });
  await wal.close();
});

test("a lock keeps no descriptor when it is given back or refused", async (t) => {
  const dir = path.join(tempDir(t), "wal");
  const held = () => fs.readdirSync("/proc/self/fd").length;
  await (await lockDir(dir)).release();
  const before = held();
  for (let i = 0; i < 10; i++) {
    const lock = await lockDir(dir);
    await assert.rejects(lockDir(dir), { code: "WAL_LOCKED" });
    lock.release();
  }
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(held(), before);
  assert.deepEqual(fs.readdirSync(path.dirname(dir)), []);
});

test("a lock that nobody gives back keeps no process up, and is taken over", (t) => {
  const top = tempDir(t);
  const lockUrl = new URL("../../../src/wal/disk/lock.js", import.meta.url).href;
  const script = `await (await import(${JSON.stringify(lockUrl)})).lockDir(process.argv[1]);`;
  const argv = ["--input-type=module", "-e", script, path.join(top, "wal")];
  for (let i = 0; i < 2; i++) {
    const { status, stderr } = spawnSync(process.execPath, argv, { encoding: "utf8", timeout: 60_000 });
    assert.equal(status, 0, stderr);
    // Node removes the socket as it ends by itself.
    assert.deepEqual(fs.readdirSync(top), ["wal.lock"]);
  }
});
