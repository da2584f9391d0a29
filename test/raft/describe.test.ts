// Text forms: what the data-driven files do not show.
import assert from "node:assert/strict";
import { test } from "node:test";
import { NO_DATA } from "../../src/base/bytes.js";
import {
  describeConfChange,
  describeEntry,
  describeMessage,
  describeReadStates,
  describeReady,
  Entry,
  EntryConfChange,
  EntryConfChangeV2,
  EntryNormal,
  LocalAppendThread,
  LocalApplyThread,
  Message,
  MsgApp,
  MsgAppResp,
  MsgStorageAppend,
  MsgVote,
  marshalConfChange,
  quote,
  Ready,
} from "../../src/raft/index.js";
import { bytes } from "./network.js";

test("quote is Go's %q", () => {
  const cases: [Uint8Array, string][] = [
    [NO_DATA, '""'],
    [bytes('a"b\\c'), '"a\\"b\\\\c"'],
    [bytes("\x07\b\f\n\r\t\v\x00\x1f\x7f"), '"\\a\\b\\f\\n\\r\\t\\v\\x00\\x1f\\x7f"'],
    [bytes("größe 日本 😀"), '"größe 日本 😀"'],
    [bytes("\u00a0\u200b\u2028\ue000\u{10ffff}"), '"\\u00a0\\u200b\\u2028\\ue000\\U0010ffff"'],
    [Uint8Array.of(0xff, 0x41, 0xc3, 0xe2, 0x82), '"\\xffA\\xc3\\xe2\\x82"'],
    [
      Uint8Array.of(0xc0, 0x80, 0xed, 0xa0, 0x80, 0xf4, 0x90, 0x80, 0x80),
      '"\\xc0\\x80\\xed\\xa0\\x80\\xf4\\x90\\x80\\x80"',
    ],
    [Uint8Array.of(0xef, 0xbf, 0xbd), '"\ufffd"'],
  ];
  for (const [data, want] of cases) assert.equal(quote(data), want);
});

test("entries of all types", () => {
  const v1 = marshalConfChange({ id: 0, type: 1, nodeId: 12, context: NO_DATA });
  const v2 = marshalConfChange({
    transition: 0,
    changes: [
      { type: 0, nodeId: 3 },
      { type: 3, nodeId: 4 },
      { type: 2, nodeId: 5 },
    ],
    context: NO_DATA,
  });
  assert.equal(describeEntry(new Entry(EntryNormal, 1, 2, NO_DATA)), '1/2 EntryNormal ""');
  assert.equal(describeEntry(new Entry(EntryConfChange, 1, 2, v1)), "1/2 EntryConfChange r12");
  assert.equal(describeEntry(new Entry(EntryConfChangeV2, 1, 2, v2)), "1/2 EntryConfChangeV2 v3 l4 u5");
  assert.equal(describeEntry(new Entry(EntryConfChangeV2, 1, 2, NO_DATA)), "1/2 EntryConfChangeV2");
});

test("messages: every optional part, nested responses", () => {
  const m = new Message(MsgStorageAppend);
  m.from = 26;
  m.to = LocalAppendThread;
  m.term = 3;
  m.vote = 2;
  m.commit = 9;
  m.entries = [new Entry(EntryNormal, 3, 10, bytes("x")), new Entry(EntryNormal, 3, 11, NO_DATA)];
  const nested = new Message(MsgApp);
  nested.from = LocalApplyThread;
  nested.entries = m.entries;
  m.responses = [nested, new Message(MsgVote)];
  assert.equal(
    describeMessage(m),
    [
      "1a->AppendThread MsgStorageAppend Term:3 Log:0/0 Commit:9 Vote:2 Entries:[",
      '  3/10 EntryNormal "x"',
      '  3/11 EntryNormal ""',
      "] Responses:[",
      "  ApplyThread->None MsgApp Term:0 Log:0/0 Entries:[",
      '    3/10 EntryNormal "x"',
      '    3/11 EntryNormal ""',
      "  ]",
      "  None->None MsgVote Term:0 Log:0/0",
      "]",
    ].join("\n"),
  );
  const rejected = new Message(MsgAppResp);
  rejected.reject = true;
  rejected.rejectHint = 4;
  assert.equal(describeMessage(rejected), "None->None MsgAppResp Term:0 Log:0/0 Rejected (Hint: 4)");
});

test("read states, refused changes, and the empty Ready", () => {
  assert.equal(describeReadStates([{ index: 11, requestCtx: bytes("ba") }]), "[{11 [98 97]}]");
  assert.equal(describeReady(new Ready()), "<empty Ready>");
  assert.equal(
    describeConfChange({ id: 4, type: 3, nodeId: 7, context: bytes("c") }),
    'transition:ConfChangeTransitionAuto changes:{type:ConfChangeAddLearnerNode node_id:7} context:"c"',
  );
});
