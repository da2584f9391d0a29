// Opening after a crash or damage: a torn end is cut with a copy kept, anything else is refused by place.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { type TestContext, test } from "node:test";
import type { RaftmarkError } from "../../../src/base/errors.js";
import { Entry } from "../../../src/raft/raftpb/index.js";
import { segmentName } from "../../../src/wal/format/format.js";
import { openWal, readWal, type WalOptions } from "../../../src/wal/index.js";
import { lastNonZero } from "../../../src/wal/recover/torn.js";
import { tempDir } from "../../temp-dir.js";
import { type FaultPlan, sharedWords } from "../faulty-fs.js";
import {
  allEntries,
  assertSameEntries,
  durable,
  firstFrames,
  newestSegment,
  open,
  options,
  run,
  WRITERS,
} from "../helpers.js";
import { check, promised } from "../promised.js";

/** A closed log of entries 1 to `last` in segments of 8 KiB. */
async function written(t: TestContext, last: number, more: Partial<WalOptions> = {}): Promise<WalOptions> {
  const walOptions = options(tempDir(t), { segmentBytes: 8192, ...more });
  const wal = await openWal(walOptions);
  wal.append({ term: 1, vote: 1, commit: 0 }, []);
  const seq = wal.append(null, run(1, last));
  await durable(wal, seq);
  await wal.close();
  return walOptions;
}

function frames(dir: string, segment: string): { offset: number; type: string }[] {
  return [...readWal(dir)].filter((record) => record.segment === segment);
}

function flip(file: string, offset: number, bit = 1): void {
  const bytes = fs.readFileSync(file);
  bytes[offset]! ^= bit;
  fs.writeFileSync(file, bytes);
}

for (const writer of WRITERS) {
  test(`${writer}: a flipped bit in the middle is refused with file, offset and record`, async (t) => {
    const walOptions = await written(t, 200, { writer });
    const first = fs.readdirSync(walOptions.dir).sort()[1]!;
    const record = frames(walOptions.dir, first)[12]!;
    flip(path.join(walOptions.dir, first), record.offset + 40);
    const before = fs.readFileSync(path.join(walOptions.dir, first));
    await assert.rejects(openWal(walOptions), (error: RaftmarkError) => {
      assert.equal(error.code, "WAL_CORRUPT");
      assert.match(error.message, new RegExp(first));
      assert.match(error.message, new RegExp(`offset ${record.offset} \\(record 13 `));
      return true;
    });
    assert.deepEqual(fs.readFileSync(path.join(walOptions.dir, first)), before, "nothing was changed");
    assert.equal(fs.existsSync(`${walOptions.dir}.lock`), false, "the lock is free again");
  });

  test(`${writer}: a torn end is cut, copied and reported; the next start is clean`, async (t) => {
    const walOptions = await written(t, 20, { writer });
    const file = newestSegment(walOptions.dir);
    const last = frames(walOptions.dir, path.basename(file))
      .filter((record) => record.type === "entry")
      .at(-1)!;
    const bytes = fs.readFileSync(file);
    const size = bytes.length;
    bytes.fill(0, last.offset + 60);
    fs.writeFileSync(file, bytes);
    const wal = await open(t, walOptions);
    const { torn } = wal.recovered;
    assert.ok(torn !== null);
    assert.equal(torn.file, file);
    assert.equal(torn.offset, last.offset);
    assert.deepEqual(fs.readFileSync(torn.copy), bytes.subarray(0, torn.offset + torn.bytesCut));
    assert.equal(wal.recovered.lastIndex, 19);
    assert.equal(fs.statSync(file).size, size, "the segment keeps its size");
    await durable(wal, wal.append({ term: 2, vote: 1, commit: 0 }, run(20, 30, 2)));
    await wal.close();
    const again = await open(t, walOptions);
    assert.equal(again.recovered.torn, null);
    assertSameEntries(allEntries(again), [...run(1, 19), ...run(20, 30, 2)]);
  });
}

