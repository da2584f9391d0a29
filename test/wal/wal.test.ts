// The log as its users see it: what was durable is there after reopening, whatever wrote it; damage is refused,
// a torn end is cut; a disk that fails fences.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { RaftmarkError } from "../../src/base/errors.js";
import type { Entry } from "../../src/raft/index.js";
import { realFileSystem, type Wal, type WalOptions } from "../../src/wal/index.js";
import { appended, entriesFrom, entryAt, open, scratch } from "./support.js";

const WRITERS: WalOptions["writer"][] = ["inline-js", "inline-wasm", "pool-wasm"];

function all(wal: Wal): Entry[] {
  const last = wal.storage.lastIndex();
  const found: Entry[] = [];
  while (found.length < last)
    found.push(...(wal.storage.entries(found.length + 1, last + 1, 8192) as Entry[]));
  return found;
}

function segmentsIn(dir: string): string[] {
  return readdirSync(join(dir, "wal"))
    .filter((name) => name.endsWith(".wal"))
    .sort()
    .map((name) => join(dir, "wal", name));
}

function refusedWith(code: string, ...texts: string[]): (error: RaftmarkError) => boolean {
  return (error) => {
    assert.equal(error.code, code, error.message);
    for (const text of texts)
      assert.ok(error.message.includes(text), `"${error.message}" does not say "${text}"`);
    return true;
  };
}

for (const writer of WRITERS) {
  for (const durability of ["o_dsync", "fdatasync", "none"] as const) {
    test(`${writer}, ${durability}: appends survive close and reopen, over several segments`, async (t) => {
      const dir = scratch(t);
      const expected: Entry[] = [];
      for (let life = 0; life < 3; life++) {
        const wal = await open(dir, { writer, durability, segmentBytes: 20_000 });
        assert.equal(wal.recovered.created, life === 0);
        assert.equal(wal.recovered.lastIndex, expected.length);
        assert.deepEqual(all(wal), expected);
        for (let batch = 0; batch < 10; batch++) {
          const entries = entriesFrom(expected.length + 1, 30);
          await appended(wal, entries, life + 1);
          expected.push(...entries);
          assert.equal(wal.storage.lastIndex(), expected.length);
        }
        assert.equal(wal.stats().entries, 300);
        assert.equal(wal.stats().syncs > 0, durability !== "none");
        await wal.close();
      }
      assert.ok(segmentsIn(dir).length > 3, "the segments were never cut");
      const wal = await open(dir, { writer });
      assert.deepEqual(all(wal), expected);
      assert.equal(wal.recovered.hardState.term, 3);
      assert.equal(wal.recovered.hardState.commit, expected.length - 1);
      await wal.close();
      assert.deepEqual(
        readdirSync(join(dir, "wal")).filter((name) => !name.endsWith(".wal")),
        [],
        "something is left beside the segments",
      );
    });
  }
}

for (const writer of WRITERS) {
  test(`${writer}: the cache is bounded; older entries and terms come from the segments`, async (t) => {
    const wal = await open(scratch(t), { writer, logCacheBytes: 10_000, segmentBytes: 100_000 });
    const expected: Entry[] = [];
    for (let batch = 0; batch < 20; batch++) {
      const entries = entriesFrom(expected.length + 1, 200, batch + 1);
      await appended(wal, entries, batch + 1);
      expected.push(...entries);
    }
    assert.deepEqual(all(wal), expected);
    for (const index of [1, 199, 200, 201, 1234, 3999, 4000]) {
      assert.equal(wal.storage.term(index), expected[index - 1].term);
    }
    await wal.close();
  });

  test(`${writer}: later entries replace a suffix, in memory, on disk and after reopening`, async (t) => {
    const dir = scratch(t);
    let wal = await open(dir, { writer, logCacheBytes: 5_000 });
    await appended(wal, entriesFrom(1, 300, 1));
    await appended(wal, entriesFrom(50, 20, 2), 2);
    const expected = [...entriesFrom(1, 49, 1), ...entriesFrom(50, 20, 2)];
    assert.deepEqual(all(wal), expected);
    await appended(wal, entriesFrom(70, 200, 3), 3);
    expected.push(...entriesFrom(70, 200, 3));
    assert.deepEqual(all(wal), expected);
    await wal.close();
    wal = await open(dir, { writer, logCacheBytes: 5_000 });
    assert.deepEqual(all(wal), expected);
    await wal.close();
  });

  test(`${writer}: an append larger than the ring waits in line and loses nothing`, async (t) => {
    const wal = await open(scratch(t), { writer, ringBytes: 8192, batchBytesMax: 4096 });
    const entries = entriesFrom(1, 2000, 1, 130);
    const done = appended(wal, entries);
    assert.ok(wal.backlogBytes > 100_000, "the backlog does not show");
    await done;
    assert.equal(wal.backlogBytes, 0);
    assert.deepEqual(all(wal), entries);
    await wal.close();
  });
}

