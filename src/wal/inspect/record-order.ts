// Whether a log's entries and hard states can follow each other as they do, with all 64 bits, for the tools: the rules
// that recovery has in the codecs and in scan-segment.ts. RecordOrder goes over records, of a log or of one segment by
// itself; JoinedOrder over what it noted of the segments of a log.
import { RECORD_ENTRY, RECORD_SNAPSHOT, RECORD_STATE } from "../format/format.js";
import {
  COMMITTED,
  gapText,
  goesBack,
  misplaced,
  NOT_OF_TYPE,
  STATE_BACK,
  TERM_BACK,
} from "../recover/misfits.js";
import {
  decodeEntry,
  decodeSnapshotId,
  decodeState,
  type EtcdHardState,
  type EtcdSnapshotId,
  ProtoError,
} from "./etcd-proto.js";
import { entryOf, type ScannedRecord } from "./record-scan.js";

/** Where a record lies. */
export interface RecordPlace {
  readonly offset: number;
  /** From 1 in each segment. */
  readonly record: number;
}

/** An entry without its data. */
export interface EntryHead {
  readonly type: number;
  readonly index: bigint;
  readonly term: bigint;
  readonly hasData: boolean;
}

/** What only the log before a segment can judge. Plain data: it is posted from workers. */
export interface SegmentOrder {
  /** Null: the segment has no state record. */
  readonly firstState: (RecordPlace & EtcdHardState) | null;
  /** Entries that reach below all that the segment has before them, its first one among them. */
  readonly reaching: readonly (RecordPlace & EntryHead & { readonly snapshot: EtcdSnapshotId | null })[];
  /** The first entries of runs of one term, ascending. */
  readonly runs: readonly EtcdSnapshotId[];
  /** Null: no entries. */
  readonly last: bigint | null;
}

/** The terms of the log's entries, as far as they are known. */
class Terms {
  readonly runs: EtcdSnapshotId[] = [];
  /** Null: no entry is known. */
  last: bigint | null = null;

  /** -1n: not known. */
  of(index: bigint): bigint {
    return this.runs.findLast((run) => run.index <= index)?.term ?? -1n;
  }

  /** Entry `index` is the last now. */
  put(index: bigint, term: bigint): void {
    this.cut(index);
    if (this.runs.length === 0 || this.runs.at(-1)!.term !== term) this.runs.push({ index, term });
    this.last = index;
  }

  cut(index: bigint): void {
    while (this.runs.length > 0 && this.runs.at(-1)!.index >= index) this.runs.pop();
  }

  /** What is wrong with an entry there, or "". `under`: the term of the entry before it, -1n: not known. */
  check({ index, term, hasData }: EntryHead, under: bigint, state: EtcdHardState | null): string {
    if (this.last === null || index > this.last + 1n) return "";
    if (index === this.last + 1n) return term < under ? TERM_BACK : "";
    if (state !== null && index <= state.commit) return COMMITTED;
    return misplaced(term, hasData, under, this.of(index));
  }
}

export class RecordOrder {
  private readonly terms = new Terms();
  private state: EtcdHardState | null = null;
  private newestSnapshot: EtcdSnapshotId | null = null;
  private firstState: SegmentOrder["firstState"] = null;
  private readonly reaching: SegmentOrder["reaching"][number][] = [];

  /** Takes a record in; returns what is wrong with it, or "". Throws ProtoError. */
  add({ type, data, offset, number }: Omit<ScannedRecord, "length" | "padding">): string {
    const place = { offset, record: number };
    if (type === RECORD_ENTRY) return this.entry(headOf(data), place);
    if (type === RECORD_STATE) {
      return hasPayload(data) ? NOT_OF_TYPE : this.hardState(decodeState(data), place);
    }
    if (type === RECORD_SNAPSHOT) this.snapshot(decodeSnapshotId(data));
    return "";
  }

  private entry(entry: EntryHead, place: RecordPlace): string {
    const { index, term } = entry;
    const { terms } = this;
    if (!isEntry(entry)) return NOT_OF_TYPE;
    if (terms.last !== null && index > terms.last + 1n) return gapText(terms.last, index);
    const wrong = terms.check(entry, terms.of(index - 1n), this.state);
    if (wrong !== "") return wrong;
    if (terms.runs.length === 0 || index <= terms.runs[0]!.index) {
      this.reaching.push({ ...entry, ...place, snapshot: this.newestSnapshot });
    }
    terms.put(index, term);
    return "";
  }

  private hardState(state: EtcdHardState, place: RecordPlace): string {
    const { term, vote, commit } = state;
    if (term === 0n && (vote > 0n || commit > 0n)) return NOT_OF_TYPE;
    if (this.state !== null && goesBack(this.state, state)) return STATE_BACK;
    this.firstState ??= { term, vote, commit, ...place };
    this.state = state;
    return "";
  }

  // One that the log does not lead up to replaced it.
  private snapshot(snapshot: EtcdSnapshotId): void {
    const { terms } = this;
    const { index, term } = snapshot;
    this.newestSnapshot = snapshot;
    if (terms.last === null || index === 0n) return;
    const known = terms.of(index);
    if (index <= terms.last && (known === -1n || known === term)) return;
    terms.runs.length = 0;
    terms.put(index, term);
  }

  report(): SegmentOrder {
    const { firstState, reaching } = this;
    return { firstState, reaching, runs: this.terms.runs, last: this.terms.last };
  }
}

/** Something wrong at a place of a segment. */
export type Misfit = RecordPlace & { readonly what: string };

export class JoinedOrder {
  private terms = new Terms();
  private state: EtcdHardState | null = null;

  /** Joins the next segment; returns what does not follow from those before it. */
  add({ firstState, reaching, runs, last }: SegmentOrder, lastState: EtcdHardState | null): Misfit | null {
    const { terms, state } = this;
    if (state !== null && firstState !== null && goesBack(state, firstState)) {
      return misfit(firstState, STATE_BACK);
    }
    for (const entry of reaching) {
      const { index, term, snapshot } = entry;
      const isBehind = snapshot !== null && index === snapshot.index + 1n;
      const what = terms.check(entry, isBehind ? snapshot.term : terms.of(index - 1n), state);
      if (what !== "") return misfit(entry, what);
      terms.put(index, term);
    }
    if (last !== null && runs.length > 0) {
      terms.cut(runs[0]!.index);
      terms.runs.push(...runs);
      terms.last = last;
    }
    this.state = lastState ?? state;
    return null;
  }

  /** What comes next follows something that is not known. */
  forget(): void {
    this.terms = new Terms();
    this.state = null;
  }
}

function misfit({ offset, record }: RecordPlace, what: string): Misfit {
  return { offset, record, what };
}

// EntryNormal, EntryConfChange, EntryConfChangeV2; term 0 has no leader.
function isEntry({ type, index, term }: EntryHead): boolean {
  return index > 0n && term > 0n && type >= 0 && type <= 2;
}

function headOf(bytes: Uint8Array | null): EntryHead {
  const { type, index, term, data } = entryOf(bytes);
  return { type, index, term, hasData: data !== null };
}

// Whether the data of a state record is an entry's: it has bytes where an entry has its payload, and a state nothing.
function hasPayload(data: Uint8Array | null): boolean {
  try {
    return decodeEntry(data).data !== null;
  } catch (error) {
    if (!(error instanceof ProtoError)) throw error;
    return false;
  }
}