test("a cut of a torn end that fails at any step has lost nothing, and the next start makes up for it", async (t) => {
  const walOptions = await written(t, 20, { durability: "fdatasync" });
  const file = newestSegment(walOptions.dir);
  const last = frames(walOptions.dir, path.basename(file)).findLast(({ type }) => type === "entry")!;
  const torn = fs.readFileSync(file);
  const used = last.offset + 60;
  torn.fill(0, used);
  const failed = { open: 0, write: 0, fdatasync: 0, syncDir: 0 };
  for (const op of ["open", "write", "fdatasync", "syncDir"] as const) {
    for (let from = 1; ; from++) {
      fs.writeFileSync(file, torn);
      const shared = sharedWords();
      const plan: FaultPlan = {
        op,
        from,
        to: from,
        code: "EIO",
        path: op === "syncDir" ? "" : ".wal",
        shared,
      };
      const walFs = { module: new URL("../faulty-fs.js", import.meta.url).href, arg: plan };
      let wal = await openWal({ ...walOptions, walFs }).catch((error: RaftmarkError) => {
        assert.equal(error.code, "WAL_IO");
        return null;
      });
      if (wal !== null) {
        await wal.close();
        break;
      }
      failed[op]++;
      wal = await open(t, walOptions);
      assertSameEntries(allEntries(wal), run(1, 19));
      await wal.close();
      const copies = fs.readdirSync(walOptions.dir).filter((name) => name.includes(".broken"));
      const isKept = (name: string): boolean =>
        fs.readFileSync(path.join(walOptions.dir, name)).equals(torn.subarray(0, used));
      assert.ok(copies.some(isKept), `a copy, after failure ${from} of ${op}`);
      const sizes = copies.map((name) => fs.statSync(path.join(walOptions.dir, name)).size);
      assert.ok(!sizes.includes(0), `nothing of one that failed, after failure ${from} of ${op}`);
      for (const name of copies) fs.rmSync(path.join(walOptions.dir, name));
    }
  }
  // Beside what any opening does, and the seal behind the cut: the copy, its name, and the cut in two pieces.
  assert.deepEqual(failed, { open: 5, write: 4, fdatasync: 5, syncDir: 3 });
});

test("a file cut at any byte of its last record is a torn end", async (t) => {
  const walOptions = await written(t, 3);
  const file = newestSegment(walOptions.dir);
  const whole = fs.readFileSync(file);
  const entries = frames(walOptions.dir, path.basename(file)).filter((record) => record.type === "entry");
  const from = entries[2]!.offset;
  const next = frames(walOptions.dir, path.basename(file)).find(({ offset }) => offset > from)!.offset;
  for (let cut = from; cut < next; cut += 3) {
    for (const zeros of [false, true]) {
      // Only padding is missing: nothing to notice once it is zeros again.
      if (zeros && whole.subarray(cut, next).every((byte) => byte === 0)) continue;
      const bytes = whole.subarray(0, cut);
      fs.writeFileSync(file, zeros ? Buffer.concat([bytes, Buffer.alloc(whole.length - cut)]) : bytes);
      const wal = await openWal(walOptions);
      assert.equal(wal.recovered.lastIndex, 2, `cut at ${cut}, zeros ${zeros}`);
      assert.equal(wal.recovered.torn === null, cut === from, `cut at ${cut}, zeros ${zeros}`);
      await wal.close();
    }
  }
});

test("a flipped bit in the very last record is damage, not a torn write", async (t) => {
  const walOptions = await written(t, 20);
  const file = newestSegment(walOptions.dir);
  const last = frames(walOptions.dir, path.basename(file))
    .filter(({ type }) => type === "entry")
    .at(-1)!;
  flip(file, last.offset + 22);
  await assert.rejects(openWal(walOptions), { code: "WAL_CORRUPT" });
});

test("a flipped bit is no hole in the last write, where the entry that it hits has sectors of zeros of its own", async (t) => {
  const data = Buffer.alloc(3000, 7).fill(0, 400, 2400);
  const last = async (of: Uint8Array, behind: number): Promise<WalOptions> => {
    const walOptions = await written(t, 3, { segmentBytes: 64 << 10 });
    const wal = await openWal(walOptions);
    await durable(wal, wal.append(null, [new Entry(0, 1, 4, of), ...run(5, 4 + behind)]));
    await wal.close();
    return walOptions;
  };
  for (const behind of [0, 3]) {
    const walOptions = await last(data, behind);
    const file = newestSegment(walOptions.dir);
    const { offset } = frames(walOptions.dir, path.basename(file)).filter(({ type }) => type === "entry")[3]!;
    const whole = fs.readFileSync(file);
    for (let place = 0; place < 3000; place += place < 24 ? 1 : 50) {
      const bytes = Buffer.from(whole);
      bytes[offset + 8 + place]! ^= 1 << (place % 8);
      fs.writeFileSync(file, bytes);
      assert.equal(promised(check(walOptions.dir)), "refuses");
      await assert.rejects(openWal(walOptions), { code: "WAL_CORRUPT" }, `byte ${place}`);
    }
    // One that did not arrive looks the same, if it is all that its sector held.
    const inData = Math.ceil(offset / 512) * 512 + 1024 - whole.indexOf(data);
    const other = await last(Buffer.from(data).fill(4, inData, inData + 1), behind);
    flip(newestSegment(other.dir), whole.indexOf(data) + inData, 4);
    assert.equal(promised(check(other.dir)), "cuts");
    assert.equal((await open(t, other)).recovered.lastIndex, 3);
  }
});