test("a mere change of commit is told without a sync, and is there after close", async (t) => {
  const dir = scratch(t);
  const wal = await open(dir, { writer: "pool-wasm", durability: "fdatasync" });
  await appended(wal, entriesFrom(1, 3));
  const { syncs } = wal.stats();
  const told = new Promise<number>((resolve) => {
    wal.onDurable = resolve;
  });
  const seq = wal.append({ term: 1, vote: 1, commit: 3 }, [], false);
  assert.equal(await told, seq);
  assert.equal(wal.stats().syncs, syncs);
  await wal.close();
  const again = await open(dir);
  assert.equal(again.recovered.hardState.commit, 3);
  await again.close();
});

test("a flipped byte in the middle of a segment is refused with file and offset, and nothing is changed", async (t) => {
  const dir = scratch(t);
  const wal = await open(dir);
  await appended(wal, entriesFrom(1, 100));
  await wal.close();
  const [file] = segmentsIn(dir);
  const bytes = readFileSync(file);
  bytes[5000] ^= 1;
  writeFileSync(file, bytes);
  await assert.rejects(open(dir), refusedWith("WAL_CORRUPT", file, "crc mismatch", "at offset 4", "record"));
  assert.deepEqual(readFileSync(file), bytes);
  assert.equal(existsSync(`${join(dir, "wal")}.lock`), false, "a refused log stays locked");
});

test("damage in a segment that is not the last is refused, torn-looking or not", async (t) => {
  const dir = scratch(t);
  const wal = await open(dir, { segmentBytes: 8192 });
  for (let i = 0; i < 4; i++) await appended(wal, entriesFrom(1 + i * 70, 70));
  await wal.close();
  const [file] = segmentsIn(dir);
  const bytes = readFileSync(file);
  bytes.fill(0, bytes.length - 1024, bytes.length);
  bytes[bytes.length - 1030] ^= 1;
  writeFileSync(file, bytes);
  await assert.rejects(open(dir), refusedWith("WAL_CORRUPT", file));
});

test("a torn end is cut, a copy kept, and the next open finds nothing to mend", async (t) => {
  const dir = scratch(t);
  let wal = await open(dir);
  await appended(wal, entriesFrom(1, 100));
  await wal.close();
  const [file] = segmentsIn(dir);
  const bytes = readFileSync(file);
  let end = bytes.length;
  while (bytes[end - 1] === 0) end--;
  // The last entry's record: all but its first sector never reached the disk.
  wal = await open(dir);
  await appended(wal, [entryAt(101, 1, 3000)]);
  await wal.close();
  const torn = readFileSync(file);
  torn.fill(0, Math.ceil((end + 600) / 512) * 512);
  writeFileSync(file, torn);

  wal = await open(dir);
  const report = wal.recovered.torn;
  assert.ok(report !== null, "the torn end was not reported");
  assert.equal(report.file, file);
  assert.deepEqual(readFileSync(report.copy), torn);
  assert.deepEqual(all(wal), entriesFrom(1, 100));
  await appended(wal, entriesFrom(101, 5, 2), 2);
  await wal.close();
  wal = await open(dir);
  assert.equal(wal.recovered.torn, null);
  assert.equal(wal.recovered.lastIndex, 105);
  await wal.close();
});

