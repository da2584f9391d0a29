// etcd's own reader over logs that raftmark wrote: by a bench run of a real cluster, by each writer over several
// segments, and by a node that was killed under load. Needs Go, etcd's packages, and walcheck beside the repository.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { after, before, describe, type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { NO_DATA } from "../../../src/base/bytes.js";
import { encodeMetadata } from "../../../src/node/metadata.js";
import { newGroup } from "../../../src/node/new-group.js";
import { Entry } from "../../../src/raft/raftpb/index.js";
import { openWal, type WalOptions } from "../../../src/wal/index.js";
import { Command, scratchDir, until } from "../../process/support.js";
import { Victim } from "../../process/victim.js";
import { tempDir } from "../../temp-dir.js";
import { durable, run as entries, entry, meta, open, options, WRITERS } from "../helpers.js";

const ROOT = fileURLToPath(new URL("../../../../", import.meta.url));
const SOURCE = path.join(path.dirname(ROOT.replace(/\/$/, "")), "shared", "peers", "walcheck");
const GOPATH = "/usr/share/gocode";
const BENCH_MS = 60_000;
const LOAD_MS = 30_000;

/** Why it cannot be judged here; "" if it can. */
function missing(): string {
  if (!fs.existsSync(SOURCE)) return `no such directory: ${SOURCE}`;
  if (spawnSync("go", ["version"]).status !== 0) return "Go is not installed (apt-get install golang-go)";
  const etcd = `${GOPATH}/src/go.etcd.io/etcd/wal`;
  return fs.existsSync(etcd) ? "" : `no ${etcd} (apt-get install golang-etcd-server-dev)`;
}

const why = missing();

if (why !== "") test("etcd reads what we write", (t) => t.skip(why));
else describe("etcd reads what we write", judge);

