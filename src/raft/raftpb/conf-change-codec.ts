// Protobuf bytes of ConfChange and ConfChangeV2: the core is pure and decodes the entries it applies. Fields that gogo
// protobuf always emits are emitted, in field order; any order and unknown fields are read.
import { NO_DATA } from "../../base/bytes.js";
import { FieldReader, LENGTH, pushBytes, pushNumber, unlessMalformed, VARINT } from "../../base/protobuf.js";
import type { ConfChange, ConfChangeSingle, ConfChangeType, ConfChangeV2 } from "./conf-change.js";
import { ConfChangeTransitionAuto, isConfChangeV2 } from "./conf-change.js";

/** The bytes an entry of the matching type (EntryConfChange, EntryConfChangeV2) carries. */
export function marshalConfChange(cc: ConfChange | ConfChangeV2): Uint8Array {
  const out: number[] = [];
  if (isConfChangeV2(cc)) {
    pushNumber(out, 1, cc.transition);
    for (const change of cc.changes) {
      const body: number[] = [];
      pushNumber(body, 1, change.type);
      pushNumber(body, 2, change.nodeId);
      pushBytes(out, 2, body);
    }
    if (cc.context !== NO_DATA) pushBytes(out, 3, cc.context);
  } else {
    pushNumber(out, 1, cc.id);
    pushNumber(out, 2, cc.type);
    pushNumber(out, 3, cc.nodeId);
    if (cc.context !== NO_DATA) pushBytes(out, 4, cc.context);
  }
  return Uint8Array.from(out);
}

/** Reads a ConfChange; null for bytes that are none, or ids above 2^53-1. */
export function unmarshalConfChange(data: Uint8Array): ConfChange | null {
  return unlessMalformed(() => readChange(new FieldReader(data)));
}

/** Reads a ConfChangeV2; no bytes are the change that leaves a joint configuration, null as above. */
export function unmarshalConfChangeV2(data: Uint8Array): ConfChangeV2 | null {
  return unlessMalformed(() => readChangeV2(new FieldReader(data)));
}

// Contexts are copies: what is decoded outlives the entry's bytes.

function readChange(reader: FieldReader): ConfChange | null {
  let id = 0;
  let type = 0;
  let nodeId = 0;
  let context = NO_DATA;
  while (reader.next()) {
    if (reader.is(1, VARINT)) id = reader.varint();
    else if (reader.is(2, VARINT)) type = reader.varint();
    else if (reader.is(3, VARINT)) nodeId = reader.varint();
    else if (reader.is(4, LENGTH)) context = reader.view().slice();
    else reader.skip();
  }
  return type > 3 ? null : { id, type: type as ConfChangeType, nodeId, context };
}

function readChangeV2(reader: FieldReader): ConfChangeV2 | null {
  const changes: ConfChangeSingle[] = [];
  let transition = ConfChangeTransitionAuto as number;
  let context = NO_DATA;
  while (reader.next()) {
    if (reader.is(1, VARINT)) transition = reader.varint();
    else if (reader.is(2, LENGTH)) {
      const single = readSingle(new FieldReader(reader.view()));
      if (single === null) return null;
      changes.push(single);
    } else if (reader.is(3, LENGTH)) context = reader.view().slice();
    else reader.skip();
  }
  return transition > 2 ? null : { transition: transition as ConfChangeV2["transition"], changes, context };
}

function readSingle(reader: FieldReader): ConfChangeSingle | null {
  let type = 0;
  let nodeId = 0;
  while (reader.next()) {
    if (reader.is(1, VARINT)) type = reader.varint();
    else if (reader.is(2, VARINT)) nodeId = reader.varint();
    else reader.skip();
  }
  return type > 3 ? null : { type: type as ConfChangeType, nodeId };
}
