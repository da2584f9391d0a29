// Streams the records of a directory, read-only: for tools and for the bench's check that what was acknowledged is
// there. Takes no lock and changes nothing. Numbers above 2^53-1 are refused; etcd-reader.ts reads those.
import fs from "node:fs";
import { RaftmarkError } from "../../base/errors.js";
import type { Entry, HardState } from "../../raft/raftpb/index.js";
import { corruptError } from "../disk/errors.js";
import { frameAt } from "../format/codec-js.js";
import { crc32c } from "../format/crc32c.js";
import {
  RECORD_CRC,
  RECORD_ENTRY,
  RECORD_METADATA,
  RECORD_SNAPSHOT,
  RECORD_STATE,
  sortedSegments,
} from "../format/format.js";
import * as L from "../format/layout.js";
import { parseEntry, parseNumbers, type RecordSpan, recordIn } from "../format/record.js";
import { NO_SEGMENT_HEAD, NOT_OF_TYPE } from "../recover/misfits.js";
import { sameBytes } from "../recover/scan-segment.js";
import { isMisplaced, judgeEnd, MISPLACED } from "../recover/torn.js";
import { CONFLICT } from "./check-segment.js";
import { ProtoError } from "./etcd-proto.js";
import { RecordOrder } from "./record-order.js";

/** One record and where it lies. Data are views of a buffer of their own. */
export type WalRecord = { readonly segment: string; readonly offset: number } & (
  | { readonly type: "metadata"; readonly data: Uint8Array }
  | { readonly type: "entry"; readonly entry: Entry }
  | { readonly type: "state"; readonly hardState: HardState }
  | { readonly type: "crc"; readonly crc: number }
  | { readonly type: "snapshot"; readonly index: number; readonly term: number }
);

/**
 * Every record in order, CRC checked. Later entries overwrite earlier suffixes: the caller does that. A torn
 * write at the end of the last segment ends the log; any other damage throws WAL_CORRUPT.
 */
export function* readWal(dir: string): Generator<WalRecord, void, void> {
  if (!fs.existsSync(dir)) throw new RaftmarkError("WAL_NOT_FOUND", `there is no log directory ${dir}`);
  const segments = sortedSegments(fs.readdirSync(dir));
  if (segments.length === 0) throw new RaftmarkError("WAL_NOT_FOUND", `there is no log in ${dir}`);
  let crc = 0;
  const order = new RecordOrder();
  let metadata: Uint8Array | null = null;
  const conflict = ({ type, dataStart, dataEnd }: RecordSpan, bytes: Uint8Array): string => {
    if (type !== RECORD_METADATA) return "";
    const data = bytes.subarray(dataStart, dataEnd);
    metadata ??= data;
    return sameBytes(metadata, data) ? "" : CONFLICT;
  };
  for (const { name, seq } of segments) {
    const isLast = seq === segments[segments.length - 1]!.seq;
    const path = `${dir}/${name}`;
    const bytes: Uint8Array = fs.readFileSync(path);
    let number = 0;
    let sealed = 0;
    for (let at = 0; at + 8 <= bytes.length; ) {
      const frame = frameAt(bytes, at);
      const end = at + 8 + frame.length + frame.padding;
      number++;
      if (isMisplaced(at)) throw corruptError(path, at, number, MISPLACED);
      if (frame.zero || end > bytes.length) {
        const result = frame.zero ? L.SCAN_ZERO : L.SCAN_SHORT;
        const verdict = judgeEnd({ bytes, result, offset: at, crc, sealed });
        if (typeof verdict === "object") throw corruptError(path, at, number, verdict.damage);
        if (verdict === "torn" && !isLast)
          throw corruptError(path, at, number, "it is cut, and another segment follows");
        break;
      }
      const record = recordIn(bytes, at + 8, at + 8 + frame.length);
      if (isLast && isTornEnd(bytes, at, record, crc, sealed)) break;
      if (record === null) throw corruptError(path, at, number, "the record cannot be parsed");
      if (record.type === RECORD_CRC) {
        if (crc !== 0 && crc !== record.crc)
          throw corruptError(path, at, number, "the checksum chain breaks");
        crc = record.crc;
        if (at > 0) sealed = end;
      } else {
        crc = crc32c(crc, bytes.subarray(record.dataStart, record.dataEnd));
        if (crc !== record.crc) throw corruptError(path, at, number, "wrong checksum");
      }
      const wrong = misfit(order, bytes, at, number, record) || conflict(record, bytes);
      if (wrong !== "") throw corruptError(path, at, number, wrong);
      yield toRecord(path, name, bytes, at, number, record);
      at = end;
    }
  }
}

// What the record cannot be, though its checksum is right; "": nothing is wrong.
function misfit(
  order: RecordOrder,
  bytes: Uint8Array,
  offset: number,
  number: number,
  { type, crc, hasData, dataStart, dataEnd }: RecordSpan,
): string {
  if (number <= 2 && type !== (number === 1 ? RECORD_CRC : RECORD_METADATA)) return NO_SEGMENT_HEAD;
  if ((type === RECORD_CRC && hasData) || (type === RECORD_SNAPSHOT && !hasData)) return NOT_OF_TYPE;
  const data = hasData ? bytes.subarray(dataStart, dataEnd) : null;
  try {
    return order.add({ offset, number, type, crc, data });
  } catch (error) {
    if (!(error instanceof ProtoError)) throw error;
    return NOT_OF_TYPE;
  }
}

// Cheap for good records: their CRC is right. Null is torn, or damaged.
function isTornEnd(
  bytes: Uint8Array,
  offset: number,
  record: RecordSpan | null,
  crc: number,
  sealed: number,
): boolean {
  if (record !== null) {
    if (offset === 0 && record.type === RECORD_CRC) return false;
    if (crc32c(crc, bytes.subarray(record.dataStart, record.dataEnd)) === record.crc) return false;
  }
  const result = record === null ? L.SCAN_BAD_PROTO : L.SCAN_BAD_CRC;
  return judgeEnd({ bytes, result, offset, crc, sealed }) === "torn";
}

function toRecord(
  path: string,
  segment: string,
  bytes: Uint8Array,
  offset: number,
  number: number,
  record: RecordSpan,
): WalRecord {
  const { dataStart, dataEnd } = record;
  switch (record.type) {
    case RECORD_METADATA:
      return { segment, offset, type: "metadata", data: bytes.subarray(dataStart, dataEnd) };
    case RECORD_ENTRY:
      return { segment, offset, type: "entry", entry: parseEntry(bytes, dataStart, dataEnd) };
    case RECORD_STATE: {
      const [term, vote, commit] = parseNumbers(bytes, dataStart, dataEnd);
      return { segment, offset, type: "state", hardState: { term, vote, commit } };
    }
    case RECORD_CRC:
      return { segment, offset, type: "crc", crc: record.crc };
    case RECORD_SNAPSHOT: {
      const [index, term] = parseNumbers(bytes, dataStart, dataEnd);
      return { segment, offset, type: "snapshot", index, term };
    }
    default:
      throw corruptError(path, offset, number, `unexpected record type ${record.type}`);
  }
}
