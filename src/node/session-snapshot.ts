// The sessions inside a snapshot's state: a head of 8 bytes that begin nothing else, u32 length (big-endian), the table,
// and behind it what the state machine gave. Without sessions there is no head, and a state is stored as it is; unless its
// first byte is that of a head. Main thread.
import { NO_DATA } from "../base/bytes.js";
import { RaftmarkError } from "../base/errors.js";
import type { SnapshotStream } from "../wal/index.js";
import type { Sessions } from "./sessions.js";

const MAGIC = Uint8Array.of(0xf4, 0x2d, 0x71, 0x0b, 0xc8, 0x5e, 0x93, 0x16);
const HEAD_BYTES = MAGIC.length + 4;

/** What goes in front of a state whose first chunk is `first`, and whose sessions are `table`; empty: nothing. */
export function headOf(table: Uint8Array, first: Uint8Array): Uint8Array {
  if (table.length === 0 && first[0] !== MAGIC[0]) return NO_DATA;
  const head = new Uint8Array(HEAD_BYTES + table.length);
  head.set(MAGIC);
  new DataView(head.buffer).setUint32(MAGIC.length, table.length);
  head.set(table, HEAD_BYTES);
  return head;
}

/**
 * Gives `restore` the state of `stream`, and `sessions` what stands in front of it, when that has taken it. Resolves with
 * the bytes of the state. Rejects with what `restore` does, and WAL_CORRUPT.
 */
export async function restoreWithSessions(
  stream: SnapshotStream,
  sessions: Sessions,
  restore: (state: SnapshotStream) => Promise<unknown>,
): Promise<number> {
  const chunks = stream[Symbol.asyncIterator]();
  let read: Uint8Array = NO_DATA;
  let isAll = false;
  const readUpTo = async (length: number): Promise<void> => {
    const parts = [read];
    let bytes = read.length;
    while (bytes < length && !isAll) {
      const { done, value } = await chunks.next();
      if (done === true) isAll = true;
      else {
        parts.push(value.slice());
        bytes += value.length;
      }
    }
    read = Buffer.concat(parts);
  };
  await readUpTo(HEAD_BYTES);
  let table = NO_DATA;
  let headBytes = 0;
  if (read.length >= HEAD_BYTES && MAGIC.every((byte, at) => read[at] === byte)) {
    headBytes = HEAD_BYTES + new DataView(read.buffer, read.byteOffset).getUint32(MAGIC.length);
    if (headBytes > stream.size) throw damaged();
    await readUpTo(headBytes);
    table = read.subarray(HEAD_BYTES, headBytes);
    read = read.subarray(headBytes);
  }
  const install = await sessions.decode(table);
  if (install === null) throw damaged();
  const size = stream.size - headBytes;
  await restore({
    metadata: stream.metadata,
    size,
    close: () => stream.close(),
    async *[Symbol.asyncIterator]() {
      if (read.length > 0) yield read;
      if (!isAll) yield* { [Symbol.asyncIterator]: () => chunks };
    },
  });
  install();
  return size;
}

function damaged(): RaftmarkError {
  return new RaftmarkError("WAL_CORRUPT", "the sessions in a snapshot are damaged");
}