test("zeros over a record with good ones behind it are damage", async (t) => {
  const walOptions = await written(t, 20);
  const later = await openWal(walOptions);
  await durable(later, later.append(null, run(21, 40)));
  await later.close();
  const file = newestSegment(walOptions.dir);
  const record = frames(walOptions.dir, path.basename(file))[6]!;
  for (const bytesZeroed of [8, 64, 512, 1024]) {
    const bytes = fs.readFileSync(file);
    fs.writeFileSync(file, Buffer.from(bytes).fill(0, record.offset, record.offset + bytesZeroed));
    await assert.rejects(openWal(walOptions), { code: "WAL_CORRUPT" });
    fs.writeFileSync(file, bytes);
  }
  await (await openWal(walOptions)).close();
});

/** Zeros the second sector behind `offset`. */
function dropSector(file: string, offset: number): void {
  const sector = (Math.floor(offset / 512) + 2) * 512;
  fs.writeFileSync(file, fs.readFileSync(file).fill(0, sector, sector + 512));
}

test("a sector missing from the last write is torn, whatever follows it there; once more after the repair", async (t) => {
  const walOptions = await written(t, 3);
  let last = 3;
  for (let round = 0; round < 2; round++) {
    const wal = await openWal(walOptions);
    await durable(wal, wal.append(null, run(last + 1, last + 20)));
    await wal.close();
    const file = newestSegment(walOptions.dir);
    const entries = frames(walOptions.dir, path.basename(file)).filter(({ type }) => type === "entry");
    dropSector(file, entries.at(-20)!.offset);
    const again = await open(t, walOptions);
    assert.ok(again.recovered.torn !== null);
    assert.ok(again.recovered.torn.bytesCut > 1024, "good records were cut with it");
    const lost = again.recovered.lastIndex;
    assert.ok(lost > last && lost < last + 20, `${lost}: the first records of the write are kept`);
    await again.close();
    const third = await openWal(walOptions);
    assert.equal(third.recovered.torn, null);
    assertSameEntries(allEntries(third), run(1, lost));
    last = lost;
    // The sector that a write begins in keeps what was there: the seal of the repair tells up to where.
    const from = endOf(file);
    await durable(third, third.append(null, run(last + 1, last + 20)));
    await third.close();
    const bytes = fs.readFileSync(file);
    fs.writeFileSync(file, bytes.fill(0, from, Math.ceil((from + 1) / 512) * 512));
    const fourth = await open(t, walOptions);
    assert.equal(fourth.recovered.lastIndex, last);
    assert.ok(fourth.recovered.torn !== null);
    await fourth.close();
  }
});

/** End of what is written. */
function endOf(file: string): number {
  return Math.ceil(lastNonZero(fs.readFileSync(file), 0) / 8) * 8;
}

