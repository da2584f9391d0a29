// The bytes of a snapshot of the keys: the same state gives the same bytes on every member. Pure.
//
// magic, 8 bytes | index of the last change f64 | watch floor f64 | refused count u32 | refused indexes f64 each | keys
// f64 | each key, in the order of the map: length of the key u32, of the value u32, revision f64, key, value. Behind
// them the addresses at which clients reach members, in the same form: their number f64, and each id as a key, its
// address as a value. Little endian.

import { RaftmarkError } from "../index.js";

/** A key as it is stored. Never written to: a change makes a new one, so that whoever has one can go on reading. */
export interface Stored {
  readonly key: string;
  readonly value: Uint8Array;
  /** Index of the entry that wrote it (etcd's mod_revision, Consul's ModifyIndex). */
  readonly revision: number;
}

/** Everything that a snapshot has. */
export interface KvState {
  /** Index of the last command, whatever became of it. */
  readonly index: number;
  /** What of the log behind this index changed something can be told. */
  readonly watchFloor: number;
  /** Indexes of the commands that changed nothing, ascending. */
  readonly refused: readonly number[];
  readonly stored: readonly Stored[];
  /** By member's id: where clients reach it, as the change that added it said. */
  readonly https: readonly Stored[];
}

const MAGIC = "raftkv\0\x01";
const HEAD_BYTES = 8 + 8 + 8 + 4;
const RECORD_BYTES = 16;
/** Records are joined into chunks of about so many bytes. */
const CHUNK_BYTES = 64 * 1024;

/** Chunks of `state`, which must not change meanwhile: keys and values in it are read as they are asked for. */
export function* snapshotChunks({
  index,
  watchFloor,
  refused,
  stored,
  https,
}: KvState): Generator<Uint8Array> {
  const head = Buffer.alloc(HEAD_BYTES + refused.length * 8 + 8);
  head.write(MAGIC, 0, "latin1");
  head.writeDoubleLE(index, 8);
  head.writeDoubleLE(watchFloor, 16);
  head.writeUInt32LE(refused.length, 24);
  for (const [i, at] of refused.entries()) head.writeDoubleLE(at, HEAD_BYTES + i * 8);
  head.writeDoubleLE(stored.length, HEAD_BYTES + refused.length * 8);
  yield head;
  yield* recordChunks(stored);
  const count = Buffer.alloc(8);
  count.writeDoubleLE(https.length);
  yield count;
  yield* recordChunks(https);
}

function* recordChunks(stored: readonly Stored[]): Generator<Uint8Array> {
  let pieces: Uint8Array[] = [];
  let bytes = 0;
  for (const { key, value, revision } of stored) {
    const name = Buffer.from(key);
    const lengths = Buffer.alloc(RECORD_BYTES);
    lengths.writeUInt32LE(name.length, 0);
    lengths.writeUInt32LE(value.length, 4);
    lengths.writeDoubleLE(revision, 8);
    pieces.push(lengths, name, value);
    bytes += lengths.length + name.length + value.length;
    if (bytes < CHUNK_BYTES) continue;
    yield Buffer.concat(pieces, bytes);
    pieces = [];
    bytes = 0;
  }
  if (bytes > 0) yield Buffer.concat(pieces, bytes);
}

/** The state that `chunks` are of. Throws if they are of something else, or not whole. */
export async function readSnapshot(chunks: AsyncIterable<Uint8Array>): Promise<KvState> {
  const reader = new Reader(chunks);
  const head = await reader.take(HEAD_BYTES);
  if (head.toString("latin1", 0, 8) !== MAGIC) throw unusable("is none of this service");
  const index = head.readDoubleLE(8);
  const watchFloor = head.readDoubleLE(16);
  const refused: number[] = [];
  const list = await reader.take(head.readUInt32LE(24) * 8);
  for (let at = 0; at < list.length; at += 8) refused.push(list.readDoubleLE(at));
  const stored = await readRecords(reader);
  const https = await readRecords(reader);
  await reader.end();
  return { index, watchFloor, refused, stored, https };
}

/** Its file is sound: what is in it was never written by this service. */
function unusable(what: string): RaftmarkError {
  const text = `the newest snapshot ${what}: its file is whole, and of another program, or another version of this one`;
  return new RaftmarkError("WAL_CORRUPT", text);
}

async function readRecords(reader: Reader): Promise<Stored[]> {
  const count = (await reader.take(8)).readDoubleLE(0);
  const stored: Stored[] = [];
  while (stored.length < count) {
    const lengths = await reader.take(RECORD_BYTES);
    const keyBytes = lengths.readUInt32LE(0);
    const body = await reader.take(keyBytes + lengths.readUInt32LE(4));
    const key = body.toString("utf8", 0, keyBytes);
    // A copy: a view would keep the whole chunk.
    stored.push({ key, value: new Uint8Array(body.subarray(keyBytes)), revision: lengths.readDoubleLE(8) });
  }
  return stored;
}

/** Takes exact lengths off a stream of chunks. */
class Reader {
  private readonly chunks: AsyncIterator<Uint8Array>;
  private rest = Buffer.alloc(0);

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.chunks = chunks[Symbol.asyncIterator]();
  }

  async take(bytes: number): Promise<Buffer> {
    if (this.rest.length < bytes) {
      const pieces: Uint8Array[] = [this.rest];
      let length = this.rest.length;
      while (length < bytes) {
        const { done, value } = await this.chunks.next();
        if (done) throw unusable("ends before its state does");
        // Chunks are borrowed until the next is asked for.
        const piece = Buffer.from(value);
        pieces.push(piece);
        length += piece.length;
      }
      this.rest = Buffer.concat(pieces, length);
    }
    const taken = this.rest.subarray(0, bytes);
    this.rest = this.rest.subarray(bytes);
    return taken;
  }

  async end(): Promise<void> {
    const { done } = await this.chunks.next();
    if (!done || this.rest.length > 0) throw unusable("goes on behind its state");
  }
}
