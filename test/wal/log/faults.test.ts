// What goes wrong with a disk, at every step of each writer: nothing is tried again, the log is fenced and says why, and
// the next open finds what was durable. What the log can do without is a warning.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { type TestContext, test } from "node:test";
import type { RaftmarkError } from "../../../src/base/errors.js";
import { openWal, type Wal, type WalOptions } from "../../../src/wal/index.js";
import { mountSmall, tempDir } from "../../temp-dir.js";
import { FAILED, type FaultPlan, LATER, OPENED, sharedWords } from "../faulty-fs.js";
import { allEntries, assertSameEntries, durable, open, options, run, WRITERS } from "../helpers.js";

const FAULTY = new URL("../faulty-fs.js", import.meta.url).href;
const BATCH = 5;

/** Appends of five entries each until the log faults: the last index reported durable, and the fault. */
async function untilFault(wal: Wal, bytes = 100): Promise<{ reported: number; fault: RaftmarkError }> {
  const first = wal.storage.lastIndex();
  let reported = first;
  const fault = new Promise<RaftmarkError>((resolve) => {
    wal.onFault = resolve;
  });
  let last = first;
  const append = (): void => {
    wal.append({ term: 1, vote: 1, commit: last }, run(last + 1, last + BATCH, 1, bytes));
    last += BATCH;
  };
  wal.onDurable = (seq) => {
    reported = first + seq * BATCH;
    append();
  };
  append();
  append();
  return { fault: await fault, reported };
}

async function assertRecovers(
  t: TestContext,
  walOptions: WalOptions,
  reported: number,
  bytes = 100,
): Promise<void> {
  const again = await open(t, walOptions);
  assert.ok(again.recovered.lastIndex >= reported, `${again.recovered.lastIndex} < ${reported}`);
  assertSameEntries(allEntries(again), run(1, again.recovered.lastIndex, 1, bytes));
  await durable(again, again.append({ term: 2, vote: 1, commit: reported }, []));
}

/** Every step of a writer that can fail; the files of a cut still have their name of before (.tmp). */
const STEPS: Readonly<Record<string, Omit<FaultPlan, "code">>> = {
  "the write of an append": { op: "write", path: ".wal", from: 4 },
  "the sync of an append": { op: "fdatasync", path: ".wal", from: 4 },
  "a cut: truncating the full segment": { op: "truncate", path: ".wal", from: 1 },
  "a cut: the sync of the full segment": { op: "fdatasync", path: ".wal", after: "truncate", from: 1 },
  "a cut: opening the next segment": { op: "open", path: ".tmp", creates: false, from: 1 },
  "a cut: the head of the next segment": { op: "write", path: ".tmp", creates: false, from: 1 },
  "a cut: the sync of the head": { op: "fdatasync", path: ".tmp", creates: false, from: 1 },
  "a cut: the next segment's name": { op: "rename", path: ".tmp", from: 1 },
  "a cut: the sync of the directory": { op: "syncDir", opened: true, from: 1 },
};

