// Expected refusals of the core, as values: a call returns one, it is never thrown. Texts are etcd raft's.

/** A typed refusal. Compared by identity. `code` is stable and reaches users of the package. */
export class RaftError {
  readonly code: string;
  readonly message: string;

  constructor(code: string, message: string) {
    this.code = code;
    this.message = message;
  }
}

export const ErrCompacted = new RaftError(
  "RAFT_COMPACTED",
  "requested index is unavailable due to compaction",
);
export const ErrSnapOutOfDate = new RaftError(
  "RAFT_SNAP_OUT_OF_DATE",
  "requested index is older than the existing snapshot",
);
export const ErrUnavailable = new RaftError("RAFT_UNAVAILABLE", "requested entry at index is unavailable");
export const ErrSnapshotTemporarilyUnavailable = new RaftError(
  "RAFT_SNAPSHOT_TEMPORARILY_UNAVAILABLE",
  "snapshot is temporarily unavailable",
);
export const ErrStepLocalMsg = new RaftError("RAFT_STEP_LOCAL_MSG", "raft: cannot step raft local message");
export const ErrStepPeerNotFound = new RaftError(
  "RAFT_STEP_PEER_NOT_FOUND",
  "raft: cannot step as peer not found",
);
