// `raftmark wal repair`: what etcd's Repair does, cutting a torn end of the newest segment with a copy kept, and the same
// for torn bytes behind its zeros; what our own reader takes for damage is never cut. Says in words what went. Refuses
// while a process has the log open.
import fs from "node:fs";
import path from "node:path";
import { grouped, plural } from "../../bench/report/numbers.js";
import { ADVICE } from "../wal/disk/errors.js";
import { lockDir } from "../wal/disk/lock.js";
import { frameAt } from "../wal/format/codec-js.js";
import { RECORD_ENTRY, SEGMENT_END_BYTES } from "../wal/format/format.js";
import { parseRecord } from "../wal/format/record.js";
import { RECORD_NAMES } from "../wal/inspect/check-segment.js";
import { applyRepair, type EtcdRepairPlan, etcdPlanRepair } from "../wal/inspect/etcd-reader.js";
import { findLog, type LogPlace } from "../wal/inspect/log-place.js";
import { RecordOrder } from "../wal/inspect/record-order.js";
import { entryOf, glimpse, type RecordDamage, RecordScan } from "../wal/inspect/record-scan.js";
import type { Damage } from "../wal/recover/scan-segment.js";
import { lastNonZero } from "../wal/recover/torn.js";
import type { ProgressStream } from "./byte-progress.js";
import { CommandError } from "./command-error.js";
import { verifyLog } from "./wal-verify.js";

/** Returns what the command prints and its exit code. Throws WAL_LOCKED. */
export async function repairLog(
  dir: string,
  threads: number,
  stderr: ProgressStream,
): Promise<{ readonly text: string; readonly exitCode: number }> {
  const place = findLog(dir);
  const lock = await lockDir(path.resolve(place.walDir));
  try {
    refuseForeignLock(place);
    const plan = behindEnd(etcdPlanRepair(place.walDir, place.segments));
    if (plan.answer === "refuse") return { text: refusal(plan), exitCode: 1 };
    const misfit = plan.answer === "cut" ? misfitBefore(plan) : null;
    if (misfit !== null) return { text: misfitRefusal(plan, misfit), exitCode: 1 };
    // To etcd an end inside a record is torn, also where that record's length is wrong and others lie behind it.
    if (plan.answer === "cut" && damageOf(plan.bytes)?.torn === false) {
      return { text: refusal(plan), exitCode: 1 };
    }
    const text =
      plan.answer === "cut" ? cut(place.walDir, plan) : "the newest segment ends well: nothing was cut\n";
    const after = await verifyLog(findLog(dir), { threads, snap: null }, stderr);
    if (after.sound) return { text: `${text}the log is sound\n`, exitCode: 0 };
    const where = `${place.walDir} is damaged in a way that cutting its end cannot mend`;
    return { text: `${text}${where}; what and where: raftmark wal verify ${dir}\n`, exitCode: 1 };
  } finally {
    lock.release();
  }
}

// Where etcd stops reading at zeros and does not look behind them: bytes there that are no records are torn, too.
function behindEnd(plan: EtcdRepairPlan): EtcdRepairPlan {
  if (plan.answer !== "clean") return plan;
  const damage = damageOf(plan.bytes);
  return damage?.torn === true && damage.offset === plan.offset ? { ...plan, answer: "cut" } : plan;
}

function refusal(plan: EtcdRepairPlan): string {
  const { name, bytes, offset, error } = plan;
  const where = `${name} is damaged at offset ${grouped(offset)} (etcd: ${error})`;
  if (damageOf(bytes)?.torn === true) {
    return `nothing was changed: ${where}; raftmark's engine takes it for torn, and cuts it when the node starts\n`;
  }
  return (
    `nothing was changed: ${where}, and not as a torn write leaves it, so that cutting there could lose what was ` +
    `acknowledged. ${ADVICE}\n`
  );
}

