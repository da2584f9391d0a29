// Reads what the truth check judges: the logs and the journals, from disk.
import { type AckedJournal, readAcked } from "./acked.js";
import { messageOf } from "./bench-error.js";
import { LogDigest } from "./log-digest.js";
import { readLog } from "./read-log.js";
import { readSnapshots, type SnapshotClaim } from "./read-snapshots.js";
import { Findings, judge, type TruthReport, type TruthRequest, type Witness } from "./truth.js";

/** Reads every log, snapshot and journal of `request` and judges them. Never throws for a bad log: that is a finding. */
export async function checkTruth(request: TruthRequest): Promise<TruthReport> {
  const findings = new Findings();
  const indexes = request.nodes.flatMap(({ state }) => (state === null ? [] : [state.applied]));
  const snapshots = new Map<number, readonly SnapshotClaim[]>();
  for (const { id, dir } of request.nodes) {
    try {
      snapshots.set(id, await readSnapshots(dir));
    } catch (error) {
      findings.add(`node ${id}: a snapshot in ${dir} cannot be read: ${messageOf(error)}`);
    }
  }
  for (const { index } of [...snapshots.values()].flat()) indexes.push(index);
  const witnesses: Witness[] = [];
  let logsRead = 0;
  for (const { id, dir, state } of request.nodes) {
    const log = new LogDigest(id, indexes);
    try {
      const end = readLog(dir, (entry) => log.add(entry));
      log.commit = Math.max(end.commit, state?.applied ?? 0);
      log.end();
      logsRead++;
    } catch (error) {
      findings.add(`node ${id}: its log in ${dir} cannot be read: ${messageOf(error)}`);
      continue; // A node without a readable log is a node that has nothing.
    }
    witnesses.push({ log, state, snapshots: snapshots.get(id) ?? [] });
  }
  const journals: AckedJournal[] = [];
  for (const path of request.ackedFiles) {
    try {
      journals.push(readAcked(path));
    } catch (error) {
      findings.add(`the journal of acknowledgements cannot be read: ${messageOf(error)}`);
    }
  }
  return { ...judge(witnesses, journals, request.nodes.length, request.ackedMin, findings), logsRead };
}
