// What tells the frames of one connection from what anybody else on the path made, changed, repeated, reordered or
// left out: a tag on each, under a key of this connection and direction, over the frame and its place. Either end
// has one of these, and both count alike. Main thread.
//
// A tag is a hash of the frame under a secret key, which no two frames share but by guessing (assembly/tag.ts), plus
// 128 bits that are used for one frame only: AES-256 of its place, as in Poly1305-AES (Bernstein 2005, "The
// Poly1305-AES message-authentication code"; Wegman and Carter 1981). Whoever has seen any number of frames and tags
// forges one with a chance below 2^-80, and a connection ends with the first tag that is wrong.
//
// Why not node:crypto alone: a call that makes a tag makes an object or two, and those cost more than the bytes. Here
// it is called once in PADS frames (`bench:micro`, "tag"; the gate closed on HMAC, GCM and one-shot SHA-256).
import * as crypto from "node:crypto";
import { readFileSync } from "node:fs";
import { assert } from "../base/assert.js";
import { ownModule } from "../base/environment.js";
import { FRAME_TAG_BYTES, type FrameTagger } from "../wire/frame.js";

interface TagModule {
  readonly memory: { readonly buffer: ArrayBuffer };
  nhKey(): number;
  nhKeyBytes(): number;
  polyKey(): number;
  pad(): number;
  tag(): number;
  input(): number;
  begin(): void;
  update(length: number): void;
  finish(length: number): void;
}

/** What the module's memory has room for at a time: INPUT_BYTES in assembly/tag.ts. */
const INPUT_BYTES = 65536;
const NH_KEY_BYTES = 1072;
const POLY_KEY_BYTES = 16;
const AES_KEY_BYTES = 32;
export const TAG_KEY_BYTES = NH_KEY_BYTES + POLY_KEY_BYTES + AES_KEY_BYTES;
/** Frames for which the cipher is called once. */
const PADS = 256;
const ZEROS = new Uint8Array(PADS * FRAME_TAG_BYTES);
const NO_PADS = new Uint8Array(0);

/** Read as this file is: a connection may have taken the last descriptor. */
// dist/src/link/frame-tags.js -> dist/assembly/tag.wasm
const MODULE_BYTES = ownModule("tag.wasm", () =>
  readFileSync(new URL("../../assembly/tag.wasm", import.meta.url)),
);

/** One for all connections of a thread: none keeps anything in it but from begin() to finish(). */
class Hasher {
  private readonly module: TagModule;
  private readonly bytes: Uint8Array;
  private readonly input: number;
  private readonly nhKey: number;
  private readonly polyKey: number;
  private readonly pad: number;
  private readonly tag: number;
  /** Whose key the memory holds. */
  private keyed: Uint8Array | null = null;

  constructor() {
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(MODULE_BYTES), {});
    this.module = exports as unknown as TagModule;
    this.bytes = new Uint8Array(this.module.memory.buffer);
    this.input = this.module.input();
    this.nhKey = this.module.nhKey();
    this.polyKey = this.module.polyKey();
    this.pad = this.module.pad();
    this.tag = this.module.tag();
    assert(this.module.nhKeyBytes() === NH_KEY_BYTES, "tag.wasm is of another build");
  }

  /** The tag of bytes[start, end), under `key` and with the pad at `padAt` of `pads`, where this module keeps it. hot */
  hash(
    key: Uint8Array,
    pads: Uint8Array,
    padAt: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): number {
    const { module, input, pad } = this;
    const memory = this.bytes;
    if (this.keyed !== key) {
      memory.set(key.subarray(0, NH_KEY_BYTES), this.nhKey);
      memory.set(key.subarray(NH_KEY_BYTES, NH_KEY_BYTES + POLY_KEY_BYTES), this.polyKey);
      this.keyed = key;
    }
    for (let i = 0; i < FRAME_TAG_BYTES; i++) memory[pad + i] = pads[padAt + i]!;
    module.begin();
    for (let from = start; from < end; from += INPUT_BYTES) {
      const to = Math.min(end, from + INPUT_BYTES);
      memory.set(bytes.subarray(from, to), input);
      module.update(to - from);
    }
    module.finish(end - start);
    return this.tag;
  }

  get memory(): Uint8Array {
    return this.bytes;
  }
}

let hasher: Hasher | null = null;

export class FrameTags implements FrameTagger {
  /** Frames that went before, tagged and sent, or checked and good. */
  private count = 0;
  private readonly key: Uint8Array;
  /** AES-256 of each place (CTR from 0): the next PADS of them at a time. */
  private readonly cipher: crypto.Cipher;
  private pads = NO_PADS;
  private padsEnd = 0;
  private readonly hasher: Hasher;

  /** `key` has TAG_KEY_BYTES, and is used for nothing else. It is kept, not copied. */
  constructor(key: Uint8Array) {
    assert(key.length === TAG_KEY_BYTES, "a key of another length");
    this.key = key;
    this.cipher = crypto.createCipheriv("aes-256-ctr", key.subarray(-AES_KEY_BYTES), new Uint8Array(16));
    hasher ??= new Hasher();
    this.hasher = hasher;
  }

  tag(bytes: Uint8Array, start: number, end: number): void {
    // hot
    const at = this.hash(bytes, start, end);
    const { memory } = this.hasher;
    for (let i = 0; i < FRAME_TAG_BYTES; i++) bytes[end + i] = memory[at + i]!;
  }

  check(frame: Uint8Array): boolean {
    // hot
    const end = frame.length - FRAME_TAG_BYTES;
    const at = this.hash(frame, 0, end);
    const { memory } = this.hasher;
    let difference = 0;
    for (let i = 0; i < FRAME_TAG_BYTES; i++) difference |= memory[at + i]! ^ frame[end + i]!;
    if (difference !== 0) return false;
    this.count++;
    return true;
  }

  sent(): void {
    this.count++;
  }

  /** Where in the hasher's memory the tag of bytes[start, end) as the next frame stands, until anything else is hashed. */
  private hash(bytes: Uint8Array, start: number, end: number): number {
    // hot
    if (this.count === this.padsEnd) {
      this.pads = this.cipher.update(ZEROS);
      this.padsEnd += PADS;
    }
    const padAt = (this.count % PADS) * FRAME_TAG_BYTES;
    return this.hasher.hash(this.key, this.pads, padAt, bytes, start, end);
  }
}
