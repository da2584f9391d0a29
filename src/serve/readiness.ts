// Whether this node can answer: a linearizable read that comes back says so, and nothing less does. A node that the
// others do not reach may know who leads, and answers nobody.
import { RaftmarkError, type RaftNode } from "../index.js";
import { HttpError } from "./http-error.js";
import type { Parts } from "./parts.js";

/** A probe's patience is a second, most often: it is to hear the reason. */
const READ_MS = 900;
/** Whoever asks within that time of an answer gets the same: many probes cost no more than one. */
const SHARED_MS = 1000;

export class Readiness {
  /** Resolves with what is in the way; null: nothing. One at a time. */
  private read: Promise<unknown> | null = null;

  /** Who leads, as known to a node that can answer. Throws 503 with what is in the way. */
  async check({ node, closing }: Parts): Promise<number> {
    if (closing.aborted) throw new HttpError(503, "RAFT_CLOSED", "this node shuts down");
    refuse(node);
    this.read ??= this.readBarrier(node);
    const error = await this.read;
    if (error !== null) throw unready(node, error);
    return node.status().leader;
  }

  private async readBarrier(node: RaftNode): Promise<unknown> {
    const outcome = await node.readBarrier({ timeoutMs: READ_MS }).then(
      () => null,
      (error: unknown) => error,
    );
    setTimeout(() => {
      this.read = null;
    }, SHARED_MS).unref();
    return outcome;
  }
}

/** Throws for what the node knows by itself. */
function refuse(node: RaftNode): void {
  const { id, leader, fault, state, lostLogs } = node.status();
  if (fault !== null) throw new HttpError(503, "RAFT_FENCED", fault);
  if (state === "StateRemoved") throw new HttpError(503, "RAFT_REMOVED", "this node is no member any more");
  const lost = lostLogs.find((one) => one.node === id);
  if (lost !== undefined) throw new HttpError(503, "RAFT_LOG_LOST", lost.reason);
  if (leader === 0) throw new HttpError(503, "RAFT_NO_LEADER", standingOf(node));
}

function unready(node: RaftNode, error: unknown): unknown {
  // What it knows by now may say why.
  refuse(node);
  if (!(error instanceof RaftmarkError)) return error;
  const { code, message } = error;
  return new HttpError(503, code, code === "RAFT_TIMEOUT" ? silenceText(node) : message);
}

function silenceText(node: RaftNode): string {
  return `no read came back within ${READ_MS} ms, and ${standingOf(node)}`;
}

/** What a node knows of why something waits: who leads, how far it has come, its disk, or what to look at. */
export function standingOf(node: RaftNode): string {
  const { id, leader, commit, applied, disk, fault } = node.status();
  if (fault !== null) return fault;
  if (leader === 0) return `no leader is known; ${questionOf(node)}`;
  const lag = applied < commit ? ` (${applied} of ${commit} entries are applied)` : "";
  const who = leader === id ? "this node leads" : `node ${leader} leads`;
  return `${who}${lag}; ${disk.silent ? "the disk of its own log does not answer" : questionOf(node)}`;
}

/** What to look at. */
function questionOf(node: RaftNode): string {
  const { id, members, obstacles } = node.status();
  const address = members.find((member) => member.id === id)?.address ?? "";
  const where = address === "" ? "" : `, at ${address} as far as it knows`;
  const last = obstacles.length === 0 ? "" : ` Last: ${obstacles.join("; ")}`;
  return `is a majority of the voters up, and does it reach this node${where}?${last}`;
}
