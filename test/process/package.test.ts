// The package as a user gets it: packed, beside nothing but the packages it depends on, in a directory of its own.
// Without a network: its dependencies are copied from this repository's.
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join, resolve } from "node:path";
import { before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { tempDir } from "../temp-dir.js";

const ROOT = resolve(fileURLToPath(new URL("../../../", import.meta.url)));
const INSTALLED_BYTES_MAX = 12_000_000;
// Not below the repository, whose node_modules would be found from there.
const scratch = tempDir();
const modules = join(scratch, "node_modules");

interface Manifest {
  readonly dependencies?: Record<string, string>;
  readonly optionalDependencies?: Record<string, string>;
  readonly [field: string]: unknown;
}

const manifestOf = (dir: string): Manifest => JSON.parse(readFileSync(join(dir, "package.json"), "utf8"));

/** Copies what `manifest` depends on, and what that does; npm lays all of it flat unless versions differ. */
function installDependencies(manifest: Manifest): void {
  for (const name of Object.keys({ ...manifest.dependencies, ...manifest.optionalDependencies })) {
    const from = join(ROOT, "node_modules", name);
    // Optional ones are there on the platforms that they are for.
    if (!existsSync(from) || existsSync(join(modules, name))) continue;
    cpSync(from, join(modules, name), { recursive: true });
    installDependencies(manifestOf(from));
  }
}

/** As `du` counts: whole blocks. */
function bytesOnDisk(path: string): number {
  const { blocks } = lstatSync(path);
  if (!lstatSync(path).isDirectory()) return blocks * 512;
  return readdirSync(path).reduce((sum, name) => sum + bytesOnDisk(join(path, name)), blocks * 512);
}

function run(program: string, ...args: string[]): { status: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync(program, args, { cwd: scratch, encoding: "utf8" });
  return { status, output: stdout + stderr };
}

const raftmark = (...args: string[]) =>
  run(process.execPath, join(modules, "raftmark/dist/src/cli/main.js"), ...args);

before(() => {
  const packed = execFileSync("npm", ["pack", "--ignore-scripts", "--json", "--pack-destination", scratch], {
    cwd: ROOT,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
  const [{ filename }] = JSON.parse(packed) as [{ filename: string }];
  mkdirSync(join(modules, "raftmark"), { recursive: true });
  const archive = join(scratch, filename);
  execFileSync("tar", ["-xzf", archive, "-C", join(modules, "raftmark"), "--strip-components=1"]);
  rmSync(archive);
  installDependencies(manifestOf(join(modules, "raftmark")));
  writeFileSync(join(scratch, "package.json"), JSON.stringify({ type: "module" }));
});

test("a service installs at most 12 MB, and no source maps without their sources", () => {
  const bytes = bytesOnDisk(modules);
  assert.ok(bytes <= INSTALLED_BYTES_MAX, `${readdirSync(modules).join(", ")}: ${bytes} bytes`);
  const files = readdirSync(join(modules, "raftmark"), { recursive: true, encoding: "utf8" });
  assert.deepEqual(
    files.filter((name) => name.endsWith(".map")),
    [],
  );
  for (const entry of ["dist/src/index.js", "dist/src/index.d.ts", "dist/assembly/wal.wasm", "README.md"])
    assert.ok(files.includes(entry), entry);
});

test("it says where it is kept", () => {
  const { repository, bugs, keywords, license } = manifestOf(join(modules, "raftmark"));
  assert.ok(repository !== undefined && bugs !== undefined && license !== undefined);
  assert.ok(Array.isArray(keywords) && keywords.includes("raft"));
});

test("its types compile without @types/node, with libraries checked", () => {
  const example = `
    import { RaftNode, RaftmarkError, type StateMachine } from "raftmark";
    import { crc32c, readWal } from "raftmark/wal";
    import { MemoryNetwork } from "raftmark/link";
    import { RawNode } from "raftmark/raft";
    const counts = new Map<number, number>();
    const stateMachine: StateMachine = {
      apply: (entries) => entries.map(({ index, data }) => counts.set(index, data.length).size),
    };
    const peers = { 1: "127.0.0.1:7001" };
    class Silent implements StateMachine {
      apply() {}
    }
    const unset = { tickMs: undefined, logger: undefined, link: undefined, stateMachine: new Silent() };
    const own = { id: 1, dir: "data", listen: peers[1], peers, secret: "x" };
    const node = await RaftNode.open({ ...own, ...unset, stateMachine });
    node.on("leader", ({ leader, term }) => [leader.toFixed(), term.toFixed()]);
    node.once("fault", (error: RaftmarkError) => error.code);
    const { index }: { index: number } = await node.propose(new Uint8Array(1));
    await node.readBarrier({ signal: new AbortController().signal });
    export const all = [index, crc32c, readWal, RawNode, MemoryNetwork, node.status().leader];
    // @ts-expect-error: no such event.
    node.on("nothing", () => {});
    await node.close();
  `;
  writeFileSync(join(scratch, "example.ts"), example);
  const tsc = join(ROOT, "node_modules/typescript/bin/tsc");
  for (const target of ["es2022", "esnext"]) {
    const options = [
      "--noEmit",
      "--strict",
      "--exactOptionalPropertyTypes",
      "--target",
      target,
      "--module",
      "nodenext",
    ];
    const { status, output } = run(
      process.execPath,
      tsc,
      ...options,
      "--skipLibCheck",
      "false",
      "example.ts",
    );
    assert.equal(status, 0, output);
  }
});

test("the engine runs with the packages it brings", () => {
  const program = `
    import { RaftNode } from "raftmark";
    const at = "127.0.0.1:0";
    const stateMachine = { apply: (entries) => entries.map(({ size }) => size) };
    const secret = "0123456789abcdef0123456789abcdef";
    const node = await RaftNode.open({ id: 1, dir: "data", listen: at, peers: { 1: at }, secret, stateMachine });
    await node.whenLeader();
    const { result } = await node.propose(new Uint8Array(5));
    await node.close();
    console.log("result", result);
  `;
  writeFileSync(join(scratch, "service.mjs"), program);
  const { status, output } = run(process.execPath, "service.mjs");
  assert.equal(status, 0, output);
  assert.match(output, /^result 5$/m);
});

test("raftmark looks into logs as it is, and says what its bench wants to be installed", () => {
  assert.match(raftmark("wal", "verify", "data/wal").output, /sound/);
  assert.match(raftmark("--help").output, /\n {2}bench .*wants packages that are not installed/);
  for (const command of ["bench", "report", "compare", "gate", "history", "sim"]) {
    const { status, output } = raftmark(command, "--quick", "x");
    assert.equal(status, 2, output);
    const start = new RegExp(`^raftmark: raftmark ${command} wants packages .*: npm install cli-table3@0 `);
    assert.match(output, start);
    assert.doesNotMatch(output, /\n./);
  }
});

test("with what it asks for, the bench runs", () => {
  const { peerDependencies } = manifestOf(ROOT) as { peerDependencies: Record<string, string> };
  const asked = raftmark("bench").output.trim().split("npm install ")[1]!.split(" ");
  const names = asked.map((name) => name.replace(/@\d+$/, ""));
  for (const name of names) assert.ok(peerDependencies[name] !== undefined, name);
  installDependencies({ dependencies: Object.fromEntries(names.map((name) => [name, "*"])) });
  const { status, output } = raftmark("bench", "--list");
  assert.equal(status, 0, output);
  assert.match(output, /leader-loss/);
  const world = raftmark("sim", "--seed", "1", "--steps", "500");
  assert.equal(world.status, 0, world.output);
});
