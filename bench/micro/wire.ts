// Question: what does it cost to encode and decode the messages a leader sends, and the frame around them? Lean codec
// against protobufjs, same bytes.
import type { Bench } from "tinybench";
import { crc32c } from "../../src/base/crc32c.js";
import { Entry, EntryNormal, Message, MsgApp, MsgAppResp } from "../../src/raft/raftpb/index.js";
import {
  ByteWriter,
  decodeMessage,
  decodeMessageProto,
  encodeMessage,
  encodeMessageProto,
  FrameReader,
  FrameWriter,
} from "../../src/wire/index.js";

const ENTRIES = 64;
const DATA_BYTES = 256;

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

/** Adds the wire's tasks to `bench`. */
export function registerWire(bench: Bench): void {
  const writer = new ByteWriter(1 << 20);
  const encode = (message: Message): Uint8Array => {
    writer.pos = 0;
    encodeMessage(writer, message, null);
    return writer.bytes;
  };
  const app = appMessage(2);
  const response = Object.assign(new Message(MsgAppResp), { to: 1, from: 2, term: 7, index: 3_000_064 });
  for (const [name, message] of [
    [`MsgApp ${ENTRIES} x ${DATA_BYTES} B`, app],
    ["MsgAppResp", response],
  ] as const) {
    encode(message);
    const bytes = writer.bytes.slice(0, writer.pos);
    bench.add(`wire: encode ${name}, lean`, () => {
      encode(message);
    });
    bench.add(`wire: encode ${name}, protobufjs`, () => {
      encodeMessageProto(message);
    });
    bench.add(`wire: decode ${name}, lean`, () => {
      decodeMessage(bytes, 0, bytes.length);
    });
    bench.add(`wire: decode ${name}, protobufjs`, () => {
      decodeMessageProto(bytes);
    });
  }
  registerFrames(bench, app);
}

function registerFrames(bench: Bench, app: Message): void {
  const limits = { targetBytes: 4 << 20, maxBytes: 64 << 20 };
  const frames = new FrameWriter({ clusterId: 1, from: 1, crc32c, ...limits });
  const others = [3, 4, 5].map((to) => Object.assign(new Message(MsgApp), app, { to }));
  const build = (messages: readonly Message[]): Uint8Array => {
    frames.rewind();
    let frame = new Uint8Array(0);
    for (const message of messages) {
      frames.begin(0);
      frames.add(message);
      frame = frames.finish() as Uint8Array<ArrayBuffer>;
    }
    return frame;
  };
  for (const followers of [1, 2, 4]) {
    const messages = [app, ...others].slice(0, followers);
    bench.add(`wire: frames with CRC for ${followers} followers, ${ENTRIES} x ${DATA_BYTES} B`, () => {
      build(messages);
    });
  }
  const frame = build([app]).slice();
  const reader = new FrameReader({ clusterId: 1, self: 2, crc32c });
  const into: Message[] = [];
  bench.add(`wire: read a frame with CRC, ${ENTRIES} x ${DATA_BYTES} B`, () => {
    into.length = 0;
    reader.read(frame, 1, into);
  });
}
