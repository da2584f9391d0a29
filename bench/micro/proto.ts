// protobufjs's codec of src/wire/raft.proto with types, and its translation from and to the classes of raftpb: what the
// lean codec is tested and measured against. protobufjs hands back a Long for a uint64 if anybody in the
// process has installed one, so integers pass through `safeInteger` instead of switching Long off for all.
import { NO_DATA } from "../../src/base/bytes.js";
import type { ConfState, EntryType, MessageType, Snapshot } from "../../src/raft/raftpb/index.js";
import { EMPTY_CONF_STATE, EMPTY_SNAPSHOT, Entry, Message } from "../../src/raft/raftpb/index.js";
import { WireError } from "../../src/wire/wire-error.js";
import { raftpb as generated } from "./generated/raftpb.js";

type Uint64 = number | { toNumber(): number };

interface PbEntry {
  Type: number;
  Term: Uint64;
  Index: Uint64;
  Data?: Uint8Array;
}
interface PbConfState {
  voters: readonly Uint64[];
  learners: readonly Uint64[];
  votersOutgoing: readonly Uint64[];
  learnersNext: readonly Uint64[];
  autoLeave: boolean;
}
interface PbSnapshot {
  data?: Uint8Array;
  metadata: { confState: PbConfState | null; index: Uint64; term: Uint64 } | null;
}
interface PbMessage {
  type: number;
  to: Uint64;
  from: Uint64;
  term: Uint64;
  logTerm: Uint64;
  index: Uint64;
  entries: readonly PbEntry[];
  commit: Uint64;
  snapshot?: PbSnapshot;
  reject: boolean;
  rejectHint: Uint64;
  context?: Uint8Array;
  vote?: Uint64;
  responses: readonly PbMessage[];
}
interface Codec<T> {
  encode(message: T): { finish(): Uint8Array };
  decode(bytes: Uint8Array): T;
}

const raftpb = generated as unknown as { Message: Codec<PbMessage> };

/** A decoded uint64 as a number; above 2^53-1 it is refused. */
function safeInteger(value: Uint64): number {
  const number = typeof value === "number" ? value : value.toNumber();
  if (!Number.isSafeInteger(number) || number < 0) throw new WireError("unsafe-integer");
  return number;
}

/** Decoded bytes, or NO_DATA if the field is absent: the prototype holds protobufjs's default. */
function ownBytes(owner: object, field: string): Uint8Array {
  return Object.hasOwn(owner, field) ? (owner as Record<string, Uint8Array>)[field]! : NO_DATA;
}

/** Runs a decoder of protobufjs; whatever it throws becomes a WireError. */
function decoded<T>(codec: Codec<T>, bytes: Uint8Array): T {
  try {
    return codec.decode(bytes);
  } catch (error) {
    throw new WireError("message", { cause: error });
  }
}

/** protobufjs's encoding of a message: the reference that the lean codec is tested against. */
export function encodeMessageProto(message: Message): Uint8Array {
  return raftpb.Message.encode(toPbMessage(message)).finish();
}

/** protobufjs's decoding of a message. Throws WireError. Unlike the lean codec it takes unknown enum values for 0. */
export function decodeMessageProto(bytes: Uint8Array): Message {
  return fromPbMessage(decoded(raftpb.Message, bytes));
}

function toPbSnapshot(snapshot: Snapshot): PbSnapshot {
  const pb: PbSnapshot = { metadata: snapshot.metadata };
  if (snapshot.data !== NO_DATA) pb.data = snapshot.data;
  return pb;
}

function fromPbSnapshot(pb: PbSnapshot): Snapshot {
  const metadata = pb.metadata;
  if (metadata === null) return { data: ownBytes(pb, "data"), metadata: EMPTY_SNAPSHOT.metadata };
  return {
    data: ownBytes(pb, "data"),
    metadata: {
      confState: metadata.confState === null ? EMPTY_CONF_STATE : fromPbConfState(metadata.confState),
      index: safeInteger(metadata.index),
      term: safeInteger(metadata.term),
    },
  };
}

function fromPbConfState(pb: PbConfState): ConfState {
  return {
    voters: pb.voters.map(safeInteger),
    learners: pb.learners.map(safeInteger),
    votersOutgoing: pb.votersOutgoing.map(safeInteger),
    learnersNext: pb.learnersNext.map(safeInteger),
    autoLeave: pb.autoLeave,
  };
}

function toPbMessage(message: Message): PbMessage {
  const pb: PbMessage = {
    type: message.type,
    to: message.to,
    from: message.from,
    term: message.term,
    logTerm: message.logTerm,
    index: message.index,
    entries: message.entries.map(toPbEntry),
    commit: message.commit,
    reject: message.reject,
    rejectHint: message.rejectHint,
    responses: message.responses.map(toPbMessage),
  };
  if (message.snapshot !== null) pb.snapshot = toPbSnapshot(message.snapshot);
  if (message.context !== NO_DATA) pb.context = message.context;
  if (message.vote !== 0) pb.vote = message.vote;
  return pb;
}

function toPbEntry(entry: Entry): PbEntry {
  const pb: PbEntry = { Type: entry.type, Term: entry.term, Index: entry.index };
  if (entry.data !== NO_DATA) pb.Data = entry.data;
  return pb;
}

function fromPbMessage(pb: PbMessage): Message {
  const message = new Message(pb.type as MessageType);
  message.to = safeInteger(pb.to);
  message.from = safeInteger(pb.from);
  message.term = safeInteger(pb.term);
  message.logTerm = safeInteger(pb.logTerm);
  message.index = safeInteger(pb.index);
  if (pb.entries.length > 0) message.entries = pb.entries.map(fromPbEntry);
  message.commit = safeInteger(pb.commit);
  message.snapshot = Object.hasOwn(pb, "snapshot") ? fromPbSnapshot(pb.snapshot!) : null;
  message.reject = pb.reject;
  message.rejectHint = safeInteger(pb.rejectHint);
  message.context = ownBytes(pb, "context");
  message.vote = safeInteger(pb.vote ?? 0);
  if (pb.responses.length > 0) message.responses = pb.responses.map(fromPbMessage);
  return message;
}

function fromPbEntry(pb: PbEntry): Entry {
  return new Entry(pb.Type as EntryType, safeInteger(pb.Term), safeInteger(pb.Index), ownBytes(pb, "Data"));
}
