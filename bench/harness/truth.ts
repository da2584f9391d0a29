// The truth check: is what the run claimed in the logs on disk? Compares the acknowledged proposals, the logs and the
// state hashes, and says each thing that differs. A run that fails it is void. Pure; check-truth.ts reads the files.
import { z } from "zod";
import type { AckedJournal } from "./acked.js";
import type { LogDigest } from "./log-digest.js";

const StateClaim = z.object({ applied: z.number(), count: z.number(), hash: z.string() });

/** What is to be checked: written by the harness, read by a fresh process. */
export const TruthRequest = z.object({
  nodes: z.array(z.object({ id: z.number(), dir: z.string(), state: StateClaim.nullable() })),
  /** Journals of acknowledged proposals. */
  ackedFiles: z.array(z.string()),
  /** How many acknowledgements the journals must hold at least. */
  ackedMin: z.number(),
});
export type TruthRequest = z.output<typeof TruthRequest>;

export const TruthReport = z.object({
  ok: z.boolean(),
  /** What differs, one sentence each; at most FINDINGS_MAX of them, `findingCount` counts all. */
  findings: z.array(z.string()),
  findingCount: z.number(),
  ackedChecked: z.number(),
  /** Acknowledged proposals that are not in the logs of a quorum; 0 also in results that do not say. */
  ackedLost: z.number().default(0),
  committedChecked: z.number(),
  logsRead: z.number(),
  /** The hash of all state machines at the last index that all of them applied; "" if none is common. */
  stateHash: z.string(),
  stateIndex: z.number(),
});
export type TruthReport = z.output<typeof TruthReport>;

const FINDINGS_MAX = 10;

type Claim = z.output<typeof StateClaim>;

/** A log and what its node said of its state machine before it stopped; null: it was not asked. */
export interface Witness {
  readonly log: LogDigest;
  readonly state: Claim | null;
  /** What its snapshots say of its state. */
  readonly snapshots?: readonly { readonly index: number; readonly hash: string }[];
}

/** What differs, in sentences; the first few are kept, all are counted. */
export class Findings {
  readonly texts: string[] = [];
  count = 0;

  add(text: string): void {
    this.count++;
    if (this.texts.length < FINDINGS_MAX) this.texts.push(text);
  }
}

/** Compares what was read. `size` is the number of voters. */
export function judge(
  witnesses: readonly Witness[],
  journals: readonly AckedJournal[],
  size: number,
  ackedMin: number,
  findings = new Findings(),
): Omit<TruthReport, "logsRead"> {
  const logs = witnesses.map(({ log }) => log);
  const quorum = Math.floor(size / 2) + 1;
  for (const log of logs) for (const flaw of log.flaws) findings.add(flaw);
  const { checked: ackedChecked, lost: ackedLost } = checkAcked(logs, journals, quorum, findings);
  if (ackedChecked < ackedMin) {
    findings.add(
      `the journals hold ${ackedChecked} acknowledgements, but ${ackedMin} were counted in the run`,
    );
  }
  const committedChecked = checkCommitted(logs, quorum, findings);
  const state = checkState(witnesses, findings);
  return {
    ok: findings.count === 0,
    findings: findings.texts,
    findingCount: findings.count,
    ackedChecked,
    ackedLost,
    committedChecked,
    ...state,
  };
}

