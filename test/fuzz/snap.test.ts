// The bytes of a snapshot's file: flipped, cut, spliced. Reading gives the very state and metadata that were written, or
// WAL_CORRUPT; and a log whose snapshot is damaged opens with an older one, or without, or is refused.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { RaftmarkError } from "../../src/base/errors.js";
import type { Prng } from "../../src/base/prng.js";
import type { SnapshotMetadata } from "../../src/raft/raftpb/index.js";
import { openWal, type Wal } from "../../src/wal/index.js";
import { streamSnapFile, verifySnapFile } from "../../src/wal/snap/snap-file.js";
import { durable, run as entries, meta, options, snapFiles } from "../wal/helpers.js";
import { chance, changed, isSame, pick, randomBytes } from "./bytes.js";
import { fuzz } from "./harness.js";
import { withDir } from "./scratch.js";

interface Written {
  readonly metadata: SnapshotMetadata;
  readonly state: Uint8Array;
}

async function* inPieces(state: Uint8Array, bytes: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < state.length; at += bytes) yield state.subarray(at, at + bytes);
}

/** A log of 20 entries with two snapshots. */
async function write(prng: Prng, dir: string): Promise<Written[]> {
  const wal = await openWal({ ...options(dir), writer: "inline-js", durability: "none" });
  await durable(wal, wal.append({ term: 2, vote: 1, commit: 20 }, entries(1, 20)));
  const written: Written[] = [];
  for (const index of [1 + prng.below(10), 11 + prng.below(10)]) {
    const state = randomBytes(prng, prng.below(pick(prng, [1, 10, 3000, 3000])));
    const whole = chance(prng, 0.1) ? Buffer.concat([state, Buffer.alloc(600_000, 7)]) : state;
    const metadata = meta(index, 1, [1, 2, 3].slice(0, 1 + prng.below(3)));
    await wal.saveSnapshot(metadata, chance(prng, 0.5) ? whole : inPieces(whole, 1 + prng.below(200_000)));
    written.push({ metadata, state: new Uint8Array(whole) });
  }
  await wal.close();
  return written;
}

/** What the file holds; null: WAL_CORRUPT. */
async function read(file: string): Promise<Written | null> {
  try {
    const verified = await verifySnapFile(file);
    const stream = await streamSnapFile(file);
    const chunks: Uint8Array[] = [];
    for await (const chunk of stream) chunks.push(chunk);
    assert.deepEqual(stream.metadata, verified);
    return { metadata: stream.metadata, state: Buffer.concat(chunks) };
  } catch (error) {
    if (error instanceof RaftmarkError && error.code === "WAL_CORRUPT") return null;
    throw error;
  }
}

/** Which of `written` it is, with all its bytes. */
function numberOf(found: Written, written: readonly Written[]): number {
  const at = written.findIndex(({ metadata }) => metadata.index === found.metadata.index);
  assert.ok(at >= 0, "a snapshot that never was");
  assert.deepEqual(found.metadata, written[at]!.metadata, "other metadata");
  assert.ok(isSame(found.state, written[at]!.state), "another state");
  return at;
}

async function opened(dir: string): Promise<Wal | null> {
  try {
    return await openWal({ ...options(dir), writer: "inline-js", durability: "none" });
  } catch (error) {
    if (error instanceof RaftmarkError && error.code === "WAL_CORRUPT") return null;
    throw error;
  }
}

fuzz({
  url: import.meta.url,
  name: "a damaged snapshot is told, and the log that has it starts from another or not at all",
  cases: 60,
  reaches: ["sound", "an older one", "without"],
  run: (prng, note) =>
    withDir(async (dir) => {
      const written = await write(prng, dir);
      const files = snapFiles(dir).map((name) => path.join(dir, "snap", name));
      const [older, newer] = files.map((file) => new Uint8Array(fs.readFileSync(file))) as [
        Uint8Array,
        Uint8Array,
      ];
      if (chance(prng, 0.8)) fs.writeFileSync(files[1]!, changed(prng, newer, older));
      if (chance(prng, 0.4)) fs.writeFileSync(files[0]!, changed(prng, older, newer));
      const found = [await read(files[0]!), await read(files[1]!)];
      // A file may have become the other one's twin: sound, but not what its name says.
      const isThere = found.map((each, at) => each !== null && numberOf(each, written) === at);
      const wal = await opened(dir);
      assert.ok(wal !== null, "refused, though its entries are all there");
      const { snapshot } = wal.recovered;
      const newest = isThere.lastIndexOf(true);
      assert.deepEqual(snapshot, newest < 0 ? null : written[newest]!.metadata);
      note(newest === 1 ? "sound" : newest === 0 ? "an older one" : "without");
      await wal.close();
    }),
});