function judge(): void {
  const build = tempDir();
  const walcheck = path.join(build, "walcheck");
  const scratch = scratchDir("etcd-reads");
  before(() => {
    const env = { ...process.env, GO111MODULE: "off", GOPATH, GOCACHE: "/tmp/gocache" };
    const built = spawnSync("go", ["build", "-o", walcheck, "."], { cwd: SOURCE, env, encoding: "utf8" });
    assert.equal(built.status, 0, built.stderr);
  });
  after(() => {
    Command.killAll();
    scratch.remove();
  });

  /** Every check of walcheck passes; it appends a record of etcd's to a copy, too. Returns what it says. */
  const accepted = (dir: string): string => {
    const { status, stdout, stderr } = spawnSync(walcheck, ["check", "-snap", "auto", dir], {
      encoding: "utf8",
    });
    assert.equal(status, 0, `${dir}\n${stdout}${stderr}`);
    assert.match(stdout, /^OK {3}append by etcd and read back/m);
    return stdout;
  };

  test("the logs of a bench run, three nodes under load", async () => {
    const axes = ["--writer", "pool-wasm", "--in-flight", "64", "--duration", "500ms", "--warmup", "100ms"];
    const command = new Command(scratch.path, "bench", "--quick", "--keep", "--dir", scratch.path, ...axes);
    assert.equal(await command.end(BENCH_MS), 0, command.stderr);
    const names = fs.readdirSync(scratch.path, { recursive: true, encoding: "utf8" });
    const logs = names.filter((name) => path.basename(name) === "wal");
    assert.equal(logs.length, 3);
    for (const log of logs) {
      const said = accepted(path.join(scratch.path, log));
      const found = /entries=(\d+) \[1\.\.\d+\]/.exec(said);
      assert.ok(Number(found?.[1]) > 64, said);
    }
  });

  for (const writer of WRITERS) {
    test(`several segments, overwritten suffixes, large and empty entries: ${writer}`, async (t) => {
      const dir = await severalSegments(t, writer);
      const said = accepted(path.join(dir, "wal"));
      assert.match(said, /segments=[1-9]\d /);
      assert.match(said, /entries=403 \[1\.\.403\] hardstate=\{4 3 200\}/);
    });
  }

  for (const writer of WRITERS) {
    test(`several segments and snapshots, older segments released: ${writer}`, async (t) => {
      const dir = await withSnapshots(t, writer);
      const names = fs.readdirSync(path.join(dir, "wal")).filter((name) => name.endsWith(".wal"));
      assert.ok(!names.includes("0000000000000000-0000000000000000.wal"), "segment 0 was released");
      const said = accepted(dir);
      assert.match(said, /segments=[1-9]/);
      assert.match(said, /wal\.ValidSnapshotEntries \[.*\{200 1\} \{300 1\}.*\]/);
      assert.match(said, /entries=100 \[301\.\.400\]/);
      const snaps = fs.readdirSync(path.join(dir, "snap")).map((name) => path.join(dir, "snap", name));
      assert.ok(snaps.length >= 2);
      const { stdout } = spawnSync(walcheck, ["snap", ...snaps], { encoding: "utf8" });
      const read = JSON.parse(stdout);
      assert.deepEqual(
        read.map(({ error, index }: { error: string; index: string }) => [error, index]),
        snaps.map((snap) => ["", `${Number.parseInt(path.basename(snap).slice(17, 33), 16)}`]),
      );
    });
  }

  test("a new group's, of such a log", async (t) => {
    const metadata = encodeMetadata(1, 1, { voters: [1], logId: new Uint8Array(8) });
    const dir = await withSnapshots(t, "inline-wasm", { metadata });
    const to = path.join(tempDir(t), "new");
    await newGroup(dir, to, { id: 7, clusterId: 2, address: "127.0.0.1:7007" });
    const said = accepted(to);
    assert.match(said, /wal\.ValidSnapshotEntries \[\{0 0\} \{300 1\}\]/);
    assert.match(said, /entries=100 \[301\.\.400\] hardstate=\{1 0 400\}/);
  });

  test("after kill -9 under load: as it was left, and after a restart", async () => {
    const dir = path.join(scratch.path, "killed");
    const victim = new Victim(dir, 0, 256 << 10);
    try {
      await until("a load under way", LOAD_MS, () => {
        victim.check();
        return victim.reported.length >= 1500;
      });
    } finally {
      await victim.kill();
    }
    const wal = path.join(dir, "wal");
    // A write that the kill cut short is torn: etcd repairs it as it would its own.
    const { stdout } = spawnSync(walcheck, ["damage", "-snap", "auto", dir], { encoding: "utf8" });
    const { before, afterRepair } = JSON.parse(stdout);
    const { error, entryCount } = (afterRepair ?? before).openForWrite;
    assert.equal(error, "");
    const last = Math.max(...victim.reported.map(({ index }) => index));
    assert.ok(entryCount >= last, `${entryCount} entries, and ${last} was reported durable`);
    const log = await openWal({ ...options(dir), dir: wal });
    await log.close();
    accepted(wal);
  });
}

async function severalSegments(t: TestContext, writer: (typeof WRITERS)[number]): Promise<string> {
  const dir = tempDir(t);
  const log = await open(t, options(dir, { writer, segmentBytes: 32 << 10 }));
  let seq = 0;
  for (let from = 1; from <= 300; from += 20) {
    seq = log.append({ term: 1, vote: 1, commit: 0 }, entries(from, from + 19, 1, 1 + from * 3));
  }
  // A new leader's entries replace what was not committed.
  seq = log.append({ term: 3, vote: 2, commit: 150 }, entries(201, 400, 3, 700));
  seq = log.append({ term: 4, vote: 3, commit: 200 }, [
    new Entry(0, 4, 401, NO_DATA),
    new Entry(0, 4, 402, new Uint8Array(0)),
    entry(403, 4, 100_000),
  ]);
  await durable(log, seq);
  await log.close();
  return dir;
}

async function withSnapshots(
  t: TestContext,
  writer: (typeof WRITERS)[number],
  more: Partial<WalOptions> = {},
): Promise<string> {
  const dir = tempDir(t);
  const log = await open(t, options(dir, { writer, segmentBytes: 16 << 10, snapshotsKept: 2, ...more }));
  for (let from = 1; from <= 400; from += 20) {
    await durable(log, log.append({ term: 1, vote: 1, commit: from + 19 }, entries(from, from + 19, 1, 300)));
    const last = from + 19;
    if (last % 100 === 0 && last < 400)
      await log.saveSnapshot(meta(last, 1), Buffer.from(`state at ${last}`));
  }
  await log.close();
  return dir;
}