test("of a write whose data is a log itself, what a power loss leaves is torn, and what it cannot leave is damage", async (t) => {
  const walOptions = await written(t, 3, { segmentBytes: 64 << 10 });
  for (let last = 4; last <= 8; last++) {
    const wal = await openWal(walOptions);
    await durable(wal, wal.append(null, run(last, last)));
    await wal.close();
  }
  const file = newestSegment(walOptions.dir);
  const before = fs.readFileSync(file);
  const begins = endOf(file);
  const opens = async (bytes: Uint8Array): Promise<string> => {
    fs.writeFileSync(file, bytes);
    const said = promised(check(walOptions.dir));
    try {
      const wal = await openWal(walOptions);
      assert.equal(wal.recovered.lastIndex >= 8, true, "nothing of an earlier write is gone");
      await wal.close();
      assert.equal(said, wal.recovered.torn === null ? "opens" : "cuts");
    } catch (error) {
      assert.equal((error as RaftmarkError).code, "WAL_CORRUPT");
      assert.equal(said, "refuses");
    }
    return said;
  };
  // Frames begin at multiples of 8, and at one of these the copied ones do.
  for (let shift = 0; shift < 8; shift++) {
    fs.writeFileSync(file, before);
    const data = new Uint8Array(2000 + shift + begins).fill(9);
    data.set(before.subarray(0, begins), 2000 + shift);
    const wal = await openWal(walOptions);
    await durable(wal, wal.append(null, [new Entry(0, 1, 9, data), ...run(10, 12)]));
    const bytes = fs.readFileSync(file);
    const ends = endOf(file);
    await durable(wal, wal.append(null, run(13, 13)));
    await wal.close();
    const wroteOn = fs.readFileSync(file);
    const hole = (of: Buffer, from: number, to: number): Buffer => Buffer.from(of).fill(0, from, to);
    const sector = Math.ceil(begins / 512) * 512 + 512;
    const what = `data shifted by ${shift}`;
    assert.equal(await opens(hole(bytes, sector, sector + 512)), "cuts", `a sector, ${what}`);
    assert.equal(await opens(hole(bytes, begins + 2500, ends)), "cuts", `the rest, ${what}`);
    assert.equal(await opens(hole(bytes, sector, sector + 40)), "refuses", `no sector, ${what}`);
    assert.equal(await opens(hole(wroteOn, sector, sector + 512)), "refuses", `an earlier write, ${what}`);
    const isCut = hole(wroteOn, sector, sector + 512).fill(0, ends + 8, ends + 64);
    assert.equal(await opens(isCut), "refuses", `an earlier write, and the next one's head, ${what}`);
  }
});

test("a sector missing from an earlier write is damage: that one was acknowledged", async (t) => {
  const walOptions = await written(t, 3);
  const wal = await openWal(walOptions);
  await durable(wal, wal.append(null, run(4, 23)));
  await durable(wal, wal.append(null, run(24, 24)));
  await wal.close();
  const file = newestSegment(walOptions.dir);
  const entries = frames(walOptions.dir, path.basename(file)).filter(({ type }) => type === "entry");
  dropSector(file, entries.at(-21)!.offset);
  await assert.rejects(openWal(walOptions), (error: RaftmarkError) => {
    assert.equal(error.code, "WAL_CORRUPT");
    assert.match(error.message, /and good records behind/);
    return true;
  });
});

test("a sector missing from a log without seals, as etcd writes it, is damage", async (t) => {
  const walOptions = options(tempDir(t));
  const frames = firstFrames(walOptions.metadata, run(1, 40));
  fs.mkdirSync(walOptions.dir);
  const file = path.join(walOptions.dir, segmentName(0, 0));
  fs.writeFileSync(file, frames.take());
  await (await openWal(walOptions)).close();
  dropSector(file, 0);
  await assert.rejects(openWal(walOptions), { code: "WAL_CORRUPT" });
});

test("a length field damaged to reach past the end, with good records behind it, is damage", async (t) => {
  const walOptions = await written(t, 40);
  const file = newestSegment(walOptions.dir);
  flip(file, frames(walOptions.dir, path.basename(file))[6]!.offset + 5);
  await assert.rejects(openWal(walOptions), { code: "WAL_CORRUPT" });
});

test("missing segments are named", async (t) => {
  for (const at of [0, 1, 2]) {
    const walOptions = await written(t, 300);
    const names = fs.readdirSync(walOptions.dir).sort();
    fs.rmSync(path.join(walOptions.dir, names[at]!));
    await assert.rejects(openWal(walOptions), (error: RaftmarkError) => {
      assert.equal(error.code, "WAL_CORRUPT");
      assert.match(error.message, new RegExp(`segment ${at} .* is missing`));
      return true;
    });
  }
});

test("what a process left when it died before the first open was complete does not matter", async (t) => {
  const walOptions = options(tempDir(t));
  fs.mkdirSync(`${walOptions.dir}.tmp`);
  fs.writeFileSync(path.join(`${walOptions.dir}.tmp`, "0000000000000000-0000000000000000.wal"), "half");
  fs.mkdirSync(walOptions.dir);
  fs.writeFileSync(path.join(walOptions.dir, "0.tmp"), "half");
  const wal = await open(t, walOptions);
  assert.equal(wal.recovered.created, true);
  assert.equal(fs.statSync(walOptions.dir).mode & 0o777, 0o700);
  assert.equal(fs.statSync(newestSegment(walOptions.dir)).mode & 0o777, 0o600);
});

