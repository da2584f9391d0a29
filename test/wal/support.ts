// What the WAL's tests share: a directory of their own, entries, and the seed that replays a random test.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { Prng } from "../../src/base/prng.js";
import { Entry } from "../../src/raft/index.js";
import { openWal, type Wal, type WalOptions } from "../../src/wal/index.js";

/** A directory that is gone after the test. */
export function scratch(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), "raftmark-wal-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

export const METADATA = Uint8Array.of(8, 1, 16, 1);

/** Opens `dir`/wal with small segments and without a wait for the disk, unless told otherwise. */
export function open(dir: string, options: Partial<WalOptions> = {}): Promise<Wal> {
  return openWal({
    dir: join(dir, "wal"),
    metadata: METADATA,
    writer: "inline-js",
    durability: "none",
    segmentBytes: 64 * 1024,
    ...options,
  });
}

/** Data that its index and term determine. */
export function entryAt(index: number, term = 1, bytes = 100): Entry {
  const prng = new Prng(index * 31 + term);
  const data = new Uint8Array(bytes);
  for (let i = 0; i < bytes; i++) data[i] = prng.below(256);
  return new Entry(0, term, index, data);
}

export function entriesFrom(first: number, count: number, term = 1, bytes = 100): Entry[] {
  return Array.from({ length: count }, (_, i) => entryAt(first + i, term, bytes));
}

/** Appends and waits until it is durable. */
export function appended(wal: Wal, entries: readonly Entry[], term = 1): Promise<void> {
  return new Promise((resolve, reject) => {
    const last = entries.length > 0 ? entries[entries.length - 1].index : 0;
    const seq = wal.append({ term, vote: 1, commit: Math.max(0, last - 1) }, entries, true);
    wal.onFault = reject;
    wal.onDurable = (durable) => {
      if (durable >= seq) resolve();
    };
  });
}
