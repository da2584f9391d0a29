// The door for messages from peers: what no RawNode that a RaftNode of this version drives ever sends is refused before
// anything of its frame is stepped. The link has proved who sent the frame; here is what it may say. The core's own
// check (raft/validate.ts) also lets pass what other users of RawNode send. Main thread.
import {
  appendIsPlausible,
  EntryNormal,
  INDEX_JUMP_MAX,
  isCampaignTransfer,
  MESSAGE_TYPE_NAMES,
  type Message,
  MsgApp,
  MsgAppResp,
  MsgHeartbeat,
  MsgHeartbeatResp,
  MsgPreVote,
  MsgPreVoteResp,
  MsgProp,
  MsgReadIndex,
  MsgReadIndexResp,
  MsgSnap,
  MsgTimeoutNow,
  MsgTransferLeader,
  MsgVote,
  MsgVoteResp,
  None,
  type RawNode,
  ROUND_CONTEXT_BYTES,
  snapshotIsPlausible,
  TERM_JUMP_MAX,
  termHasOtherLeader,
} from "../raft/index.js";
import { refusalOfForward } from "./forward-wire.js";
import { readerOf } from "./reads.js";

type Raft = RawNode["raft"];

/** Fields beside type, sender, receiver and term, a bit each. */
const INDEX = 1;
const LOG_TERM = 2;
const COMMIT = 4;
const REJECT = 8;
const REJECT_HINT = 16;
const ENTRIES = 32;
const CONTEXT = 64;
const SNAPSHOT = 128;
/** Of messages between a node and its own storage. */
const STORAGE = 256;
const FIELD_NAMES = [
  "index",
  "logTerm",
  "commit",
  "reject",
  "rejectHint",
  "entries",
  "context",
  "snapshot",
  "vote",
];

/** What a message of each type may carry; -1: no peer sends one. */
const FIELDS: readonly number[] = fieldsByType([
  [MsgApp, INDEX | LOG_TERM | COMMIT | ENTRIES],
  [MsgAppResp, INDEX | LOG_TERM | REJECT | REJECT_HINT],
  [MsgVote, INDEX | LOG_TERM | CONTEXT],
  [MsgVoteResp, LOG_TERM | COMMIT | REJECT],
  [MsgPreVote, INDEX | LOG_TERM],
  [MsgPreVoteResp, LOG_TERM | COMMIT | REJECT],
  [MsgHeartbeat, COMMIT | CONTEXT],
  [MsgHeartbeatResp, CONTEXT],
  [MsgSnap, SNAPSHOT],
  [MsgProp, INDEX | REJECT | REJECT_HINT | ENTRIES | CONTEXT],
  [MsgTransferLeader, 0],
  [MsgTimeoutNow, 0],
  [MsgReadIndex, ENTRIES],
  [MsgReadIndexResp, INDEX | ENTRIES],
]);

function fieldsByType(pairs: readonly (readonly [number, number])[]): number[] {
  const fields: number[] = new Array(MESSAGE_TYPE_NAMES.length).fill(-1);
  for (const [type, mask] of pairs) fields[type] = mask;
  return fields;
}

/**
 * Why the messages of a frame are refused, all of them; null: they may be stepped, and appends pass appendIsPlausible().
 * Changes nothing.
 */
// hot
export function refusalOfMessages(r: Raft, messages: readonly Message[]): string | null {
  for (let i = 0; i < messages.length; i++) {
    const why = refusalOf(r, messages[i]);
    if (why !== null) return `${MESSAGE_TYPE_NAMES[messages[i].type] ?? messages[i].type}: ${why}`;
  }
  return null;
}

