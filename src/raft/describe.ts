// Text forms of messages, entries, states and Ready, exactly as etcd raft's Describe* functions print them:
// the data-driven tests compare them byte for byte, and people read them in logs. Never on a hot path.
import { hex } from "./logger.js";
import type { Entry, HardState, Message, Snapshot } from "./raftpb/index.js";
import {
  asV2,
  type ConfChange,
  type ConfChangeSingle,
  type ConfChangeV2,
  type ConfState,
  EntryConfChange,
  EntryNormal,
  LocalAppendThread,
  LocalApplyThread,
  MESSAGE_TYPE_NAMES,
  None,
  unmarshalConfChange,
  unmarshalConfChangeV2,
} from "./raftpb/index.js";
import type { ReadState, Ready, SoftState } from "./ready.js";
import { STATE_NAMES } from "./ready.js";

const ENTRY_TYPE_NAMES: readonly string[] = ["EntryNormal", "EntryConfChange", "EntryConfChangeV2"];

const CONF_CHANGE_TYPE_NAMES: readonly string[] = [
  "ConfChangeAddNode",
  "ConfChangeRemoveNode",
  "ConfChangeUpdateNode",
  "ConfChangeAddLearnerNode",
];
const CONF_CHANGE_TRANSITION_NAMES: readonly string[] = [
  "ConfChangeTransitionAuto",
  "ConfChangeTransitionJointImplicit",
  "ConfChangeTransitionJointExplicit",
];
/** The tokens of the interaction tests, by ConfChangeType. */
const CONF_CHANGE_TOKENS = "vrul";

/** The whole Ready; `<empty Ready>` (no newline) where there is nothing in it. */
export function describeReady(rd: Ready): string {
  let out = "";
  if (rd.softState !== null) out += `${describeSoftState(rd.softState)}\n`;
  if (!isEmptyHardState(rd.hardState)) out += `HardState ${describeHardState(rd.hardState)}\n`;
  if (rd.readStates.length > 0) out += `ReadStates ${describeReadStates(rd.readStates)}\n`;
  if (rd.entries.length > 0) out += `Entries:\n${describeEntries(rd.entries)}`;
  if (rd.snapshot !== null && rd.snapshot.metadata.index !== 0) {
    out += `Snapshot ${describeSnapshot(rd.snapshot)}\n`;
  }
  if (rd.committedEntries.length > 0) out += `CommittedEntries:\n${describeEntries(rd.committedEntries)}`;
  if (rd.messages.length > 0) {
    out += "Messages:\n";
    for (const message of rd.messages) out += `${describeMessage(message)}\n`;
  }
  return out === "" ? "<empty Ready>" : `Ready MustSync=${rd.mustSync}:\n${out}`;
}

/** `Lead:1 State:StateFollower`. */
export function describeSoftState(state: SoftState): string {
  return `Lead:${state.lead} State:${STATE_NAMES[state.raftState]}`;
}

/** `Term:1 Vote:2 Commit:3`, a vote of 0 left out. */
export function describeHardState(state: HardState): string {
  const vote = state.vote === 0 ? "" : ` Vote:${state.vote}`;
  return `Term:${state.term}${vote} Commit:${state.commit}`;
}

/** Whether nothing was ever stored. */
export function isEmptyHardState(state: HardState): boolean {
  return state.term === 0 && state.vote === 0 && state.commit === 0;
}

/** Go's %v of the slice: `[{11 [98 97]}]`. */
export function describeReadStates(states: readonly ReadState[]): string {
  return `[${states.map((s) => `{${s.index} [${Array.from(s.requestCtx).join(" ")}]}`).join(" ")}]`;
}

/** One message without a newline at the end; `indent` goes in front of every line. */
export function describeMessage(m: Message, indent = ""): string {
  let out = `${indent}${describeTarget(m.from)}->${describeTarget(m.to)} ${MESSAGE_TYPE_NAMES[m.type]}`;
  out += ` Term:${m.term} Log:${m.logTerm}/${m.index}`;
  if (m.reject) out += ` Rejected (Hint: ${m.rejectHint})`;
  if (m.commit !== 0) out += ` Commit:${m.commit}`;
  if (m.vote !== 0) out += ` Vote:${m.vote}`;
  if (m.entries.length === 1) out += ` Entries:[${describeEntry(m.entries[0])}]`;
  if (m.entries.length > 1) {
    out += " Entries:[";
    for (const e of m.entries) out += `\n${indent}  ${describeEntry(e)}`;
    out += `\n${indent}]`;
  }
  if (m.snapshot !== null && m.snapshot.metadata.index !== 0) {
    out += `\n${indent}  Snapshot: ${describeSnapshot(m.snapshot)}`;
  }
  if (m.responses.length > 0) {
    out += " Responses:[";
    for (const response of m.responses) out += `\n${describeMessage(response, `${indent}  `)}`;
    out += `\n${indent}]`;
  }
  return out;
}

