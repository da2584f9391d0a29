// What `raftmark wal verify` says of a log, as far as it promises what the engine does with it.
import { joinSegments, type LogReport } from "../../src/wal/inspect/check-log.js";
import { checkSegment } from "../../src/wal/inspect/check-segment.js";
import { etcdSegments } from "../../src/wal/inspect/etcd-reader.js";

export type Promised = "opens" | "cuts" | "refuses";

export const START = { index: 0n, term: 0n };

export function check(dir: string): LogReport {
  const segments = etcdSegments(dir);
  const reports = segments.map(({ name }) => checkSegment(dir, name, () => {}));
  return joinSegments(segments, reports, START);
}

/** What the tool says that the engine does. */
export function promised({ findings }: LogReport): Promised {
  if (findings.length === 0) return "opens";
  return findings.every(({ torn }) => torn) ? "cuts" : "refuses";
}
