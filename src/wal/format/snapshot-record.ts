// The data of a snapshot record (walpb.Snapshot): index, term and, since etcd 3.5, the membership at that index.

import { FieldReader, LENGTH } from "../../base/protobuf.js";
import { type ConfState, EMPTY_CONF_STATE } from "../../raft/raftpb/index.js";

/** Throws MalformedError. Without a conf state (etcd 3.4, the first record of a log) an empty one. */
export function parseSnapshotRecord(bytes: Uint8Array): {
  index: number;
  term: number;
  confState: ConfState;
} {
  let index = 0;
  let term = 0;
  let confState = EMPTY_CONF_STATE;
  const reader = new FieldReader(bytes);
  while (reader.next()) {
    if (reader.field === 1) index = reader.number();
    else if (reader.field === 2) term = reader.number();
    else if (reader.field === 3) confState = parseConfState(reader.view());
    else reader.skip();
  }
  return { index, term, confState };
}

/** raftpb.ConfState. */
export function parseConfState(bytes: Uint8Array): ConfState {
  const lists: [number[], number[], number[], number[]] = [[], [], [], []];
  let autoLeave = false;
  const reader = new FieldReader(bytes);
  while (reader.next()) {
    const list = lists[reader.field - 1];
    if (reader.field === 5) autoLeave = reader.number() !== 0;
    else if (list === undefined) reader.skip();
    else if (reader.wire !== LENGTH) list.push(reader.number());
    // Packed, which etcd does not write but a proto2 reader takes.
    else for (const id of reader.packed()) list.push(id);
  }
  const [voters, learners, votersOutgoing, learnersNext] = lists;
  return { voters, learners, votersOutgoing, learnersNext, autoLeave };
}