// hot
function refusalOf(r: Raft, m: Message): string | null {
  const allowed = FIELDS[m.type] ?? -1;
  if (allowed === -1) return "no peer sends one";
  const extra = fieldsOf(m) & ~allowed;
  if (extra !== 0) return `it never has ${FIELD_NAMES.find((_, bit) => (extra >> bit) & 1)}`;
  if (m.from === None) return "it is nobody's";
  const isForwarded = m.type === MsgReadIndex || m.type === MsgTransferLeader;
  if (m.from === r.id && !isForwarded) return "it says that it is ours";
  // A read request is passed on for whoever asks, whatever that one's term.
  if ((m.term === 0) !== (m.type === MsgReadIndex)) return `term ${m.term}`;
  if (m.term - r.term > TERM_JUMP_MAX) return `term ${m.term} is out of reach of ours, ${r.term}`;
  if (m.index - r.raftLog.lastIndex() > INDEX_JUMP_MAX) return `index ${m.index} is out of reach of our log`;
  if (m.commit - r.raftLog.lastIndex() > INDEX_JUMP_MAX)
    return `commit ${m.commit} is out of reach of our log`;
  const why = refusalOfLogTerm(m);
  if (why !== null) return why;
  switch (m.type) {
    case MsgApp:
      if (!appendIsPlausible(m)) return "its entries are none that follow each other";
      return refusalOfLeader(r, m);
    case MsgHeartbeat:
    case MsgHeartbeatResp:
      if (m.context.length !== 0 && m.context.length !== ROUND_CONTEXT_BYTES) return "a context of no round";
      return m.type === MsgHeartbeat ? refusalOfLeader(r, m) : null;
    case MsgVote:
      return m.context.length === 0 || isCampaignTransfer(m.context) ? null : "an unknown context";
    case MsgVoteResp:
    case MsgPreVoteResp:
      return m.reject || m.commit === 0 ? null : "a commit index without a rejection";
    case MsgSnap:
      if (m.snapshot === null || m.snapshot.metadata.index === 0 || !snapshotIsPlausible(r, m))
        return "a snapshot that cannot be";
      return refusalOfLeader(r, m);
    case MsgTimeoutNow:
      return refusalOfLeader(r, m);
    case MsgProp:
      return refusalOfForward(m);
    case MsgReadIndex:
      return readerOfRequest(m) === m.from ? null : "a read request that is not its sender's";
    case MsgReadIndexResp:
      return readerOfRequest(m) === r.id ? refusalOfLeader(r, m) : "an answer to a read that is not ours";
    default:
      return null;
  }
}

/** The place in the sender's log that a message is about: its term and index go together, and it is of the sender's time. */
// hot
function refusalOfLogTerm(m: Message): string | null {
  const asksForVote = m.type === MsgVote || m.type === MsgPreVote;
  // Who campaigns does so in a term later than any in its log.
  const isLater = asksForVote ? m.logTerm >= m.term : m.logTerm > m.term;
  if (isLater) return `a log of term ${m.logTerm} in term ${m.term}`;
  if ((m.type === MsgApp || asksForVote) && (m.index === 0) !== (m.logTerm === 0))
    return `index ${m.index} of term ${m.logTerm}`;
  if ((m.type === MsgVoteResp || m.type === MsgPreVoteResp) && (m.commit === 0) !== (m.logTerm === 0))
    return `commit ${m.commit} of term ${m.logTerm}`;
  if (m.type === MsgAppResp && !m.reject && (m.rejectHint !== 0 || m.logTerm !== 0))
    return "a hint without a rejection";
  return null;
}

// hot
function fieldsOf(m: Message): number {
  return (
    (m.index === 0 ? 0 : INDEX) |
    (m.logTerm === 0 ? 0 : LOG_TERM) |
    (m.commit === 0 ? 0 : COMMIT) |
    (m.reject ? REJECT : 0) |
    (m.rejectHint === 0 ? 0 : REJECT_HINT) |
    (m.entries.length === 0 ? 0 : ENTRIES) |
    (m.context.length === 0 ? 0 : CONTEXT) |
    (m.snapshot === null ? 0 : SNAPSHOT) |
    (m.vote === 0 && m.responses.length === 0 ? 0 : STORAGE)
  );
}

// hot
function refusalOfLeader(r: Raft, m: Message): string | null {
  return termHasOtherLeader(r, m) ? `node ${r.leadHeard} leads term ${m.term}, not ${m.from}` : null;
}

/** Whose read the one context of a message is of; 0: it is none. */
function readerOfRequest(m: Message): number {
  if (m.entries.length !== 1) return 0;
  const { type, term, index, data } = m.entries[0];
  return type === EntryNormal && term === 0 && index === 0 ? readerOf(data) : 0;
}
