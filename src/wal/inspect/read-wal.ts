// Streams the records of a directory, read-only: for tools and for the bench's check that what was acknowledged is
// there. Takes no lock and changes nothing. Numbers above 2^53-1 are refused; etcd-reader.ts reads those.
import fs from "node:fs";
import { NO_DATA } from "../../base/bytes.js";
import { RaftmarkError } from "../../base/errors.js";
import { unlessMalformed } from "../../base/protobuf.js";
import type { Entry, HardState } from "../../raft/raftpb/index.js";
import { corruptError } from "../disk/errors.js";
import { RECORD_CRC, RECORD_ENTRY, RECORD_METADATA, RECORD_STATE, sortedSegments } from "../format/format.js";
import { parseEntry, parseNumbers } from "../format/record.js";
import { NOT_OF_TYPE } from "../recover/misfits.js";
import { sameBytes } from "../recover/scan-segment.js";
import { UNSAFE_NUMBER } from "../recover/torn.js";
import { CONFLICT } from "./check-segment.js";
import { ProtoError } from "./etcd-proto.js";
import { RecordOrder } from "./record-order.js";
import { RecordScan, type ScannedRecord } from "./record-scan.js";

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
  const order = new RecordOrder();
  let metadata: Uint8Array | null = null;
  let crc = 0;
  for (const { name } of segments) {
    const path = `${dir}/${name}`;
    const scan = new RecordScan(fs.readFileSync(path), crc);
    for (let record = scan.next(); record !== null; record = scan.next()) {
      const wrong = misfit(order, record);
      if (wrong !== "") throw corruptError(path, record.offset, record.number, wrong);
      if (record.type === RECORD_METADATA) {
        metadata ??= record.data ?? NO_DATA;
        if (!sameBytes(metadata, record.data))
          throw corruptError(path, record.offset, record.number, CONFLICT);
      }
      const read = unlessMalformed(() => toRecord(name, record));
      if (read === null) throw corruptError(path, record.offset, record.number, UNSAFE_NUMBER);
      yield read;
    }
    const { damage } = scan;
    const isTornEnd = damage?.torn === true && name === segments.at(-1)!.name;
    if (damage !== null && !isTornEnd) throw corruptError(path, damage.offset, damage.record, damage.what);
    ({ crc } = scan);
  }
}

// What the record cannot be, though its checksum is right; "": nothing is wrong.
function misfit(order: RecordOrder, record: ScannedRecord): string {
  try {
    return order.add(record);
  } catch (error) {
    if (!(error instanceof ProtoError)) throw error;
    return NOT_OF_TYPE;
  }
}

function toRecord(segment: string, { type, offset, crc, data: own }: ScannedRecord): WalRecord {
  const data = own ?? NO_DATA;
  switch (type) {
    case RECORD_METADATA:
      return { segment, offset, type: "metadata", data };
    case RECORD_ENTRY:
      return { segment, offset, type: "entry", entry: parseEntry(data, 0, data.length) };
    case RECORD_STATE: {
      const [term, vote, commit] = parseNumbers(data, 0, data.length);
      return { segment, offset, type: "state", hardState: { term, vote, commit } };
    }
    case RECORD_CRC:
      return { segment, offset, type: "crc", crc };
    default: {
      const [index, term] = parseNumbers(data, 0, data.length);
      return { segment, offset, type: "snapshot", index, term };
    }
  }
}
