// `raftmark wal` as a user meets it: the real command over logs of our own writer, sound and damaged, and, where they
// are there, over every fixture that etcd made.
import assert from "node:assert/strict";
import { execFile, spawnSync } from "node:child_process";
import fs from "node:fs";
import { dirname, join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { ByteProgress } from "../../src/cli/byte-progress.js";
import { repairLog } from "../../src/cli/wal-repair.js";
import { encodeMetadata } from "../../src/node/metadata.js";
import { frame } from "../../src/wal/format/record.js";
import { restore } from "../conformance/wal-kind.js";
import { tempDir } from "../temp-dir.js";
import { durable, run as entries, meta, newestSegment, open, options } from "../wal/helpers.js";

const MAIN = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));
const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const FIXTURES = join(dirname(ROOT.replace(/\/$/, "")), "shared", "conformance", "wal");

interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** No command takes so long. */
const HANGS_MS = 120_000;

function wal(...args: string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [MAIN, "wal", ...args],
      { maxBuffer: 1 << 26, timeout: HANGS_MS, killSignal: "SIGKILL" },
      (_, stdout, stderr) => resolve({ status: child.exitCode, stdout, stderr }),
    );
  });
}

/** A closed log of our own: 300 entries in several segments. Returns the directory above it. */
async function ownLog(t: TestContext): Promise<string> {
  const dir = tempDir(t);
  const log = await open(t, options(dir, { segmentBytes: 16 << 10 }));
  const state = { term: 1, vote: 1, commit: 250 };
  let seq = 0;
  for (let from = 1; from <= 300; from += 10) seq = log.append(state, entries(from, from + 9, 1, 200));
  await durable(log, seq);
  await log.close();
  return dir;
}

/** End of the last record of the newest segment that is no seal, and where that record begins. */
async function lastRecord(dir: string): Promise<{ offset: number; end: number }> {
  const { stdout } = await wal("dump", dir, "--records", "--json");
  const records = stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  const record = records.findLast(({ type }) => type !== "crc");
  return { offset: record.offset, end: record.offset + 8 + record.length + record.padding };
}

function overwrite(file: string, at: number, bytes: Uint8Array): void {
  const fd = fs.openSync(file, "r+");
  fs.writeSync(fd, bytes, 0, bytes.length, at);
  fs.closeSync(fd);
}

test("help teaches, with examples and exit codes", async () => {
  for (const [args, words] of [
    [["--help"], ["dump", "verify", "repair", "Examples:", "Exit codes:"]],
    [
      ["dump", "--help"],
      ["--json", "--from", "--to", "--records", "Examples:"],
    ],
    [
      ["verify", "--help"],
      ["--jobs", "--snap", "Examples:"],
    ],
    [
      ["repair", "--help"],
      [".broken", "Examples:"],
    ],
  ] as const) {
    const { status, stdout } = await wal(...args);
    assert.equal(status, 0);
    for (const word of words)
      assert.ok(stdout.includes(word), `${word} is not in the help of ${args.join(" ")}`);
  }
  assert.equal((await wal()).status, 2);
});

test("what cannot be read, and mistakes: exit code 2 and one sentence", async (t) => {
  const dir = tempDir(t);
  fs.writeFileSync(join(dir, "file"), "");
  const cases: [string[], RegExp][] = [
    [["verify", join(dir, "nowhere")], /there is no directory .*nowhere/],
    [["verify", join(dir, "file")], /file is a file; name the directory/],
    [["verify", dir], /there is no log in .*wal: file not found/],
    [["dump", dir], /there is no log in/],
    [["repair", dir], /there is no log in/],
    [["dump"], /missing required argument 'dir'/],
    [["dump", dir, "--from", "x"], /--from: "x" is not allowed: it takes a whole number/],
    [["dump", dir, "--from", "18446744073709551616"], /--from: .* is not allowed/],
    [["dump", dir, "--from", "3", "--to", "2"], /--from 3 lies behind --to 2/],
    [["verify", dir, "-j", "0"], /--jobs: "0" is not allowed/],
    [["verify", dir, "--snap", "7"], /it takes INDEX:TERM/],
    [["verfy", dir], /unknown command 'verfy'\. Did you mean verify\?/],
    [["dump", dir, "--jsn"], /unknown option '--jsn'\. Did you mean --json\?/],
  ];
  for (const [args, expected] of cases) {
    const { status, stdout, stderr } = await wal(...args);
    assert.equal(status, 2, args.join(" "));
    assert.equal(stdout, "");
    assert.match(stderr, expected);
    assert.equal(stderr.trim().split("\n").length, 1, "one sentence");
  }
});

