// The two entry points of etcd's log package that only fixtures are held against: ReadAll with the entries in memory, and
// Repair as it is. The tools count entries, and cut by rules of their own (cli/wal-repair.ts).
import type { EtcdEntry, EtcdSnapshotId } from "../../src/wal/inspect/etcd-proto.js";
import {
  applyRepair,
  type EtcdRead,
  etcdPlanRepair,
  etcdRead,
  SNAPSHOT_NOT_FOUND,
} from "../../src/wal/inspect/etcd-reader.js";

export interface EtcdLog extends EtcdRead {
  readonly entries: readonly EtcdEntry[];
}

/** etcd's Open or OpenForRead, then ReadAll. */
export function etcdReadAll(dir: string, snap: EtcdSnapshotId, write: boolean): EtcdLog {
  const entries: EtcdEntry[] = [];
  const read = etcdRead(dir, snap, write, (entry) => {
    entries.length = Number(entry.index - snap.index - 1n);
    entries.push(entry);
  });
  const isRead = read.error === "" || read.error === SNAPSHOT_NOT_FOUND;
  return { ...read, entries: isRead ? entries : [] };
}

/** etcd's Repair: cuts a torn end of the last segment, keeping a copy as NAME.broken. */
export function etcdRepair(dir: string): boolean {
  const plan = etcdPlanRepair(dir);
  if (plan.answer === "cut") applyRepair(dir, plan);
  return plan.answer !== "refuse";
}
