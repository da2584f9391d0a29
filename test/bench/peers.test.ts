// The table of peers says what its data says: ratios are taken pair by pair, not of the medians. And the CPU of a peer
// that does not tell it.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { CpuWatch } from "../../bench/peers/cpu-watch.js";
import { type Figures, type PeerRow, Peers, peersMarkdown, ratios } from "../../bench/peers/peers.js";
import { childrenOf, killProcess, PATIENCE_MS, until } from "../process/support.js";

const figures = (...rates: number[]): Figures[] =>
  rates.map((perS) => ({ perS, p50Us: 500, p99Us: 2000, cpuUsPerCommit: 12.5 }));
const GO: Figures[] = figures(200, 200, 200).map((each) => ({ ...each, p50Us: 400, cpuUsPerCommit: 5 }));
const row: PeerRow = {
  entryBytes: 256,
  inFlight: 64,
  raftmark: [
    { node: "v20.1.0", runs: figures(100, 300, 220) },
    { node: "v26.1.0", runs: figures(200, 400, 300) },
  ],
  goraft: GO,
};
const peers: Peers = {
  startedAt: "2026-01-02T03:04:05.678Z",
  finishedAt: "2026-01-02T03:14:05.678Z",
  command: "",
  commit: null,
  dirty: null,
  machine: { cpu: "", cores: 2, kernel: "", fileSystem: "ext4" },
  seconds: 4,
  warmup: 5,
  pairs: 3,
  rows: [row, { ...row, entryBytes: 16, inFlight: 4096 }],
  etcd: [{ entryBytes: 256, clients: 64, perS: 4503, p50Us: 1, p99Us: 2 }],
};

test("ratios are those of the pairs", () => {
  assert.deepEqual(ratios(row.raftmark[0]!.runs, GO, "perS"), { median: 1.1, low: 0.5, high: 1.5 });
  assert.equal(ratios(figures(100, 300), GO, "perS").median, 1);
  assert.equal(ratios(row.raftmark[0]!.runs, GO, "p50Us").median, 1.25);
});

test("a row a load and Node.js, with etcd's puts beside the same number of clients", () => {
  const [titles, , first, second, third, , , how] = peersMarkdown(peers).split("\n");
  assert.match(titles!, /etcd puts\/s \(different work\) \|$/);
  assert.equal(
    first,
    "| 256 | 64 | 20.1.0 | 220 | 200 | 1.10 (0.50 to 1.50) | 0.500, 0.400 | 1.25 | 2.00, 2.00 | 12.5, 5.00 | 4,503 |",
  );
  assert.match(second!, /^\| 256 \| 64 \| 26\.1\.0 \| 300 \| 200 \| 1\.50 \(1\.00 to 2\.00\) /);
  assert.match(third!, /^\| 16 \| 4,096 \| 20\.1\.0 \|.*\| {2}\|$/);
  assert.match(
    how!,
    /^4 s a run after 5 s of warm-up, 3 pairs a row, alternating; 2026-01-02, 03:04 to 03:14 UTC: /,
  );
});

test("a figure that was not measured is absent, not 0; no column of puts where there are none", () => {
  const unknown = GO.map((each) => ({ ...each, cpuUsPerCommit: null }));
  const [titles, , first] = peersMarkdown({ ...peers, etcd: [], rows: [{ ...row, goraft: unknown }] }).split(
    "\n",
  );
  assert.doesNotMatch(titles!, /etcd/);
  assert.match(first!, /\| 12\.5, – \|$/);
});

test("the committed data are of this shape", () => {
  const path = fileURLToPath(new URL("../../../results/peers.json", import.meta.url));
  Peers.parse(JSON.parse(readFileSync(path, "utf8")));
});

test("what cannot be asked is refused", () => {
  const main = fileURLToPath(new URL("../../bench/peers/main.js", import.meta.url));
  const refused = (...words: string[]) => {
    const { status, stderr } = spawnSync(process.execPath, [main, ...words], { encoding: "utf8" });
    assert.equal(status, 2, stderr);
    return stderr;
  };
  assert.match(refused("--goraft", "/nowhere"), /\/nowhere cannot be run: build it first/);
  assert.match(refused("--goraft", "/bin/sh", "--points", "256"), /--points: "256" is not BYTESxINFLIGHT/);
  assert.match(
    refused("--goraft", "/bin/sh", "--points", "256x0"),
    /--points: "0" is not a whole number above 0/,
  );
  assert.match(refused("--goraft", "/bin/sh", "--node", "18"), /Node\.js 18 is not supported/);
});

test("the CPU of a process's children is seen from outside", {
  skip: process.platform !== "linux",
}, async () => {
  const parent = spawn("/bin/sh", ["-c", `"${process.execPath}" -e 'for (;;);'; true`], { stdio: "ignore" });
  const watch = new CpuWatch(parent.pid!);
  // However busy the machine is: some of it at last.
  await until("the child's CPU to be seen", PATIENCE_MS, () => (watch.perSecond(300, 100) ?? 0) > 20);
  for (const child of childrenOf(parent.pid!)) killProcess(child);
  await once(parent, "exit");
  watch.end();
  assert.equal(watch.perSecond(60_000, 100), null);
});