for (const writer of WRITERS) {
  for (const [step, where] of Object.entries(STEPS)) {
    test(`${writer}: ${step} fails: fenced, not tried again, what was durable is there`, async (t) => {
      const walOptions = options(tempDir(t), { writer, segmentBytes: 4096 });
      await (await openWal(walOptions)).close();
      const shared = sharedWords();
      const plan: FaultPlan = { ...where, code: "EIO", shared };
      const wal = await open(t, { ...walOptions, walFs: { module: FAULTY, arg: plan } });
      Atomics.store(shared, OPENED, 1);
      const { fault, reported } = await untilFault(wal);
      assert.equal(fault.code, "WAL_IO");
      assert.match(fault.message, /EIO: injected.*check the disk, then restart the node/);
      assert.ok(reported > 0);
      assert.throws(() => wal.append(null, run(1, 1)), { code: "RAFT_FENCED" });
      await wal.close();
      assert.equal(Atomics.load(shared, FAILED), 1);
      // A segment that was being prepared beside it may still be finished.
      if (where.path !== ".tmp") assert.ok(Atomics.load(shared, LATER) <= 4);
      await assertRecovers(t, walOptions, reported);
    });
  }

  for (const [code, advice] of [
    ["EIO", /check the disk, then start the node again/],
    ["EFBIG", /allow larger files \(ulimit -f\), or set a smaller segmentBytes, then start/],
  ] as const) {
    test(`${writer}: a first segment that cannot be written (${code}): opening says what to do`, async (t) => {
      const plan: FaultPlan = { op: "write", from: 1, code };
      const walOptions = options(tempDir(t), { writer, walFs: { module: FAULTY, arg: plan } });
      await assert.rejects(openWal(walOptions), { code: "WAL_IO", message: advice });
    });
  }

  test(`${writer}: no space to prepare a segment ahead is a warning, on an append it is the end`, async (t) => {
    const walOptions = options(tempDir(t), { writer, segmentBytes: 4096 });
    await (await openWal(walOptions)).close();
    const warnings: RaftmarkError[] = [];
    const plan: FaultPlan = { op: "open", from: 1, code: "ENOSPC", path: ".tmp", creates: true };
    const wal = await open(t, {
      ...walOptions,
      walFs: { module: FAULTY, arg: plan },
      onWarning: (warning) => warnings.push(warning),
    });
    const { fault, reported } = await untilFault(wal);
    assert.equal(fault.code, "WAL_NO_SPACE");
    assert.match(fault.message, /free space or enlarge the volume, then restart/);
    assert.deepEqual(
      warnings.map(({ code }) => code),
      ["WAL_NO_SPACE"],
    );
    assert.equal(wal.stats().warnings, 1);
    await wal.close();
    await assertRecovers(t, walOptions, reported);
  });

  test(`${writer}: no space for zeros ahead of the appends is a warning, and they go on`, async (t) => {
    const walOptions = options(tempDir(t), { writer, segmentBytes: 1 << 20, durability: "none" });
    await (await openWal(walOptions)).close();
    let warn: (warning: RaftmarkError) => void = () => {};
    const warned = new Promise<RaftmarkError>((resolve) => {
      warn = resolve;
    });
    const plan: FaultPlan = { op: "write", from: 1, code: "ENOSPC", path: ".wal", over: 100_000 };
    const wal = await open(t, {
      ...walOptions,
      durability: "fdatasync",
      walFs: { module: FAULTY, arg: plan },
      onWarning: (warning) => warn(warning),
    });
    for (let at = 1; at < 50; at += BATCH) {
      await durable(wal, wal.append({ term: 1, vote: 1, commit: 0 }, run(at, at + BATCH - 1)));
    }
    const warning = await warned;
    assert.equal(warning.code, "WAL_NO_SPACE");
    assert.match(warning.message, /the log goes on, but free space/);
    assert.equal(wal.stats().warnings, 1, "once a segment");
    await wal.close();
    await assertRecovers(t, walOptions, 50);
  });

  test(`${writer}: a full disk: the log is fenced, and goes on from what was durable once there is room`, async (t) => {
    const small = path.join(tempDir(t), "small");
    if (!mountSmall(t, small, 1)) return;
    const ballast = path.join(small, "ballast");
    fs.writeFileSync(ballast, new Uint8Array(300 << 10));
    const warnings: string[] = [];
    const walOptions = options(small, {
      writer,
      segmentBytes: 128 << 10,
      onWarning: ({ code }) => warnings.push(code),
    });
    const wal = await open(t, walOptions);
    const { fault, reported } = await untilFault(wal, 1000);
    assert.equal(fault.code, "WAL_NO_SPACE");
    assert.ok(reported > 200);
    await wal.close();
    assert.deepEqual(new Set(warnings), new Set(["WAL_NO_SPACE"]));
    fs.rmSync(ballast);
    await assertRecovers(t, walOptions, reported, 1000);
  });
}

test("a directory on a file system that is read-only is refused, and left alone", async (t) => {
  const at = path.join(tempDir(t), "mounted");
  if (!mountSmall(t, at, 8)) return;
  const walOptions = options(at);
  const wal = await openWal(walOptions);
  await durable(wal, wal.append({ term: 1, vote: 1, commit: 0 }, run(1, 20)));
  await wal.close();
  assert.equal(spawnSync("mount", ["-o", "remount,ro", at]).status, 0);
  await assert.rejects(openWal(walOptions), (error: RaftmarkError) => {
    assert.equal(error.code, "WAL_NOT_WRITABLE");
    assert.ok(error.message.includes(walOptions.dir));
    return true;
  });
  assert.equal(spawnSync("mount", ["-o", "remount,rw", at]).status, 0);
  await assertRecovers(t, walOptions, 20);
});

test("a directory of another user is refused, and left alone", async (t) => {
  if (process.getuid?.() !== 0) return t.skip("only root can run a process as another user");
  const dir = tempDir(t);
  const walOptions = options(dir);
  await (await openWal(walOptions)).close();
  const before = fs.readdirSync(walOptions.dir);
  fs.chmodSync(dir, 0o755);
  const script = `
    const { openWal } = await import(${JSON.stringify(new URL("../../../src/wal/index.js", import.meta.url).href)});
    process.setgid(65534);
    process.setuid(65534);
    await openWal({ dir: ${JSON.stringify(walOptions.dir)}, metadata: new Uint8Array(1), writer: "inline-js",
      durability: "none" }).catch((error) => console.log(error.code));`;
  const child = spawnSync(process.execPath, ["--input-type=module", "-e", script], { timeout: 30_000 });
  assert.equal(child.stdout.toString(), "WAL_NOT_WRITABLE\n", child.stderr.toString());
  assert.deepEqual(fs.readdirSync(walOptions.dir), before);
});
