// What does a frame cost on its way: encoding a leader's MsgApp (lean codec against protobufjs, same bytes), the frame
// around it with a CRC or with the connection's tag, for one follower and for two; and a tag alone, by
// length, beside the CRC that it takes the place of.
import { crc32c } from "../../src/base/crc32c.js";
import { FrameTags, TAG_KEY_BYTES } from "../../src/link/frame-tags.js";
import { Entry, EntryNormal, Message, MsgApp } from "../../src/raft/raftpb/index.js";
import {
  ByteWriter,
  decodeMessage,
  encodeMessage,
  FRAME_TAG_BYTES,
  FrameReader,
  type FrameTagger,
  FrameWriter,
} from "../../src/wire/index.js";
import { decodeMessageProto, encodeMessageProto } from "./proto.js";
import { consume, type MicroCase, type MicroSuite } from "./suite.js";

const ENTRIES = 64;
const DATA_BYTES = 256;
const APPEND = `MsgApp ${ENTRIES} x ${DATA_BYTES} B`;
const TAG_SIZES = [100, 1024, 20_000, 300_000];
/** About what one call of a case goes over; its clock costs nothing then. */
const CALL_BYTES = 1 << 18;

export const wireCases: MicroSuite = () => [
  ...messageCases(),
  ...frameCases(),
  ...TAG_SIZES.flatMap(tagCases),
];

/** A MsgApp from node 1, its data in one arena as in a log. */
function appMessage(to: number): Message {
  const arena = new Uint8Array(ENTRIES * DATA_BYTES).map((_, i) => i * 7);
  const message = new Message(MsgApp);
  message.to = to;
  message.from = 1;
  message.term = message.logTerm = 7;
  message.index = 3_000_000;
  message.commit = 2_999_000;
  message.entries = Array.from({ length: ENTRIES }, (_, i) => {
    const data = arena.subarray(i * DATA_BYTES, (i + 1) * DATA_BYTES);
    return new Entry(EntryNormal, 7, message.index + 1 + i, data);
  });
  return message;
}

function messageCases(): MicroCase[] {
  const writer = new ByteWriter(1 << 20);
  const message = appMessage(2);
  encodeMessage(writer, message, null);
  const bytes = writer.bytes.slice(0, writer.pos);
  const encode = (): number => {
    writer.pos = 0;
    encodeMessage(writer, message, null);
    return writer.pos;
  };
  return [
    wireCase(`wire: encode ${APPEND}, lean`, bytes.length, encode),
    wireCase(`wire: encode ${APPEND}, protobufjs`, bytes.length, () => encodeMessageProto(message).length),
    wireCase(`wire: decode ${APPEND}, lean`, bytes.length, () => decodeMessage(bytes, 0, bytes.length).index),
    wireCase(`wire: decode ${APPEND}, protobufjs`, bytes.length, () => decodeMessageProto(bytes).index),
  ];
}

function frameCases(): MicroCase[] {
  const limits = { targetBytes: 4 << 20, maxBytes: 64 << 20 };
  const frames = new FrameWriter({ clusterId: 1, from: 1, crc32c, ...limits });
  const reader = new FrameReader({ clusterId: 1, self: 2, crc32c });
  const build = (messages: readonly Message[], tagger: FrameTagger | null): Uint8Array => {
    let frame = new Uint8Array(0) as Uint8Array;
    frames.rewind();
    for (const message of messages) {
      frames.begin(0);
      frames.add(message);
      frame = frames.finish(tagger);
    }
    return frame;
  };
  const cases: MicroCase[] = [];
  const one = [appMessage(2)];
  const two = [...one, appMessage(3)];
  for (const [how, tagger] of [["a CRC", null] as const, ["tags", new FrameTags(testKey())] as const]) {
    for (const messages of [one, two]) {
      const name = `wire: frames with ${how} to ${messages.length} of the followers, ${APPEND}`;
      cases.push(wireCase(name, ENTRIES * DATA_BYTES, () => build(messages, tagger).length));
    }
  }
  const frame = build(one, null).slice();
  const into: Message[] = [];
  cases.push(
    wireCase(`wire: read a frame with a CRC, ${APPEND}`, frame.length, () => {
      into.length = 0;
      reader.read(frame, 1, into);
      return into.length;
    }),
  );
  return cases;
}

function tagCases(length: number): MicroCase[] {
  const tags = new FrameTags(testKey());
  const bytes = new Uint8Array(length + FRAME_TAG_BYTES).map((_, i) => i);
  return [
    wireCase(`wire: tag of ${length} B`, length, () => {
      tags.tag(bytes, 0, length);
      tags.sent();
      return bytes[length]!;
    }),
    wireCase(`wire: CRC-32C of ${length} B`, length, () => crc32c(0, bytes)),
  ];
}

function testKey(): Uint8Array {
  return new Uint8Array(TAG_KEY_BYTES).map((_, i) => i * 7 + (i >> 6));
}

function wireCase(name: string, bytes: number, once: () => number): MicroCase {
  const ops = Math.max(1, Math.floor(CALL_BYTES / bytes));
  return {
    name,
    ops,
    bytes,
    run() {
      let sum = 0;
      for (let i = 0; i < ops; i++) sum += once();
      consume(sum);
    },
  };
}
