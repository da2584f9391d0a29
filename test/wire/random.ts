// Random raftpb messages, and running a property so that a failure says how to see it again.
import fc from "fast-check";
import { NO_DATA } from "../../src/base/bytes.js";
import type { EntryType, MessageType, Snapshot } from "../../src/raft/raftpb/index.js";
import { Entry, Message, MsgForgetLeader, MsgStorageApplyResp } from "../../src/raft/raftpb/index.js";

const EDGES = [
  0,
  1,
  127,
  128,
  16383,
  16384,
  2 ** 21 - 1,
  2 ** 21,
  2 ** 28 - 1,
  2 ** 28,
  2 ** 31 - 1,
  2 ** 31,
];
const FAR_EDGES = [2 ** 32 - 1, 2 ** 32, 2 ** 35, 2 ** 42, 2 ** 49 - 1, 2 ** 49, 2 ** 53 - 1];

export const uint: fc.Arbitrary<number> = fc.oneof(
  fc.constantFrom(...EDGES, ...FAR_EDGES),
  fc.maxSafeNat(),
  fc.nat(1000),
);

const bytes: fc.Arbitrary<Uint8Array> = fc.oneof(
  fc.constant(NO_DATA),
  fc.constant(new Uint8Array(0)),
  fc.uint8Array({ maxLength: 400 }),
);

const entry: fc.Arbitrary<Entry> = fc
  .tuple(fc.constantFrom<EntryType>(0, 1, 2), uint, uint, bytes)
  .map(([type, term, index, data]) => new Entry(type, term, index, data));

const ids = fc.array(uint, { maxLength: 4 });

const snapshot: fc.Arbitrary<Snapshot> = fc
  .tuple(bytes, fc.tuple(ids, ids, ids, ids, fc.boolean()), uint, uint)
  .map(([data, [voters, learners, votersOutgoing, learnersNext, autoLeave], index, term]) => ({
    data,
    metadata: { confState: { voters, learners, votersOutgoing, learnersNext, autoLeave }, index, term },
  }));

/** Types that stay in a node. */
export const LOCAL_TYPES: number[] = [0, 1, 10, 11, 12, 19, 20, 21, MsgStorageApplyResp, MsgForgetLeader];

export function isWireType(type: number): boolean {
  return type >= 0 && type <= MsgForgetLeader && !LOCAL_TYPES.includes(type);
}

const wireTypes = [...Array(24).keys()].filter(isWireType) as MessageType[];

/** Messages that may travel; `from` and `to` as given. */
export function messageArbitrary(from: number, to: number): fc.Arbitrary<Message> {
  return fc
    .record({
      type: fc.constantFrom(...wireTypes),
      term: uint,
      logTerm: uint,
      index: uint,
      entries: fc.array(entry, { maxLength: 6 }),
      commit: uint,
      vote: uint,
      snapshot: fc.option(snapshot, { freq: 4 }),
      reject: fc.boolean(),
      rejectHint: uint,
      context: bytes,
    })
    .map(({ type, ...fields }) => Object.assign(new Message(type), fields, { from, to }));
}

/**
 * Checks a property with a seed of the clock or RAFTMARK_SEED. fast-check puts the seed, the path and the shrunk case
 * into what it throws; the command to see it again goes with it.
 */
export function check<T extends [unknown, ...unknown[]]>(
  file: string,
  property: fc.IPropertyWithHooks<T>,
  runs = 300,
): void {
  const seed =
    process.env["RAFTMARK_SEED"] === undefined ? Date.now() % 2 ** 31 : Number(process.env["RAFTMARK_SEED"]);
  try {
    fc.assert(property, { seed, numRuns: runs });
  } catch (error) {
    (error as Error).message += `\nagain: RAFTMARK_SEED=${seed} node --test dist/test/${file}.js`;
    throw error;
  }
}

/** An app message with `count` entries of `size` bytes, and no two bytes alike in a row. */
export function appMessage(to: number, count: number, size: number, index = 1): Message {
  const message = new Message(3);
  message.from = 1;
  message.to = to;
  message.term = 5;
  message.logTerm = 5;
  message.index = index;
  message.entries = Array.from({ length: count }, (_, i) => {
    const data = new Uint8Array(size);
    for (let j = 0; j < size; j++) data[j] = i * 31 + j * 7;
    return new Entry(0, 5, index + 1 + i, data);
  });
  return message;
}

/** `message` with entries that are of no run, so that it can be held against one that was never encoded. */
export function ofNoRun(message: Message): Message {
  const entries = message.entries.map(({ type, term, index, data }) => new Entry(type, term, index, data));
  return Object.assign(new Message(message.type), message, {
    entries: entries.length === 0 ? message.entries : entries,
  });
}
