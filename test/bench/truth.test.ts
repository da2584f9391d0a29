// The truth check can fail: every way in which a run can lie is found, and named.
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { type AckedJournal, AckedWriter, readAcked } from "../../bench/harness/acked.js";
import { LogDigest } from "../../bench/harness/log-digest.js";
import { Payloads } from "../../bench/harness/payload.js";
import { readSnapshots, type SnapshotClaim } from "../../bench/harness/read-snapshots.js";
import { BenchStateMachine } from "../../bench/harness/state-machine.js";
import { judge, type Witness } from "../../bench/harness/truth.js";
import { NO_DATA } from "../../src/base/bytes.js";
import { EMPTY_CONF_STATE, Entry } from "../../src/raft/raftpb/index.js";
import { asyncFs } from "../../src/wal/disk/wal-fs.js";
import { snapName } from "../../src/wal/snap/snap-dir.js";
import { writeSnapFile } from "../../src/wal/snap/snap-file.js";
import { tempDir } from "../temp-dir.js";

const RUN_ID = 77;
const CLIENT = 2;
const COUNT = 20;
const dir = tempDir();

/** The empty entry of the leader's term, then COUNT payloads: seq i at index i + 2, term 3. */
function honestLog(): Entry[] {
  const payloads = new Payloads(RUN_ID, CLIENT, 64);
  const entries = [new Entry(0, 3, 1, NO_DATA)];
  for (let seq = 0; seq < COUNT; seq++) entries.push(new Entry(0, 3, seq + 2, payloads.next().slice()));
  return entries;
}

function journal(count = COUNT): AckedJournal {
  return { runId: RUN_ID, client: CLIENT, runs: [{ seq: 0, index: 2, term: 3, count }] };
}

/** What a node reports that applied `entries`. */
function stateOf(entries: readonly Entry[]) {
  const machine = new BenchStateMachine();
  machine.apply(entries.filter((entry) => entry.type === 0 && entry.data.length > 0));
  return machine.report();
}

interface Case {
  readonly logs?: readonly Entry[][];
  readonly commits?: readonly number[];
  readonly states?: readonly (ReturnType<typeof stateOf> | null)[];
  readonly journals?: readonly AckedJournal[];
  readonly ackedMin?: number;
  /** Of node 2. */
  readonly snapshots?: readonly SnapshotClaim[];
}

function check(given: Case) {
  const logs = given.logs ?? [honestLog(), honestLog(), honestLog()];
  const states = given.states ?? logs.map(() => stateOf(honestLog()));
  const { snapshots = [] } = given;
  const wanted = states.flatMap((state) => (state === null ? [] : [state.applied]));
  for (const { index } of snapshots) wanted.push(index);
  const witnesses: Witness[] = logs.map((entries, i) => {
    const log = new LogDigest(i + 1, wanted);
    for (const entry of entries) log.add(entry);
    log.commit = given.commits?.[i] ?? entries.length;
    log.end();
    return { log, state: states[i], snapshots: i === 1 ? snapshots : [] };
  });
  return judge(witnesses, given.journals ?? [journal()], 3, given.ackedMin ?? COUNT);
}

function refuted(given: Case, ...messages: RegExp[]): void {
  const report = check(given);
  assert.equal(report.ok, false);
  for (const message of messages) {
    assert.ok(
      report.findings.some((finding) => message.test(finding)),
      `${message} not in:\n${report.findings.join("\n")}`,
    );
  }
}

test("an honest run is true", () => {
  const report = check({});
  assert.deepEqual(report.findings, []);
  assert.equal(report.ok, true);
  assert.equal(report.ackedChecked, COUNT);
  assert.equal(report.committedChecked, COUNT + 1);
  assert.equal(report.stateHash, stateOf(honestLog()).hash);
  assert.equal(report.stateIndex, COUNT + 1);
});

test("a minority that lags or has another uncommitted tail is true", () => {
  const behind = honestLog().slice(0, 10);
  assert.equal(
    check({ logs: [honestLog(), honestLog(), behind], states: [stateOf(honestLog()), null, null] }).ok,
    true,
  );
  const stale = [...honestLog().slice(0, 15), new Entry(0, 2, 16, Uint8Array.of(9))];
  const given = { logs: [honestLog(), honestLog(), stale], commits: [21, 21, 15] };
  assert.equal(check({ ...given, states: [stateOf(honestLog()), stateOf(honestLog()), null] }).ok, true);
});

test("an acknowledged entry that only one log has is found", () => {
  const short = honestLog().slice(0, -1);
  refuted(
    { logs: [honestLog(), short, short], commits: [21, 20, 20], states: [null, null, null] },
    /acknowledged proposal seq 19 of client 2 \(index 21, term 3\) is in 1 log\(s\), a quorum is 2: node 2 has nothing/,
    /committed index 21 is the same in 1 log\(s\) only/,
  );
});

test("an acknowledged entry with another's place or term is found", () => {
  const swapped = { ...journal(), runs: [{ seq: 4, index: 7, term: 3, count: 1 }] };
  refuted({ journals: [swapped], ackedMin: 1 }, /seq 4 of client 2 \(index 7, term 3\) is in 0 log/);
  const retermed = { ...journal(), runs: [{ seq: 4, index: 6, term: 4, count: 1 }] };
  refuted({ journals: [retermed], ackedMin: 1 }, /index 6, term 4\) is in 0 log/);
  refuted({ journals: [{ ...journal(), runId: 78 }] }, /is in 0 log/);
  refuted({ journals: [{ ...journal(), client: 3 }] }, /seq 0 of client 3/);
});

