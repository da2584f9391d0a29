// The memories that simulated processes share with their log's writer: 24 MiB each, of which a life uses a little.
// Each start would take a new one, and V8 collects all garbage for every few of them; so a process that ended gives its
// own back, and the next start gets it as it would get a new one: all zeros.
import * as L from "../../src/wal/format/layout.js";

/** What a process may have written behind what its writer's counters tell: appends not shown yet, padding, a head. */
const SLACK = 256 << 10;
const BLOCK = 4096;

/** Of a writer; and of a look whether the disk takes direct writes. Others may outlive the process that asks for them. */
const WRITER_PAGES_MIN = 64;
const PROBE_PAGES = 1;
const PAGE = 65536;

/** What WebAssembly.Memory is made by. */
export interface MemoryKind {
  readonly initial: number;
  readonly maximum: number;
  readonly shared: boolean;
}

/** As far as the engine looks at it. */
export interface SimMemory {
  readonly buffer: ArrayBufferLike;
}

/** By kind: those that nobody uses. */
const kept = new Map<string, SimMemory[]>();

/** For tests. */
export function leftMemories(): SimMemory[] {
  return [...kept.values()].flat();
}

/** Those of one process, to be left when it has ended. */
export class Memories {
  private taken: { readonly kind: string; readonly memory: SimMemory }[] = [];

  /** A memory of zeros; `make` makes one if none is left over. */
  take({ initial, maximum, shared }: MemoryKind, make: () => SimMemory): SimMemory {
    if (initial < WRITER_PAGES_MIN && initial !== PROBE_PAGES) return make();
    const kind = `${initial} ${maximum} ${shared}`;
    const left = kept.get(kind)?.pop();
    if (left !== undefined) clear(left.buffer);
    const memory = left ?? make();
    this.taken.push({ kind, memory });
    return memory;
  }

  /** The process has ended: it touches none of them any more once the next event begins. */
  leave(): void {
    for (const { kind, memory } of this.taken) {
      const others = kept.get(kind);
      if (others === undefined) kept.set(kind, [memory]);
      else others.push(memory);
    }
    this.taken = [];
  }
}

/** Zeros where a writer of a log may have left something. A test holds that nothing is left. */
export function clear(buffer: ArrayBufferLike): void {
  const u8 = new Uint8Array(buffer);
  if (u8.length === PROBE_PAGES * PAGE) {
    u8.fill(0);
    return;
  }
  const u32 = new Uint32Array(buffer);
  const ringBytes = u32[L.ENC_RING_MASK / 4] + 1;
  const ringUsed = u32[L.WORD_TAIL] + SLACK;
  const written = new Float64Array(buffer)[L.STAT_BYTES / 8] + SLACK;
  const out = Math.ceil((L.RING + ringBytes) / BLOCK) * BLOCK;
  u8.fill(0, 0, L.RING + Math.min(ringBytes, ringUsed));
  u8.fill(0, out, Math.min(u8.length, out + written));
}