test("a file without permission: exit code 2", async (t) => {
  const dir = await ownLog(t);
  fs.chmodSync(dir, 0o755);
  fs.chmodSync(join(dir, "wal"), 0o755);
  fs.chmodSync(newestSegment(join(dir, "wal")), 0);
  // Root may read everything: somebody else is sent.
  const who = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {};
  if (spawnSync(process.execPath, [MAIN, "--version"], who).status !== 0) {
    t.skip(`user 65534 cannot run ${MAIN}`);
    return;
  }
  const { status, stderr } = spawnSync(process.execPath, [MAIN, "wal", "verify", dir], {
    encoding: "utf8",
    ...who,
  });
  assert.equal(status, 2);
  assert.match(stderr, /EACCES.*run as the user that owns it/);
});

test("a sound log: verify, with one thread and with two", async (t) => {
  const dir = await ownLog(t);
  const one = await wal("verify", dir, "-j", "1");
  assert.equal(one.status, 0, one.stdout + one.stderr);
  assert.equal(one.stderr, "");
  assert.match(one.stdout, /: [4-9] segments, /);
  assert.match(one.stdout, /300 entry/);
  assert.match(one.stdout, /entries {4}1 to 300, last term 1/);
  assert.match(one.stdout, /state {6}term 1, vote 1, commit 250/);
  assert.match(one.stdout, /checksum {3}[0-9a-f]{8}\n/);
  assert.match(one.stdout, /sound\n$/);
  const two = await wal("verify", dir, "-j", "2");
  assert.deepEqual(two, one);
  const direct = await wal("verify", join(dir, "wal"));
  assert.deepEqual(direct, one, "the log's own directory or the node's: the same");
});

test("dump: the snapshot files stand in front of the log, each with what it is of and whether it is sound", async (t) => {
  const dir = tempDir(t);
  const log = await open(t, options(dir));
  await durable(log, log.append({ term: 1, vote: 1, commit: 9 }, entries(1, 9)));
  for (const index of [3, 7]) await log.saveSnapshot(meta(index, 1, [1, 2]), Buffer.from("state"));
  await log.close();
  const [older, newer] = fs.readdirSync(join(dir, "snap")).sort();
  fs.truncateSync(join(dir, "snap", newer!), 30);
  const { status, stdout, stderr } = await wal("dump", dir);
  const lines = stdout.split("\n");
  assert.equal(status, 1, "as wal verify has it");
  assert.match(stderr, new RegExp(`^raftmark: ${newer} is damaged: .*\\. See raftmark wal verify .*\\.\n$`));
  assert.match(lines.at(-2)!, /^snapshot index 7 term 1$/, "the log is whole, and so is its dump");
  assert.match(lines[0]!, new RegExp(`^file ${newer} 30 B damaged: .`));
  assert.match(lines[1]!, new RegExp(`^file ${older} \\d+ B sound index 3 term 1 voters 1,2$`));
  assert.match(lines[2]!, /^metadata /);
  const json = (await wal("dump", dir, "--json")).stdout.split("\n").slice(0, 2);
  const [bad, good] = json.map((line) => JSON.parse(line));
  assert.deepEqual([bad.type, bad.index, bad.confState], ["snapFile", null, null]);
  assert.deepEqual([good.error, good.index, good.confState.voters], ["", "3", ["1", "2"]]);
  const ranged = await wal("dump", dir, "--from", "9");
  assert.match(ranged.stdout, /^entry 9 .*\n$/);
  assert.equal(ranged.status, 0, "of what is not shown nothing is said");
  fs.truncateSync(join(dir, "snap", newer!), (64 << 20) + 1);
  assert.match(
    (await wal("dump", dir)).stdout,
    /^file .* damaged: it cannot be parsed\n/,
    "a large one, read in pieces",
  );
});