test("a directory has one owner: a second opening is refused, a dead owner's lock is not", async (t) => {
  const dir = scratch(t);
  const wal = await open(dir);
  await assert.rejects(open(dir), refusedWith("WAL_LOCKED", String(process.pid)));
  await wal.close();
  const dead = spawnSync(process.execPath, ["-e", "0"]).pid;
  writeFileSync(`${join(dir, "wal")}.lock`, `${dead} 12345\n`);
  const again = await open(dir);
  await again.close();
});

test("an unwritable directory is named", {
  skip: process.getuid?.() === 0 && "root may write anywhere",
}, async (t) => {
  const dir = scratch(t);
  chmodSync(dir, 0o500);
  await assert.rejects(open(dir), refusedWith("WAL_NOT_WRITABLE", dir));
});

test("files are 0600 and the directory 0700", async (t) => {
  const dir = scratch(t);
  const wal = await open(dir);
  assert.equal(statSync(join(dir, "wal")).mode & 0o777, 0o700);
  for (const file of segmentsIn(dir)) assert.equal(statSync(file).mode & 0o777, 0o600);
  await wal.close();
});

for (const writer of ["inline-js", "inline-wasm"] as const) {
  test(`${writer}: a failed write is not retried: the log fences itself and refuses what comes`, async (t) => {
    const dir = scratch(t);
    let writes = 0;
    const failing: WalOptions["fileSystem"] = {
      ...realFileSystem,
      write: (fd, bytes, offset, length, position, done) => {
        writes++;
        if (writes <= 2) realFileSystem.write(fd, bytes, offset, length, position, done);
        else setImmediate(() => done(Object.assign(new Error("EIO: i/o error"), { code: "EIO" }), 0));
      },
    };
    const wal = await open(dir, { writer, fileSystem: failing });
    await appended(wal, entriesFrom(1, 5));
    await appended(wal, entriesFrom(6, 5));
    await assert.rejects(appended(wal, entriesFrom(11, 5)), refusedWith("WAL_IO", dir));
    assert.throws(() => wal.append(null, entriesFrom(16, 1), true), refusedWith("WAL_IO"));
    assert.equal(writes, 3);
    assert.equal(wal.storage.lastIndex(), 10, "what was not written counts as durable");
    await wal.close();
    const again = await open(dir);
    assert.deepEqual(all(again), entriesFrom(1, 10));
    await again.close();
  });
}

test("a full disk is a clear error", async (t) => {
  const dir = scratch(t);
  const full: WalOptions["fileSystem"] = {
    ...realFileSystem,
    writeSync: () => {
      throw Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });
    },
  };
  await assert.rejects(open(dir, { fileSystem: full }), refusedWith("WAL_NO_SPACE", dir, "restart"));
});

const walcheck = process.env["RAFTMARK_WALCHECK"] ?? "/tmp/walcheck.bin";
const noGo = existsSync(walcheck) ? false : `etcd's own reader is not built (${walcheck})`;
test("etcd's own reader accepts the log, appends to it and reads it back", { skip: noGo }, async (t) => {
  const dir = scratch(t);
  for (const writer of WRITERS) {
    const wal = await open(dir, { writer, segmentBytes: 30_000 });
    const first = wal.storage.lastIndex() + 1;
    for (let i = 0; i < 5; i++) await appended(wal, entriesFrom(first + i * 100, 100));
    await wal.close();
  }
  const { status, stdout } = spawnSync(walcheck, ["check", "-snap", "auto", join(dir, "wal")], {
    encoding: "utf8",
  });
  assert.equal(status, 0, stdout);
  assert.match(stdout, /entries=1500 \[1\.\.1500\]/);
});

test("garbage written over the end is corruption, not a torn end", async (t) => {
  const dir = scratch(t);
  const wal = await open(dir);
  await appended(wal, entriesFrom(1, 20));
  await wal.close();
  const [file] = segmentsIn(dir);
  const fd = openSync(file, "r+");
  writeSync(fd, Buffer.from("ffffffffffffff00aabbccddeeff0011", "hex"), 0, 16, 600);
  await assert.rejects(open(dir), refusedWith("WAL_CORRUPT", file));
});
