// Protobuf bytes of ConfState and SnapshotMetadata: in messages, in a log's records and in a snapshot's file. In field
// order, lists unpacked, as etcd writes them; any order and unknown fields are read.
import { FieldReader, LENGTH, pushBytes, pushNumber } from "../../base/protobuf.js";
import type { ConfState, SnapshotMetadata } from "./entry.js";

export function marshalConfState(confState: ConfState): number[] {
  const { voters, learners, votersOutgoing, learnersNext, autoLeave } = confState;
  const out: number[] = [];
  [voters, learners, votersOutgoing, learnersNext].forEach((ids, i) => {
    for (const id of ids) pushNumber(out, i + 1, id);
  });
  pushNumber(out, 5, autoLeave ? 1 : 0);
  return out;
}

/** Without `members`, which is no field of etcd's. */
export function marshalSnapshotMetadata({ confState, index, term }: SnapshotMetadata): number[] {
  const out: number[] = [];
  pushBytes(out, 1, marshalConfState(confState));
  pushNumber(out, 2, index);
  pushNumber(out, 3, term);
  return out;
}

/** Throws MalformedError. */
export function readConfState(bytes: Uint8Array): ConfState {
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