test("dump: text, JSON, ranges, raw records", async (t) => {
  const dir = await ownLog(t);
  const text = await wal("dump", dir);
  assert.equal(text.status, 0);
  const lines = text.stdout.trimEnd().split("\n");
  assert.equal(lines.filter((line) => line.startsWith("entry ")).length, 300);
  assert.match(lines[2], /^entry 1 term 1 EntryNormal 200 B [0-9a-f]{32}\.\.\. \|.{16}\|$/);
  const range = await wal("dump", dir, "--from", "99", "--to", "101", "--json");
  const shown = range.stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  assert.deepEqual(
    shown.map(({ index }) => index),
    ["99", "100", "101"],
  );
  const [{ data }] = entries(99, 99, 1, 200);
  assert.equal(shown[0].dataHex, Buffer.from(data).toString("hex"));
  const behind = await wal("dump", dir, "--from", "301");
  assert.deepEqual([behind.status, behind.stdout], [0, ""]);
  assert.match(behind.stderr, /the log has no entry of that range: it goes from 1 to 300\.\n$/);
  const raw = await wal("dump", dir, "--records", "--json");
  const records = raw.stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  assert.deepEqual([records[0].type, records[0].offset, records[0].crc], ["crc", 0, "00000000"]);
  let at = 0;
  for (const { record, offset, length, padding } of records) {
    if (record === 1) at = 0;
    assert.equal(offset, at, "records lie back to back");
    at += 8 + length + padding;
  }
});

test("dump into head: silent, exit code 0", async (t) => {
  const dir = await ownLog(t);
  const script = `"$0" "$1" wal dump "$2" --json | head -n 1; echo "\${PIPESTATUS[0]}"`;
  const { stdout, stderr } = spawnSync("bash", ["-c", script, process.execPath, MAIN, dir], {
    encoding: "utf8",
  });
  assert.equal(stderr, "");
  assert.match(stdout, /^\{"type":"metadata",.*\}\n0\n$/);
});

