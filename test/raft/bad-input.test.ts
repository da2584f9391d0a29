// Impossible input: every such message is refused with a typed error or ignored, and the node's state is as
// it was.
import assert from "node:assert/strict";
import { test } from "node:test";
import { NO_DATA } from "../../src/base/bytes.js";
import { Prng } from "../../src/base/prng.js";
import {
  type ConfState,
  EMPTY_CONF_STATE,
  Entry,
  EntryConfChange,
  EntryConfChangeV2,
  EntryNormal,
  type EntryType,
  ErrBadConfChange,
  ErrEmptyProposal,
  ErrStepBadMessage,
  ErrStepLocalMsg,
  ErrStepPeerNotFound,
  ErrStepWrongNode,
  MEMBERS_MAX,
  Message,
  type MessageType,
  MsgApp,
  MsgAppResp,
  MsgBeat,
  MsgCheckQuorum,
  MsgHeartbeat,
  MsgHeartbeatResp,
  MsgHup,
  MsgPreVote,
  MsgPreVoteResp,
  MsgProp,
  MsgReadIndex,
  MsgReadIndexResp,
  MsgSnap,
  MsgSnapStatus,
  MsgStorageAppend,
  MsgStorageAppendResp,
  MsgStorageApply,
  MsgStorageApplyResp,
  MsgTimeoutNow,
  MsgTransferLeader,
  MsgUnreachable,
  MsgVote,
  MsgVoteResp,
  type RaftError,
  type RawNode,
  TERM_JUMP_MAX,
} from "../../src/raft/index.js";
import { MSG_ENTRIES_MAX } from "../../src/raft/raftpb/index.js";
import { digest } from "./forged.js";
import { bytes, Network } from "./network.js";

const TOO_BIG = 2 ** 53;

function message(type: MessageType, fields: Partial<Message>): Message {
  return Object.assign(new Message(type), fields);
}

function entry(index: number, term: number, type: EntryType = EntryNormal, data = NO_DATA): Entry {
  return new Entry(type, term, index, data);
}

/** A group at term 2: 1 leads, all have index 2. */
function group(): Network {
  const network = new Network({ voters: [1, 2, 3] });
  network.elect(1);
  return network;
}

function refuses(raw: RawNode, m: Message, error: RaftError | null, what: string): void {
  const before = digest(raw);
  assert.equal(raw.step(m), error, what);
  assert.deepEqual(digest(raw), before, what);
}

function snap(index: number, term: number, confState: ConfState): Partial<Message> {
  return { from: 1, term: 2, snapshot: { data: NO_DATA, metadata: { index, term, confState } } };
}

