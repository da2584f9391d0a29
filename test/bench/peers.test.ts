// The table of peers says what its data says: ratios are taken pair by pair, not of the medians.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Figures, type PeerRow, type Peers, peersMarkdown, ratios } from "../../bench/peers/peers.js";

const figures = (...rates: number[]): Figures[] => rates.map((perS) => ({ perS, p50Us: 500, p99Us: 2000 }));
const row: PeerRow = { inFlight: 64, raftmark: figures(100, 300, 220), goraft: figures(200, 200, 200) };

test("ratios are those of the pairs", () => {
  assert.deepEqual(ratios(row), { median: 1.1, low: 0.5, high: 1.5 });
  assert.equal(ratios({ ...row, raftmark: figures(100, 300), goraft: figures(200, 200) }).median, 1);
});

test("a row a load, with etcd's puts beside the same number of clients", () => {
  const peers: Peers = {
    startedAt: "2026-01-02T03:04:05.678Z",
    finishedAt: "2026-01-02T03:14:05.678Z",
    command: "",
    commit: null,
    dirty: null,
    machine: { cpu: "", cores: 2, kernel: "", node: "", fileSystem: "ext4" },
    entryBytes: 256,
    seconds: 4,
    pairs: 3,
    rows: [row, { ...row, inFlight: 1024 }],
    etcd: [{ clients: 64, perS: 4503, p50Us: 1, p99Us: 2 }],
  };
  const [, , first, second, , how] = peersMarkdown(peers).split("\n");
  assert.equal(first, "| 64 | 220 | 200 | 1.10 (0.50 to 1.50) | 0.500, 0.500 | 2.00, 2.00 | 4,503 |");
  assert.match(how, /^256 bytes, 4 s a run, 3 pairs a row, alternating; 2026-01-02, 03:04 to 03:14 UTC: /);
  assert.match(second, /^\| 1,024 \|.*\| {2}\|$/);
});