test("a flipped bit: where, what etcd answers, what the engine does; repair refuses", async (t) => {
  const dir = await ownLog(t);
  const file = join(dir, "wal", fs.readdirSync(join(dir, "wal")).sort()[1]);
  const bytes = fs.readFileSync(file);
  overwrite(file, 5000, Uint8Array.of(bytes[5000] ^ 4));
  const { status, stdout } = await wal("verify", dir);
  assert.equal(status, 1);
  assert.match(
    stdout,
    /damaged in one place:\n {2}0000000000000001-.*\.wal, offset 4,\d+, record \d+: wrong checksum/,
  );
  assert.match(stdout, /raftmark's engine refuses to open the log \(WAL_CORRUPT\)/);
  assert.match(stdout, /open for writing {2}walpb: crc mismatch/);
  assert.match(stdout, /next: keep a copy/);
  const dumped = await wal("dump", dir);
  assert.equal(dumped.status, 1);
  assert.match(dumped.stderr, /damaged at offset 4\d+ .*: wrong checksum; the dump ends there/);
  const repaired = await wal("repair", dir);
  assert.equal(repaired.status, 1);
  assert.match(repaired.stdout, /nothing was cut/);
});

test("a bit flipped in the last record: repair refuses as etcd does, and says why", async (t) => {
  const dir = await ownLog(t);
  const file = newestSegment(join(dir, "wal"));
  const { end } = await lastRecord(dir);
  // The last record is a state: its last bytes are data and then padding.
  const bytes = fs.readFileSync(file);
  const last = bytes.subarray(0, end).findLastIndex((byte) => byte !== 0);
  overwrite(file, last, Uint8Array.of(bytes[last] ^ 1));
  const before = fs.readdirSync(join(dir, "wal"));
  const { status, stdout } = await wal("repair", dir);
  assert.equal(status, 1);
  assert.match(stdout, /nothing was changed: .* \(etcd: walpb: crc mismatch\)/);
  assert.deepEqual(fs.readdirSync(join(dir, "wal")), before);
});

test("a wrong length with good records behind it, an unexpected end to etcd: repair changes nothing", async (t) => {
  const dir = tempDir(t);
  const log = await open(t, options(dir));
  for (let index = 1; index <= 3; index++) {
    await durable(log, log.append(null, entries(index, index, 1, 500)));
  }
  await log.close();
  const file = newestSegment(join(dir, "wal"));
  const { stdout } = await wal("dump", dir, "--records", "--json");
  const frames = stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  // Of entry 2; the record reaches past the end of the file then.
  const { offset } = frames.filter(({ type }) => type === "entry")[1];
  const bytes = fs.readFileSync(file);
  overwrite(file, offset + 2, Uint8Array.of(bytes[offset + 2] ^ 0x40));
  const damaged = fs.readFileSync(file);
  const repaired = await wal("repair", dir);
  assert.equal(repaired.status, 1);
  assert.match(
    repaired.stdout,
    /nothing was changed: .* \(etcd: unexpected EOF\), and not as a torn write leaves/,
  );
  assert.ok(damaged.equals(fs.readFileSync(file)));
});

test("a torn end: verify says so, repair cuts it, keeps a copy and says what went", async (t) => {
  const dir = await ownLog(t);
  const file = newestSegment(join(dir, "wal"));
  const { end } = await lastRecord(dir);
  fs.truncateSync(file, end - 8);
  const torn = fs.readFileSync(file);
  const { status, stdout } = await wal("verify", dir);
  assert.equal(status, 1);
  assert.match(stdout, /the end of a torn write/);
  assert.match(stdout, /raftmark's engine cuts it off/);
  assert.match(stdout, /open for writing {2}unexpected EOF/);
  assert.match(stdout, /Repair {12}true, it cuts/);
  const repaired = await wal("repair", dir);
  assert.equal(repaired.status, 0, repaired.stdout + repaired.stderr);
  assert.match(repaired.stdout, /lost: a torn state record; \d+ bytes in all/);
  assert.deepEqual(fs.readFileSync(`${file}.broken`), torn);
  assert.equal(fs.statSync(`${file}.broken`).mode & 0o777, 0o600);
  assert.equal((await wal("verify", dir)).status, 0);
  const again = await wal("repair", dir);
  assert.deepEqual(
    [again.status, again.stdout],
    [0, "the newest segment ends well: nothing was cut\nthe log is sound\n"],
  );
});

test("a record of another type before a torn end: repair changes nothing", async (t) => {
  const dir = await ownLog(t);
  const { offset, end } = await lastRecord(dir);
  const name = fs.readdirSync(join(dir, "wal")).sort().at(-1)!;
  const file = join(dir, "wal", name);
  // The first state record, behind the head's three: an entry now.
  const { stdout } = await wal("dump", dir, "--records", "--json");
  const state = stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line))
    .find(({ segment, type }) => segment === name && type === "state");
  overwrite(file, state.offset + 9, Uint8Array.of(2));
  overwrite(file, offset + 12, new Uint8Array(end - offset - 12));
  fs.truncateSync(file, offset + 12);
  const before = fs.readFileSync(file);
  const repaired = await wal("repair", dir);
  assert.equal(repaired.status, 1);
  assert.match(repaired.stdout, /nothing was changed: .*\.wal, offset \d+, record \d+: /);
  assert.ok(before.equals(fs.readFileSync(file)));
  assert.equal((await wal("dump", dir)).status, 1);
});

