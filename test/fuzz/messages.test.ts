// Frames and the messages in them, from peers that may say anything: bytes changed under a sound checksum, and messages
// with fields that nobody means, through reader and door into nodes amid something. The reader refuses or gives messages,
// and throws nothing; what the door or the core refuses changes nothing; and no message breaks a node.
import assert from "node:assert/strict";
import { InvariantError } from "../../src/base/assert.js";
import { crc32c } from "../../src/base/crc32c.js";
import type { Prng } from "../../src/base/prng.js";
import { refusalOfMessages } from "../../src/node/peer-messages.js";
import { Message, MsgHeartbeat, type RawNode } from "../../src/raft/index.js";
import { checkMessage } from "../../src/raft/validate.js";
import {
  FRAME_HEADER_BYTES,
  FRAME_TAG_BYTES,
  FrameAdded,
  FrameReader,
  type FrameTagger,
  FrameWriter,
} from "../../src/wire/index.js";
import { digest, group, mutated } from "../raft/forged.js";
import type { Member, Network } from "../raft/network.js";
import { isWireType } from "../wire/random.js";
import { chance, changed, pick } from "./bytes.js";
import { fuzz } from "./harness.js";

const CLUSTER = 7;
const LIMITS = { targetBytes: 1 << 20, maxBytes: 1 << 24 };
const CRC_BYTES = 4;
const STEPS = 60;

/** Null: our encoder does not write what is in it. */
function frameOf(message: Message): Uint8Array | null {
  const { from } = message;
  if (!isWireType(message.type) || !Number.isSafeInteger(from) || from < 0) return null;
  const writer = new FrameWriter({ clusterId: CLUSTER, from, crc32c, ...LIMITS });
  writer.begin(0);
  try {
    return writer.add(message) === FrameAdded ? writer.finish().slice() : null;
  } catch (error) {
    if (error instanceof InvariantError) return null;
    throw error;
  }
}

/** Its messages changed, and lengths and checksum made to fit, mostly. */
function frameChanged(prng: Prng, frame: Uint8Array, other: Uint8Array): Uint8Array {
  const bodyOf = (bytes: Uint8Array): Uint8Array => bytes.subarray(FRAME_HEADER_BYTES + 4, -CRC_BYTES);
  const message = changed(prng, bodyOf(frame), bodyOf(other));
  const bytes = new Uint8Array(FRAME_HEADER_BYTES + 4 + message.length + CRC_BYTES);
  bytes.set(frame.subarray(0, FRAME_HEADER_BYTES));
  bytes.set(message, FRAME_HEADER_BYTES + 4);
  const view = new DataView(bytes.buffer);
  view.setUint32(36, bytes.length - FRAME_HEADER_BYTES - CRC_BYTES, true);
  view.setUint32(FRAME_HEADER_BYTES, message.length, true);
  const sent = chance(prng, 0.9) ? bytes : changed(prng, bytes, other);
  if (sent.length > CRC_BYTES) {
    const end = sent.length - CRC_BYTES;
    new DataView(sent.buffer).setUint32(end, crc32c(0, sent.subarray(0, end)), true);
  }
  return sent;
}

/** What one message is under way as, or what somebody makes of it. */
function forge(prng: Prng, network: Network, raw: RawNode): { sender: number; frame: Uint8Array } | null {
  const message = Object.assign(new Message(0), mutated(prng, network, raw));
  const frame = frameOf(message);
  if (frame === null || chance(prng, 0.4)) return frame === null ? null : { sender: message.from, frame };
  const under = network.queue.map(frameOf).filter((each) => each !== null);
  const honest = under.length > 0 && chance(prng, 0.7) ? pick(prng, under) : frame;
  const sender = Number(new DataView(honest.buffer, honest.byteOffset).getBigUint64(24, true));
  return { sender, frame: frameChanged(prng, honest, under.length > 0 ? pick(prng, under) : frame) };
}

/** What a frame with a tag does not say again: its magic, version, kind and cluster. */
const SETTLED_BYTES = 16;
const SETTLED_REFUSALS = ["magic", "version", "flags", "crc", "cluster"];
const ANY_TAG: FrameTagger = { tag() {}, sent() {}, check: () => true };

/** The same frame on a connection with tags, by somebody with the key, is read the same. */
function checkTagged(reader: FrameReader, frame: Uint8Array, sender: number, read: string | null): void {
  if (read !== null && SETTLED_REFUSALS.includes(read)) return;
  const tag = new Uint8Array(FRAME_TAG_BYTES);
  const tagged = Buffer.concat([frame.subarray(SETTLED_BYTES, -CRC_BYTES), tag]);
  const into: Message[] = [];
  assert.equal(reader.read(tagged, sender, into, ANY_TAG), read, "tagged it is read otherwise");
}

/** The one message that ends a node, by a fault of its own: its log was lost (RAFT_LOG_LOST). */
function endsNode(raw: RawNode, { type, commit }: Message): boolean {
  return type === MsgHeartbeat && commit > raw.raft.raftLog.lastIndex();
}

function take(victim: Member, sender: number, frame: Uint8Array, note: (outcome: string) => void): void {
  const { raw } = victim;
  const into: Message[] = [];
  const before = digest(raw);
  const reader = new FrameReader({ clusterId: CLUSTER, self: victim.id, crc32c });
  const refusal = reader.read(frame, sender, into);
  checkTagged(reader, frame, sender, refusal);
  if (refusal !== null) {
    assert.equal(into.length, 0, "messages of a refused frame were handed over");
    note("refused by the reader");
    return;
  }
  if (refusalOfMessages(raw.raft, into) !== null) {
    assert.deepEqual(digest(raw), before, "the door changed something");
    note("refused at the door");
    return;
  }
  for (const message of into) {
    if (endsNode(raw, message)) continue;
    const was = digest(raw);
    const whole = checkMessage(raw.raft, message);
    // As the driver does, behind the door.
    const error = raw.step(message, true);
    if (whole !== null) assert.equal(error, whole, "the door let entries pass that the core does not take");
    if (error !== null)
      assert.deepEqual(digest(raw), was, `refused, yet changed: ${JSON.stringify(message)}`);
    note(error === null ? "stepped" : "refused by the core");
  }
  const { applied, applying, committed } = raw.raft.raftLog;
  assert.ok(applied <= applying && applying <= committed && committed <= raw.raft.raftLog.lastIndex());
}

fuzz({
  url: import.meta.url,
  name: "no frame breaks a node, whatever is in it",
  cases: 100,
  reaches: ["refused by the reader", "refused at the door", "stepped"],
  run(prng, note) {
    const network = group(prng.below(1 << 20), prng);
    // What is forged may well be applied by its victim, against what the others chose.
    network.onApplied = () => {};
    const victim = network.get(1 + prng.below(4));
    for (let i = 0; i < STEPS; i++) {
      const forged = forge(prng, network, victim.raw);
      if (forged !== null) take(victim, forged.sender, forged.frame, note);
      if (prng.below(3) === 0 && !victim.handleReady() && !victim.doAppend()) victim.doApply();
      if (prng.below(5) === 0) victim.raw.tick();
    }
  },
});