// A record before the cut that is sound to etcd's Repair, which looks at no content: cutting behind it would only hide
// where the log went wrong.
function misfitBefore({ bytes, offset }: EtcdRepairPlan): Damage | null {
  const scan = new RecordScan(bytes, null);
  const order = new RecordOrder();
  for (let record = scan.next(); record !== null && record.offset < offset; record = scan.next()) {
    const what = order.add(record);
    if (what !== "") return { offset: record.offset, record: record.number, what };
  }
  const { damage } = scan;
  return damage !== null && damage.offset < offset ? damage : null;
}

function misfitRefusal({ name }: EtcdRepairPlan, { offset, record, what }: Damage): string {
  return `nothing was changed: ${name}, offset ${grouped(offset)}, record ${record}: ${what}. ${ADVICE}\n`;
}

/** What our own scan finds wrong with the newest segment. */
function damageOf(bytes: Uint8Array): RecordDamage | null {
  const scan = new RecordScan(bytes, null);
  while (scan.next() !== null);
  return scan.damage;
}

function cut(walDir: string, plan: EtcdRepairPlan): string {
  const lost = lossText(plan);
  const copy = applyRepair(walDir, plan, SEGMENT_END_BYTES);
  return (
    `cut ${plan.name} at offset ${grouped(plan.offset)}, where its last good record ends\n` +
    `lost: ${lost}\nkept: the segment as it was, in ${path.join(walDir, copy)}\n`
  );
}

/** What lies behind the cut: the record that is not whole, and good ones behind it that go with it. */
function lossText({ bytes, offset }: EtcdRepairPlan): string {
  const torn = glimpse(bytes, offset);
  const kind =
    torn === null ? "a record of which nothing can be told" : `a torn ${RECORD_NAMES[torn.type]} record`;
  const which = torn?.index == null ? "" : ` (entry ${torn.index})`;
  const end = Math.max(lastNonZero(bytes, offset), Math.min(bytes.length, offset + 8));
  const parts = [`${kind}${which}`];
  const behind = goodBehind(bytes, offset);
  if (behind.records > 0) {
    const { first, last, entries } = behind;
    const range = entries === 0 ? "no entries among them" : `entries ${first} to ${last} among them`;
    parts.push(
      `${plural(behind.records, "good record")} behind it, ${range}, which may have been acknowledged (take them from the copy)`,
    );
  }
  parts.push(`${plural(end - offset, "byte")} in all`);
  return parts.join("; ");
}

// Records that go on from the checksum which the damaged record claims.
function goodBehind(
  bytes: Uint8Array,
  offset: number,
): { records: number; entries: number; first: bigint; last: bigint } {
  const found = { records: 0, entries: 0, first: 0n, last: 0n };
  if (offset + 8 > bytes.length) return found;
  const { length, padding } = frameAt(bytes, offset);
  const end = offset + 8 + length + padding;
  if (end >= bytes.length) return found;
  try {
    const { crc } = parseRecord(bytes, offset + 8, offset + 8 + length);
    const scan = new RecordScan(bytes.subarray(end), crc, false);
    for (let record = scan.next(); record !== null; record = scan.next()) {
      found.records++;
      if (record.type !== RECORD_ENTRY) continue;
      const { index } = entryOf(record.data);
      if (found.entries++ === 0) found.first = index;
      found.last = index;
    }
  } catch {
    // What cannot be parsed is no good record.
  }
  return found;
}

// etcd's own lock: flock or OFD on every segment that it has open. Ours was taken before.
function refuseForeignLock({ walDir, segments }: LogPlace): void {
  let table: string;
  try {
    table = fs.readFileSync("/proc/locks", "utf8");
  } catch {
    return; // No /proc: nothing to go by.
  }
  const inodes = new Map(segments.map(({ name }) => [fs.statSync(path.join(walDir, name)).ino, name]));
  for (const line of table.split("\n")) {
    const [, , , mode, pid, place] = line.split(/\s+/);
    if (mode !== "WRITE" || place === undefined) continue;
    const name = inodes.get(Number(place.split(":")[2]));
    if (name === undefined) continue;
    const who = Number(pid) > 0 ? `process ${pid}` : "a process";
    throw new CommandError(
      2,
      `${who} has ${name} in ${walDir} locked; stop it (etcd, or a copying tool) and try again.`,
    );
  }
}