test("what a process left beside a log stays where the log is refused, and goes when it opens", async (t) => {
  const walOptions = await written(t, 3);
  const { dir } = walOptions;
  const snapDir = path.join(path.dirname(dir), "snap");
  fs.mkdirSync(snapDir, { recursive: true });
  const left = [`${dir}.tmp`, path.join(dir, "0.tmp"), path.join(snapDir, "1.snap.0.tmp")];
  for (const file of left) fs.writeFileSync(file, "half");
  flip(newestSegment(dir), 20);
  await assert.rejects(openWal(walOptions), { code: "WAL_CORRUPT" });
  assert.deepEqual(left.filter(fs.existsSync), left);
  flip(newestSegment(dir), 20);
  await (await openWal(walOptions)).close();
  assert.deepEqual(left.filter(fs.existsSync), []);
});

test("a lock that names no process is nobody's", async (t) => {
  const walOptions = await written(t, 3);
  for (const pid of [0, -1, 1.5]) {
    fs.writeFileSync(`${walOptions.dir}.lock`, JSON.stringify({ pid, started: "", nonce: "x" }));
    await (await openWal(walOptions)).close();
  }
});

test("one owner: a second open is refused, also by the same process; released by close", async (t) => {
  const walOptions = options(tempDir(t));
  const wal = await openWal(walOptions);
  await assert.rejects(openWal(walOptions), (error: RaftmarkError) => {
    assert.equal(error.code, "WAL_LOCKED");
    assert.match(error.message, new RegExp(`process ${process.pid} itself, this one`));
    return true;
  });
  await wal.close();
  await (await openWal(walOptions)).close();
});

test("a lock that cannot be read is not taken over, and released all the same", async (t) => {
  const walOptions = options(tempDir(t));
  const lock = `${walOptions.dir}.lock`;
  const wal = await open(t, walOptions);
  const original = fs.readFileSync;
  let code = "EACCES";
  const { mock } = t.mock.method(fs, "readFileSync", (...args: Parameters<typeof original>) => {
    if (args[0] === lock) throw Object.assign(new Error(code), { code });
    return original(...args);
  });
  await assert.rejects(openWal(walOptions), { code: "WAL_NOT_WRITABLE" });
  code = "EMFILE";
  await assert.rejects(openWal(walOptions), { code: "WAL_IO" });
  await durable(wal, wal.append(null, run(1, 1)));
  await wal.close();
  assert.equal(fs.existsSync(lock), false);
  mock.restore();
  await (await openWal(walOptions)).close();
});

test("one owner under all names of a directory", async (t) => {
  const [a, b] = [tempDir(t), tempDir(t)];
  await (await openWal(options(a))).close();
  const real = path.join(a, "of its own");
  fs.renameSync(options(a).dir, real);
  for (const dir of [a, b]) fs.symlinkSync(real, options(dir).dir);
  const wal = await openWal(options(a));
  for (const dir of [options(b).dir, real]) {
    await assert.rejects(openWal({ ...options(b), dir }), { code: "WAL_LOCKED" });
  }
  await wal.close();
  await (await openWal(options(b))).close();
});

for (const writer of WRITERS) {
  test(`${writer}: after kill -9 under load the lock is taken over and every report was true`, async (t) => {
    const walOptions = options(tempDir(t), { writer });
    const module = new URL("../../../src/wal/index.js", import.meta.url).href;
    const entries = new URL("../../../src/raft/raftpb/index.js", import.meta.url).href;
    const script = `
      import fs from "node:fs";
      const { openWal } = await import(${JSON.stringify(module)});
      const { Entry } = await import(${JSON.stringify(entries)});
      const wal = await openWal({ dir: ${JSON.stringify(walOptions.dir)}, metadata: new Uint8Array(1),
        writer: ${JSON.stringify(writer)}, durability: "fdatasync", segmentBytes: 65536, ringBytes: 16384 });
      let index = 0;
      const more = () => wal.append({ term: 1, vote: 1, commit: 0 },
        Array.from({ length: 9 }, () => new Entry(0, 1, ++index, new Uint8Array(200).fill(index))));
      wal.onDurable = (seq) => { fs.writeSync(1, seq * 9 + "\\n"); more(); };
      more(); more(); more();`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let reported = 0;
    child.stdout.setEncoding("utf8");
    for await (const text of child.stdout as AsyncIterable<string>) {
      // A line may still be incomplete; a prefix of a number is smaller than it.
      reported = Math.max(reported, ...text.split("\n").map(Number));
      if (reported > 3000) child.kill("SIGKILL");
    }
    assert.ok(reported > 3000);
    const wal = await open(t, walOptions);
    assert.ok(wal.recovered.lastIndex >= reported, `${wal.recovered.lastIndex} < ${reported}`);
    assert.equal(wal.storage.term(reported), 1);
  });
}