test("a journal that lost acknowledgements is found", () => {
  refuted({ journals: [journal(COUNT - 1)] }, /hold 19 acknowledgements, but 20 were counted/);
});

test("an entry that differs on one node is found, with node and index", () => {
  const tampered = (at: number): Entry[] => {
    const log = honestLog();
    const data = log[8].data.slice();
    data[at] ^= 1;
    log[8] = new Entry(0, 3, 9, data);
    return log;
  };
  const differs = /committed index 9 differs: node 1 has .*; node 2 has /;
  // In the middle, where the state machine does not look.
  refuted({ logs: [honestLog(), tampered(40), honestLog()] }, differs);
  refuted(
    { logs: [honestLog(), tampered(63), honestLog()] },
    differs,
    /node 2: its state machine reported hash .* at index 21, its log applied again gives /,
    /state hash at index 21: node 2 has /,
  );
});

test("an entry of another term at a committed index is found", () => {
  const tampered = honestLog();
  tampered[8] = new Entry(0, 2, 9, tampered[8].data);
  refuted({ logs: [honestLog(), honestLog(), tampered] }, /committed index 9 differs: .* node 3 has term 2/);
});

test("a state machine whose hash is not its log's is found", () => {
  const wrong = { ...stateOf(honestLog()), hash: "0123456789abcdef" };
  const right = stateOf(honestLog());
  refuted(
    { states: [right, wrong, right] },
    /node 2: its state machine reported hash 0123456789abcdef at index 21/,
  );
});

test("a state machine that skipped an entry is found", () => {
  const skipped = stateOf(honestLog().filter(({ index }) => index !== 5));
  refuted(
    { states: [stateOf(honestLog()), skipped, stateOf(honestLog())] },
    /node 2: its state machine reported/,
  );
});

test("a snapshot of another state than the log gives is found", () => {
  const { hash } = stateOf(honestLog().filter(({ index }) => index <= 9));
  assert.deepEqual(check({ snapshots: [{ index: 9, hash }] }).findings, []);
  refuted(
    { snapshots: [{ index: 10, hash }] },
    /node 2: its snapshot at index 10 says state hash [0-9a-f]{16}, its log applied again gives [0-9a-f]{16}$/,
  );
  refuted({ snapshots: [{ index: 99, hash }] }, /snapshot at index 99 .*gives nothing: the log ends before/);
});

test("snapshots are read from the disk as a whole", async () => {
  const machine = new BenchStateMachine();
  machine.apply(honestLog().slice(1));
  const { applied, hash } = machine.report();
  const confState = { ...EMPTY_CONF_STATE, voters: [1] };
  const metadata = { index: applied, term: 3, confState };
  const node = join(dir, "snapshots");
  const snapDir = join(node, "snap");
  mkdirSync(snapDir, { recursive: true });
  const path = join(snapDir, snapName(metadata));
  const { signal } = new AbortController();
  await writeSnapFile(asyncFs, path, metadata, Buffer.concat([...machine.chunks(1_000_000)]), signal);
  assert.deepEqual(await readSnapshots(node), [{ index: applied, hash }]);
  const bytes = readFileSync(path);
  assert.ok(bytes.length > 1_000_000 && bytes.length < 1_001_000);
  bytes[700_000] ^= 1;
  writeFileSync(path, bytes);
  await assert.rejects(readSnapshots(node), { code: "WAL_CORRUPT" });
  await writeSnapFile(asyncFs, path, metadata, Buffer.from("somebody else’s"), signal);
  await assert.rejects(readSnapshots(node), /does not begin as a snapshot of the bench does/);
  // A log that begins behind an index has one of no state.
  await writeSnapFile(asyncFs, path, metadata, new Uint8Array(0), signal);
  assert.deepEqual(await readSnapshots(node), []);
});

test("a log that ends before its commit, or has a gap, is found", () => {
  refuted(
    { logs: [honestLog(), honestLog(), honestLog().slice(0, 12)], commits: [21, 21, 21] },
    /node 3: committed up to 21, but its log ends at 12/,
  );
  const rewritten = [
    ...honestLog().slice(0, 15),
    new Entry(0, 2, 16, Uint8Array.of(9)),
    ...honestLog().slice(15),
  ];
  assert.deepEqual(
    check({ logs: [honestLog(), rewritten, honestLog()], commits: [21, 21, 21] }).findings,
    [],
  );
  const gap = honestLog().filter(({ index }) => index !== 5);
  refuted({ logs: [honestLog(), honestLog(), gap] }, /node 3: index 6 follows 4 in its log/);
});

test("many findings are counted and few are told", () => {
  const report = check({ logs: [honestLog(), [], []], commits: [21, 0, 0], states: [null, null, null] });
  assert.equal(report.findings.length, 10);
  assert.equal(report.findingCount, COUNT + COUNT + 1);
  assert.equal(report.ackedLost, COUNT, "all that were acknowledged, not only those that are told");
});

test("a journal with a changed byte is found", () => {
  const path = join(dir, "acked");
  const writer = new AckedWriter(path, RUN_ID, CLIENT);
  for (let seq = 0; seq < COUNT; seq++) writer.add(seq, seq + 2, 3);
  writer.close();
  assert.equal(check({ journals: [readAcked(path)] }).ok, true);
  const bytes = readFileSync(path);
  bytes.writeDoubleLE(bytes.readDoubleLE(32) + 1, 32);
  writeFileSync(path, bytes);
  refuted({ journals: [readAcked(path)] }, /is in 0 log/);
});