/** Every acknowledged proposal is in the logs of a quorum, at its index and in its term. */
function checkAcked(
  logs: readonly LogDigest[],
  journals: readonly AckedJournal[],
  quorum: number,
  findings: Findings,
): { readonly checked: number; readonly lost: number } {
  let checked = 0;
  let lost = 0;
  for (const { runId, client, runs } of journals) {
    for (const run of runs) {
      for (let i = 0; i < run.count; i++) {
        const index = run.index + i;
        const holds = (log: LogDigest) => holdsAcked(log, index, run.term, runId, client, run.seq + i);
        let holders = 0;
        for (const log of logs) if (holds(log)) holders++;
        checked++;
        if (holders >= quorum) continue;
        lost++;
        const others = logs.filter((log) => !holds(log));
        const found = others.map((log) => `node ${log.node} has ${log.describe(index)}`).join("; ");
        findings.add(
          `acknowledged proposal seq ${run.seq + i} of client ${client} (index ${index}, term ${run.term}) is in ` +
            `${holders} log(s), a quorum is ${quorum}: ${found}`,
        );
      }
    }
  }
  return { checked, lost };
}

function holdsAcked(
  log: LogDigest,
  index: number,
  term: number,
  runId: number,
  client: number,
  seq: number,
): boolean {
  return log.has(index) && log.termAt(index) === term && log.isPayload(index, runId, client, seq);
}

/**
 * Logs agree on every committed index, and a quorum has it. The log that knows the most committed is the yardstick;
 * beyond its own commit a log may hold what was never committed, so there it only counts if it agrees.
 */
function checkCommitted(logs: LogDigest[], quorum: number, findings: Findings): number {
  if (logs.length === 0) return 0;
  const yardstick = logs.reduce((best, log) => (log.commit > best.commit ? log : best));
  for (const log of logs) {
    if (log.commit > log.lastIndex) {
      findings.add(`node ${log.node}: committed up to ${log.commit}, but its log ends at ${log.lastIndex}`);
    }
  }
  const last = Math.min(yardstick.commit, yardstick.lastIndex);
  for (let index = yardstick.firstIndex; index <= last; index++) {
    let agreeing = 0;
    for (const log of logs) {
      if (log.agrees(yardstick, index)) agreeing++;
      else if (index <= log.commit && index >= log.firstIndex) {
        findings.add(
          `committed index ${index} differs: node ${yardstick.node} has ${yardstick.describe(index)}; ` +
            `node ${log.node} has ${log.describe(index)}`,
        );
      }
    }
    if (agreeing < quorum) {
      findings.add(`committed index ${index} is the same in ${agreeing} log(s) only, a quorum is ${quorum}`);
    }
  }
  return Math.max(0, last - yardstick.firstIndex + 1);
}

/** What each node said of its state is what its log gives when applied again, and all are equal at a common index. */
function checkState(
  witnesses: readonly Witness[],
  findings: Findings,
): { stateHash: string; stateIndex: number } {
  const claims: Claim[] = [];
  for (const { log, state } of witnesses) {
    if (state === null) continue;
    claims.push(state);
    const recomputed = log.stateAt.get(state.applied) ?? "nothing: the log ends before";
    if (recomputed !== state.hash) {
      findings.add(
        `node ${log.node}: its state machine reported hash ${state.hash} at index ${state.applied}, ` +
          `its log applied again gives ${recomputed}`,
      );
    }
  }
  for (const { log, snapshots = [] } of witnesses) {
    for (const { index, hash } of snapshots) {
      const recomputed = log.stateAt.get(index) ?? "nothing: the log ends before";
      if (recomputed === hash) continue;
      findings.add(
        `node ${log.node}: its snapshot at index ${index} says state hash ${hash}, its log applied again gives ${recomputed}`,
      );
    }
  }
  if (claims.length === 0) return { stateHash: "", stateIndex: 0 };
  const stateIndex = Math.min(...claims.map(({ applied }) => applied));
  const reference = claims.find(({ applied }) => applied === stateIndex) as Claim;
  for (const { log } of witnesses) {
    if (log.lastIndex < stateIndex || log.commit < stateIndex) continue;
    const hash = log.stateAt.get(stateIndex);
    if (hash === reference.hash) continue;
    findings.add(
      `state hash at index ${stateIndex}: node ${log.node} has ${hash}, another node ${reference.hash}`,
    );
  }
  return { stateHash: reference.hash, stateIndex };
}