test("a torn end that etcd takes for damage: the node cuts it, repair does not", async (t) => {
  const dir = tempDir(t);
  const log = await open(t, options(dir));
  await durable(log, log.append(null, entries(1, 1, 1, 2000)));
  await log.close();
  // Zeros from the middle of a sector to the end of the record and its seal, which end inside the same sector.
  const { end } = await lastRecord(dir);
  const file = newestSegment(join(dir, "wal"));
  overwrite(file, end - 20, new Uint8Array(20 + 16));
  const { status, stdout } = await wal("verify", dir);
  assert.equal(status, 1);
  assert.match(stdout, /Repair {12}false \(walpb: crc mismatch\)\nnext: a crash leaves this; start the node/);
  const repaired = await wal("repair", dir);
  assert.equal(repaired.status, 1);
  assert.match(repaired.stdout, /nothing was changed: .*; raftmark's engine takes it for torn/);
});

test("torn bytes behind the end, which etcd does not look at: damaged, and repair cuts them", async (t) => {
  const dir = await ownLog(t);
  const file = newestSegment(join(dir, "wal"));
  const { end } = await lastRecord(dir);
  overwrite(file, end + 1024, Buffer.from("not a record"));
  const { status, stdout } = await wal("verify", dir);
  assert.equal(status, 1);
  assert.match(stdout, /zeros where a record should be, and other bytes behind them/);
  assert.match(stdout, /open for writing {2}no error/);
  assert.equal((await wal("repair", dir)).status, 0);
  assert.equal((await wal("verify", dir)).status, 0);
});

test("committed entries that are missing at the end are damage", async (t) => {
  const dir = tempDir(t);
  const log = await open(t, options(dir));
  await durable(log, log.append({ term: 1, vote: 1, commit: 7 }, entries(1, 5)));
  await log.close();
  const { status, stdout } = await wal("verify", dir);
  assert.equal(status, 1);
  assert.match(stdout, /entries 6 to 7 are missing: the newest hard state says that they were committed/);
});

/** A closed log with snapshots at 100, 200 and 300 of 400 entries, the newest two kept and segments before them gone. */
async function releasedLog(t: TestContext): Promise<string> {
  const dir = tempDir(t);
  const log = await open(t, options(dir, { segmentBytes: 16 << 10, snapshotsKept: 2 }));
  for (let from = 1; from <= 400; from += 20) {
    const state = { term: 1, vote: 1, commit: from + 19 };
    await durable(log, log.append(state, entries(from, from + 19, 1, 300)));
    if ([81, 181, 281].includes(from)) await log.saveSnapshot(meta(from + 19, 1), Buffer.from("state"));
  }
  await log.close();
  return dir;
}

test("snapshots and released segments are sound; a snapshot that is damaged or gone is not", async (t) => {
  const dir = await releasedLog(t);
  const { status, stdout } = await wal("verify", dir);
  assert.equal(status, 0, stdout);
  assert.match(stdout, /2 snapshot files, [\d,]+ bytes, newest 300:1/);
  assert.match(
    stdout,
    /note: the log begins with segment \d+, as after a release; it starts from the snapshot 300:1/,
  );
  const snap = join(dir, "snap");
  const [older, newer] = fs.readdirSync(snap).sort();
  const bytes = fs.readFileSync(join(snap, newer));
  overwrite(join(snap, newer), bytes.length - 8, Uint8Array.of(bytes[bytes.length - 8] ^ 1));
  const flipped = await wal("verify", join(dir, "wal"));
  assert.equal(flipped.status, 1);
  assert.match(flipped.stdout, new RegExp(`${newer}: snap: crc mismatch`));
  assert.match(flipped.stdout, /it starts from the snapshot 200:1/);
  fs.rmSync(join(snap, newer));
  fs.rmSync(join(snap, older));
  const gone = await wal("verify", dir);
  assert.equal(gone.status, 1);
  assert.match(
    gone.stdout,
    /segments 0 to \d+ are missing before it, and no snapshot replaces what they held/,
  );
  assert.match(
    gone.stdout,
    /next: if a snapshot whose file lies elsewhere .* say which one, like --snap 300:1/,
  );
  assert.equal((await wal("verify", dir, "--snap", "300:1")).status, 0);
});

test("a snapshot that replaced the log: sound with its file, a note without", async (t) => {
  const dir = tempDir(t);
  const log = await open(t, options(dir));
  await durable(log, log.append({ term: 1, vote: 1, commit: 5 }, entries(1, 10)));
  await log.saveSnapshot(meta(80, 2), Buffer.from("from the leader"));
  await durable(log, log.append({ term: 2, vote: 1, commit: 85 }, entries(81, 90, 2)));
  await log.close();
  const whole = await wal("verify", dir);
  assert.equal(whole.status, 0, whole.stdout);
  assert.ok(!whole.stdout.includes("note:"), whole.stdout);
  fs.rmSync(join(dir, "snap"), { recursive: true });
  assert.match((await wal("verify", dir)).stdout, /note: entries go on behind a snapshot at 80 with a gap/);
});

test("repair keeps out while a process has the log open", async (t) => {
  const dir = tempDir(t);
  await open(t, options(dir));
  const { status, stdout, stderr } = await wal("repair", dir);
  assert.equal(status, 2);
  assert.equal(stdout, "");
  assert.match(stderr, new RegExp(`in use by process ${process.pid} .*; stop that process`));
});

test("repair keeps out while an etcd holds its lock", async (t) => {
  if (spawnSync("flock", ["--version"]).status !== 0 || !fs.existsSync("/proc/locks")) {
    t.skip("no flock command or no /proc/locks");
    return;
  }
  const dir = await ownLog(t);
  const file = newestSegment(join(dir, "wal"));
  const repair = [process.execPath, MAIN, "wal", "repair", dir];
  const { status, stderr } = spawnSync("flock", [file, ...repair], { encoding: "utf8" });
  assert.equal(status, 2);
  assert.match(stderr, /has .*\.wal in .* locked; stop it/);
});

test("numbers of 64 bits come out as they are", async (t) => {
  const dir = tempDir(t);
  const max = 0xffffffffffffffffn;
  const head = frame(4, 0, null);
  // An entry of term 2^64 - 1 and index 2^53 + 1 behind a snapshot at 2^53.
  const varint = (value: bigint): number[] => {
    const bytes: number[] = [];
    for (; value >= 128n; value >>= 7n) bytes.push(Number(value & 127n) | 128);
    return [...bytes, Number(value)];
  };
  const { crc32c } = await import("../../src/wal/index.js");
  const snapshot = Uint8Array.of(0x08, ...varint(2n ** 53n), 0x10, ...varint(max));
  const entry = Uint8Array.of(0x08, 0, 0x10, ...varint(max), 0x18, ...varint(2n ** 53n + 1n), 0x22, 1, 65);
  const crc = crc32c(0, snapshot);
  const bytes = Buffer.concat([
    head,
    frame(1, 0, null),
    frame(5, crc, snapshot),
    frame(2, crc32c(crc, entry), entry),
  ]);
  fs.mkdirSync(join(dir, "wal"));
  fs.writeFileSync(join(dir, "wal", "0000000000000000-0000000000000000.wal"), bytes);
  const { stdout } = await wal("dump", dir, "--json", "--from", "9007199254740993");
  const { index, term } = JSON.parse(stdout);
  assert.deepEqual([index, term], ["9007199254740993", "18446744073709551615"]);
  const verified = await wal("verify", dir);
  assert.equal(verified.status, 0);
  assert.match(verified.stdout, /note: terms, votes or indexes above 2\^53-1/);
});

test("progress: a line that is rewritten on a terminal, plain lines elsewhere, nothing for what is quick", () => {
  let now = 0;
  const plain: string[] = [];
  const stream = { write: (text: string) => plain.push(text) };
  const progress = new ByteProgress(stream, "checking", 4e9, () => now);
  for (now = 0; now <= 4100; now += 50) progress.at(now * 1e6);
  progress.end();
  assert.deepEqual(plain, [
    "checking: 2,000 of 4,000 MB (50 %), 1,000 MB/s, 2 s left\n",
    "checking: 4,000 of 4,000 MB (100 %), 1,000 MB/s, 0 s left\n",
  ]);
  const live: string[] = [];
  const terminal = { isTTY: true, columns: 30, write: (text: string) => live.push(text) };
  now = 0;
  const shown = new ByteProgress(terminal, "checking", 4e9, () => now);
  for (now = 0; now <= 1000; now += 50) shown.at(now * 1e6);
  assert.ok(live.some((text) => text.startsWith("checking: 400 of 4,000 MB")));
  assert.ok(live.every((text) => !text.includes("\n") && text.length < 30));
});

// Where raftmark is stricter than etcd, which notices nothing there, or cuts good records off; its engine misses a snapshot.
const STRICTER = ["dmg-garbage-after-zero", "dmg-zero-sector-mid-file", "syn-snapahead"];

describe("every fixture gets the exit code of its state", { concurrency: 2 }, () => {
  if (!fs.existsSync(FIXTURES)) {
    test(`fixtures in ${FIXTURES}`, (t) => t.skip(`no such directory: ${FIXTURES}`));
    return;
  }
  for (const name of fs.readdirSync(FIXTURES)) {
    if (!fs.existsSync(join(FIXTURES, name, "expected.json"))) continue;
    test(name, async (t) => {
      const dir = tempDir(t);
      restore(join(FIXTURES, name), dir);
      const expected = JSON.parse(fs.readFileSync(join(FIXTURES, name, "expected.json"), "utf8"));
      const snap =
        expected.openedAt === undefined || expected.openedAt === "0:0" ? [] : ["--snap", expected.openedAt];
      const verified = await wal("verify", dir, ...snap);
      const output = verified.stdout + verified.stderr;
      assert.equal(verified.status, STRICTER.includes(name) ? 1 : expectedExit(expected), output);
      const { before, repair } = expected;
      if (before === undefined || before.raw.segments.length === 0) return;
      if (verified.status === 1) checkAnswers(output, before);
      // In this process: the command itself is tested above, and starting it takes most of its time.
      const repaired = await repairLog(dir, 1, process.stderr);
      if (!repair.returned) assert.match(repaired.text, /nothing was changed/);
      const copies = fs.readdirSync(join(dir, "wal")).filter((file) => file.endsWith(".broken"));
      const isSame = STRICTER.includes(name) || repair.brokenFiles === null;
      if (!isSame) assert.deepEqual(copies, repair.brokenFiles);
    });
  }
});

// biome-ignore lint/suspicious/noExplicitAny: JSON of a file, taken as it is.
type Json = any;

function expectedExit({ before, snapFiles }: Json): number {
  if ((snapFiles ?? []).some(({ error }: Json) => error !== "")) return 1;
  if (before === undefined) return 0;
  if (before.raw.segments.length === 0) return 2;
  const errors = [before.openForRead.error, before.openForWrite.error, before.verifyError];
  return errors.some((error) => error !== "") ? 1 : 0;
}

/** What is printed as etcd's answers must be etcd's answers. */
function checkAnswers(output: string, before: Json): void {
  for (const [label, error] of [
    ["open for reading", before.openForRead.error],
    ["open for writing", before.openForWrite.error],
    ["Verify", before.verifyError],
    ["valid snapshots", before.validSnapshotsError],
  ]) {
    assert.ok(
      output.includes(`  ${label.padEnd(16)}  ${error === "" ? "no error" : error}\n`),
      `${label}: ${error}`,
    );
  }
}

test("new-group says what it made, what may be too much in it, and what is wrong with the words", async (t) => {
  const dir = tempDir(t);
  const metadata = encodeMetadata(3, 1, { voters: [3], logId: new Uint8Array(8) });
  const log = await open(t, options(join(dir, "old"), { metadata }));
  await durable(log, log.append({ term: 1, vote: 3, commit: 8 }, entries(1, 10)));
  await log.close();
  const make = (...words: string[]) => wal("new-group", join(dir, "old"), join(dir, "new"), ...words);
  const rest = ["--address", "127.0.0.1:7001"];
  const wrong = await make("--id", "one", "--cluster-id", "2", ...rest);
  assert.equal(wrong.status, 2);
  assert.match(wrong.stderr, /--id: "one" is not allowed: it takes a whole number from 1/);
  const same = await make("--id", "1", "--cluster-id", "1", ...rest);
  assert.equal(same.status, 2);
  assert.match(same.stderr, /1 is the id of the old group/);
  // mkdir(2) says there that the parent is missing, and Node's own recursion tries for ever.
  const nowhere = await wal(
    "new-group",
    join(dir, "old"),
    "/proc/x/y",
    "--id",
    "1",
    "--cluster-id",
    "2",
    ...rest,
  );
  assert.equal(nowhere.status, 2);
  assert.match(nowhere.stderr, /^raftmark: cannot work on .*old and \/proc\/x\/y \(/);
  const made = await make("--id", "1", "--cluster-id", "2", ...rest);
  assert.equal(made.status, 0, made.stderr);
  assert.match(made.stdout, /node 1 at 127\.0\.0\.1:7001, the only member of cluster 2/);
  assert.match(made.stdout, /taken: 10 entries, up to index 10\n/);
  assert.match(made.stdout, /the last 2 entries may never have been committed/);
  assert.match((await wal("verify", join(dir, "new"))).stdout, /sound/);
  const foreign = await wal(
    "new-group",
    await ownLog(t),
    join(dir, "b"),
    "--id",
    "1",
    "--cluster-id",
    "9",
    ...rest,
  );
  assert.equal(foreign.status, 2);
  assert.match(foreign.stderr, /was not begun by raftmark/);
});