/** A sender or receiver of a message. */
export function describeTarget(id: number): string {
  if (id === None) return "None";
  if (id === LocalAppendThread) return "AppendThread";
  if (id === LocalApplyThread) return "ApplyThread";
  return hex(id);
}

/** One line an entry, each with its newline. */
export function describeEntries(entries: readonly Entry[]): string {
  let out = "";
  for (const e of entries) out += `${describeEntry(e)}\n`;
  return out;
}

/** An entry in etcd's words: `term/index type "data"`. */
export function describeEntry(e: Entry): string {
  const payload = describePayload(e);
  return `${e.term}/${e.index} ${ENTRY_TYPE_NAMES[e.type]}${payload === "" ? "" : ` ${payload}`}`;
}

function describePayload(e: Entry): string {
  if (e.type === EntryNormal) return quote(e.data);
  const cc = e.type === EntryConfChange ? unmarshalConfChange(e.data) : unmarshalConfChangeV2(e.data);
  return cc === null ? quote(e.data) : describeConfChangeTokens(asV2(cc).changes);
}

/** The changes as tokens: `v3 l4 r5 u6`. */
export function describeConfChangeTokens(changes: readonly ConfChangeSingle[]): string {
  return changes.map((c) => `${CONF_CHANGE_TOKENS[c.type]}${c.nodeId}`).join(" ");
}

/** A change as a refusal shows it, of either generation in the form of the second. */
export function describeConfChange(cc: ConfChange | ConfChangeV2): string {
  const v2 = asV2(cc);
  let out = `transition:${CONF_CHANGE_TRANSITION_NAMES[v2.transition]}`;
  for (const change of v2.changes) {
    out += ` changes:{type:${CONF_CHANGE_TYPE_NAMES[change.type]} node_id:${change.nodeId}}`;
  }
  return v2.context.length === 0 ? out : `${out} context:${quote(v2.context)}`;
}

/** `Index:1 Term:1 ConfState:...`, without the data. */
export function describeSnapshot(snapshot: Snapshot): string {
  const { index, term, confState } = snapshot.metadata;
  return `Index:${index} Term:${term} ConfState:${describeConfState(confState)}`;
}

/** A membership in etcd's words: `Voters:[1 2] VotersOutgoing:[] ...`. */
export function describeConfState(cs: ConfState): string {
  const list = (ids: readonly number[]): string => `[${ids.join(" ")}]`;
  return (
    `Voters:${list(cs.voters)} VotersOutgoing:${list(cs.votersOutgoing)} Learners:${list(cs.learners)} ` +
    `LearnersNext:${list(cs.learnersNext)} AutoLeave:${cs.autoLeave}`
  );
}

const ESCAPES = new Map<number, string>([
  [0x07, "\\a"],
  [0x08, "\\b"],
  [0x0c, "\\f"],
  [0x0a, "\\n"],
  [0x0d, "\\r"],
  [0x09, "\\t"],
  [0x0b, "\\v"],
  [0x22, '\\"'],
  [0x5c, "\\\\"],
]);
const PRINTABLE = /^[\p{L}\p{M}\p{N}\p{P}\p{S} ]$/u;

/** Go's %q: printable UTF-8 as it is, everything else escaped. */
export function quote(data: Uint8Array): string {
  let out = '"';
  for (let pos = 0; pos < data.length; ) {
    const length = runeLength(data, pos);
    out += length === 0 ? `\\x${padHex(data[pos], 2)}` : quoteRune(decodeRune(data, pos, length));
    pos += Math.max(length, 1);
  }
  return `${out}"`;
}

function quoteRune(rune: number): string {
  const escaped = ESCAPES.get(rune);
  if (escaped !== undefined) return escaped;
  if (rune < 0x20 || rune === 0x7f) return `\\x${padHex(rune, 2)}`;
  const text = String.fromCodePoint(rune);
  if (PRINTABLE.test(text)) return text;
  return rune < 0x10000 ? `\\u${padHex(rune, 4)}` : `\\U${padHex(rune, 8)}`;
}

function padHex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, "0");
}

/** Bytes of the valid UTF-8 sequence at `pos`; 0 if there is none. */
function runeLength(data: Uint8Array, pos: number): number {
  const first = data[pos];
  if (first < 0x80) return 1;
  const length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || pos + length > data.length) return 0;
  for (let i = 1; i < length; i++) {
    if (data[pos + i] < 0x80 || data[pos + i] > 0xbf) return 0;
  }
  const rune = decodeRune(data, pos, length);
  const least = length === 4 ? 0x10000 : length === 3 ? 0x800 : 0x80;
  const surrogate = rune >= 0xd800 && rune <= 0xdfff;
  return rune < least || rune > 0x10ffff || surrogate ? 0 : length;
}

function decodeRune(data: Uint8Array, pos: number, length: number): number {
  if (length === 1) return data[pos];
  let rune = data[pos] & (0xff >> (length + 1));
  for (let i = 1; i < length; i++) rune = rune * 64 + (data[pos + i] & 0x3f);
  return rune;
}