test("numbers that are no safe non-negative integers are refused, in every field", () => {
  const network = group();
  const fields = ["to", "from", "term", "index", "logTerm", "commit", "rejectHint", "vote"] as const;
  for (const field of fields) {
    for (const value of [TOO_BIG, -3, 0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      const m = message(MsgHeartbeat, { from: 1, to: 2, term: 2 });
      m[field] = value;
      refuses(network.raw(2), m, ErrStepBadMessage, `${field}=${value}`);
    }
  }
});

test("a message of an unknown type is refused", () => {
  for (const type of [-1, 24, 1.5]) {
    refuses(group().raw(2), message(type as MessageType, { from: 1, term: 2 }), ErrStepBadMessage, `${type}`);
  }
});

test("messages that only this node may send itself are refused from the network", () => {
  const network = group();
  const local: MessageType[] = [
    MsgHup,
    MsgBeat,
    MsgUnreachable,
    MsgSnapStatus,
    MsgCheckQuorum,
    MsgStorageAppend,
    MsgStorageAppendResp,
    MsgStorageApply,
    MsgStorageApplyResp,
  ];
  for (const type of local) {
    refuses(network.raw(1), message(type, { from: 2, term: 2, index: 1 }), ErrStepLocalMsg, `${type}`);
  }
  for (const from of [-1, -2]) {
    refuses(network.raw(1), message(MsgApp, { from, term: 2 }), ErrStepBadMessage, `from ${from}`);
  }
});

test("responses of nodes that are no members are refused", () => {
  const network = group();
  for (const type of [MsgAppResp, MsgVoteResp, MsgHeartbeatResp, MsgReadIndexResp, MsgPreVoteResp] as const) {
    refuses(network.raw(1), message(type, { from: 9, term: 2 }), ErrStepPeerNotFound, `${type}`);
  }
});

test("a message for another node is refused", () => {
  refuses(group().raw(2), message(MsgHeartbeat, { from: 1, to: 3, term: 2 }), ErrStepWrongNode, "to 3");
});

test("messages between nodes must carry a term", () => {
  const network = group();
  for (const type of [MsgApp, MsgHeartbeat, MsgSnap, MsgVote, MsgTimeoutNow, MsgAppResp] as const) {
    refuses(network.raw(2), message(type, { from: 1 }), ErrStepBadMessage, `${type}`);
  }
});

test("messages between nodes come from another node, but for the node's own promises", () => {
  const network = group();
  for (const type of [MsgApp, MsgHeartbeat, MsgSnap, MsgVote, MsgTimeoutNow, MsgHeartbeatResp] as const) {
    refuses(network.raw(2), message(type, { from: 2, term: 2 }), ErrStepBadMessage, `${type} from itself`);
  }
  refuses(network.raw(2), message(MsgApp, { term: 2 }), ErrStepBadMessage, "from nobody");
});

test("appends with gaps, with terms that fall, or with terms after the leader's are refused", () => {
  const network = group();
  const bad: [string, Entry[]][] = [
    ["gap at the start", [entry(4, 2)]],
    ["gap inside", [entry(3, 2), entry(5, 2)]],
    ["backwards", [entry(3, 2), entry(2, 2)]],
    ["falling terms", [entry(3, 2), entry(4, 1)]],
    ["term below the one before", [entry(3, 1)]],
    ["term after the leader's", [entry(3, 3)]],
    ["no term", [entry(3, Number.NaN)]],
    ["unknown type", [entry(3, 2, 3 as EntryType)]],
  ];
  for (const [what, entries] of bad) {
    const m = message(MsgApp, { from: 1, term: 2, index: 2, logTerm: 2, entries });
    refuses(network.raw(2), m, ErrStepBadMessage, what);
  }
  const high = message(MsgApp, {
    from: 1,
    term: 2,
    index: TOO_BIG - 1,
    logTerm: 2,
    entries: [entry(TOO_BIG, 2)],
  });
  refuses(network.raw(2), high, ErrStepBadMessage, "index beyond 2^53-1");
  const odd = message(MsgApp, { from: 1, term: 2, index: 2, logTerm: 3 });
  refuses(network.raw(2), odd, ErrStepBadMessage, "log term after the term");
});

test("an acknowledgement of more than the leader has is refused", () => {
  const m = message(MsgAppResp, { from: 2, term: 2, index: 3 });
  refuses(group().raw(1), m, ErrStepBadMessage, "index 3 of 2");
});

test("a snapshot with an impossible membership, or from the future, is refused", () => {
  const network = group();
  const cs = { ...EMPTY_CONF_STATE, voters: [1, 2, 3] };
  const bad: [string, Partial<Message>][] = [
    ["term after the leader's", snap(9, 3, cs)],
    ["no term", snap(9, 0, cs)],
    ["index too big", snap(TOO_BIG, 2, cs)],
    ["learners without voters", snap(9, 2, { ...EMPTY_CONF_STATE, learners: [4] })],
    ["voter 0", snap(9, 2, { ...cs, voters: [0, 2] })],
    ["voter twice", snap(9, 2, { ...cs, voters: [2, 2] })],
    ["voter and learner", snap(9, 2, { ...cs, learners: [2] })],
    ["next learner without a joint config", snap(9, 2, { ...cs, learnersNext: [3] })],
    ["auto-leave without a joint config", snap(9, 2, { ...cs, autoLeave: true })],
    ["id too big", snap(9, 2, { ...cs, voters: [2, TOO_BIG] })],
  ];
  for (const [what, fields] of bad)
    refuses(network.raw(2), message(MsgSnap, fields), ErrStepBadMessage, what);
});

test("a snapshot that goes back, that is empty, or that this node is not in is ignored and answered", () => {
  const network = group();
  const raw = network.raw(2);
  const cases: [string, Partial<Message>][] = [
    ["backward", snap(1, 1, { ...EMPTY_CONF_STATE, voters: [1, 2, 3] })],
    ["empty", { from: 1, term: 2 }],
    ["not a member", snap(9, 2, { ...EMPTY_CONF_STATE, voters: [1, 3] })],
  ];
  for (const [what, fields] of cases) {
    const before = raw.raft.raftLog.toString();
    assert.equal(raw.step(message(MsgSnap, fields)), null, what);
    assert.equal(raw.raft.raftLog.toString(), before, what);
    const [answer] = raw.ready().messages;
    assert.deepEqual([answer.type, answer.index, answer.reject], [MsgAppResp, 2, false], what);
    raw.advance();
  }
});

test("proposals without entries, of unknown types, or with changes that can't be decoded are refused", () => {
  const network = group();
  const raw = network.raw(1);
  refuses(raw, message(MsgProp, { from: 2 }), ErrEmptyProposal, "empty");
  const odd = message(MsgProp, { from: 2, entries: [entry(0, 0, 7 as EntryType)] });
  refuses(raw, odd, ErrStepBadMessage, "type 7");
  const torn = entry(0, 0, EntryConfChange, Uint8Array.of(0x18));
  refuses(raw, message(MsgProp, { from: 2, entries: [entry(0, 0), torn] }), ErrBadConfChange, "torn");
  for (const entries of [[], [entry(0, 0), entry(0, 0)]]) {
    refuses(
      raw,
      message(MsgReadIndex, { from: 2, entries }),
      ErrStepBadMessage,
      `${entries.length} contexts`,
    );
  }
});

test("a term out of reach is refused, whatever says it: it would be stored, and end the group", () => {
  const types = [
    MsgApp,
    MsgAppResp,
    MsgHeartbeat,
    MsgHeartbeatResp,
    MsgVote,
    MsgVoteResp,
    MsgPreVote,
  ] as const;
  for (const type of [...types, MsgPreVoteResp, MsgSnap, MsgTimeoutNow] as const) {
    for (const term of [2 + TERM_JUMP_MAX + 1, TOO_BIG - 1])
      refuses(group().raw(2), message(type, { from: 1, term }), ErrStepBadMessage, `type ${type}, ${term}`);
  }
  const raw = group().raw(2);
  assert.equal(raw.step(message(MsgHeartbeat, { from: 1, term: 2 + TERM_JUMP_MAX })), null);
});

test("a rejection of one's own append, and a proposal or read with a term, are refused", () => {
  const network = group();
  refuses(network.raw(1), message(MsgAppResp, { from: 1, term: 2, reject: true }), ErrStepBadMessage, "own");
  for (const type of [MsgProp, MsgReadIndex] as const)
    refuses(
      network.raw(1),
      message(type, { from: 2, term: 3, entries: [entry(0, 0)] }),
      ErrStepBadMessage,
      `${type}`,
    );
});

test("an append has no more entries than whoever decodes it takes", () => {
  const network = new Network({ voters: [1, 2], config: { maxSizePerMsg: Number.MAX_SAFE_INTEGER } });
  network.elect(1);
  network.drops = (m) => m.type === MsgAppResp;
  assert.equal(network.raw(1).proposeBatch(Array.from({ length: MSG_ENTRIES_MAX + 9 }, () => NO_DATA)), null);
  network.work(1);
  const sizes = network.queue.filter((m) => m.type === MsgApp).map((m) => m.entries.length);
  assert.deepEqual(sizes, [MSG_ENTRIES_MAX]);
  network.heal();
  network.settle();
  assert.equal(network.raw(2).raft.raftLog.lastIndex(), network.raw(1).raft.raftLog.lastIndex());
});

test("a term has one leader: another's appends and heartbeats are refused", () => {
  for (const id of [1, 2]) {
    const raw = group().raw(id);
    refuses(raw, message(MsgApp, { from: 3, term: 2, index: 2, logTerm: 2 }), ErrStepBadMessage, "append");
    refuses(raw, message(MsgHeartbeat, { from: 3, term: 2, commit: 77 }), ErrStepBadMessage, "heartbeat");
  }
});

test("an append with a membership change that is none is refused: committed, it would stop every member", () => {
  for (const [type, data] of [
    [EntryConfChange, Uint8Array.of(0x18)],
    [EntryConfChangeV2, Uint8Array.of(0x08, 9)],
  ] as const) {
    const entries = [entry(3, 2), entry(4, 2, type, data)];
    const m = message(MsgApp, { from: 1, term: 2, index: 2, logTerm: 2, entries });
    refuses(group().raw(2), m, ErrStepBadMessage, `type ${type}`);
  }
});

test("a snapshot of more members than a group can have is refused", () => {
  const cs = (count: number): ConfState => ({
    ...EMPTY_CONF_STATE,
    voters: Array.from({ length: count }, (_, i) => i + 1),
  });
  refuses(group().raw(2), message(MsgSnap, snap(9, 2, cs(20_000))), ErrStepBadMessage, "20,000");
  assert.equal(
    group()
      .raw(2)
      .step(message(MsgSnap, snap(9, 2, cs(MEMBERS_MAX)))),
    null,
  );
  refuses(group().raw(2), message(MsgSnap, snap(2 ** 50, 2, cs(3))), ErrStepBadMessage, "index");
});

test("transfers to a node that is no member, or a learner, are ignored", () => {
  const network = new Network({ voters: [1, 2], learners: [3] });
  network.elect(1);
  for (const from of [3, 9])
    refuses(network.raw(1), message(MsgTransferLeader, { from }), null, `to ${from}`);
});

test("an entry that conflicts with a committed one stops the node: data was lost somewhere", () => {
  const network = group();
  const m = message(MsgApp, { from: 1, term: 9, index: 1, logTerm: 1, entries: [entry(2, 9)], commit: 2 });
  // Index 1 is below the commit index, so the answer is the commit index, and nothing is replaced.
  assert.equal(network.raw(2).step(m), null);
  assert.equal(network.raw(2).raft.raftLog.term(2), 2);
  const lost = message(MsgHeartbeat, { from: 1, term: 9, commit: 77 });
  const before = network.raw(2).basicStatus().hardState.commit;
  assert.throws(() => network.raw(2).step(lost), /commit index is out of range/);
  assert.equal(network.raw(2).basicStatus().hardState.commit, before);
});

test("random messages break neither a follower nor a leader", () => {
  const prng = new Prng(4);
  const small = (): number => [0, 1, 2, 3, 4, 77, TOO_BIG - 1, TOO_BIG, -1, -5][prng.below(10)];
  for (let seed = 0; seed < 20; seed++) {
    const network = group();
    for (let round = 0; round < 300; round++) {
      const id = 1 + prng.below(3);
      const m = message(prng.below(24) as MessageType, {
        from: small(),
        to: prng.below(2) === 0 ? id : small(),
        term: prng.below(4),
        index: small(),
        logTerm: prng.below(4),
        reject: prng.below(2) === 0,
        rejectHint: small(),
        context: prng.below(2) === 0 ? NO_DATA : bytes("ctx"),
        entries: Array.from({ length: prng.below(3) }, () => entry(prng.below(5), prng.below(4))),
      });
      // Storage responses come from this node's own driver: those it never sent are not input.
      if (m.from === -1 || m.from === -2) continue;
      network.raw(id).step(m);
      const log = network.raw(id).raft.raftLog;
      assert.ok(
        log.applied <= log.applying && log.applying <= log.committed && log.committed <= log.lastIndex(),
      );
    }
  }
});
