// The messages of WebSocket (RFC 6455) over one connection that is upgraded, whichever side dialled it: a message out is
// one write, and one that comes in is copied once, from what the connection was read into to memory that is its
// receiver's. `ws` did both with several objects and buffers a message, which cost as much as all of raft for a small
// one, and a major collection for each 8 MiB of large ones. No extensions; pings are answered. Main thread.
import { randomFillSync } from "node:crypto";
import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";
import { assert } from "../base/assert.js";
import { POOLED_BYTES_MIN, takeBytes } from "../base/byte-pool.js";
import { NO_DATA } from "../base/bytes.js";

const FIN = 0x80;
const RESERVED = 0x70;
const MASKED = 0x80;
const OpContinuation = 0;
/** Text is 1, and as good. */
const OpBinary = 2;
const OpClose = 8;
const OpPing = 9;
const OpPong = 10;
/** Of a control frame's payload. */
const CONTROL_BYTES_MAX = 125;
const HEAD_BYTES_MAX = 14;
const MASK_BYTES = 4;

const CloseProtocolError = 1002;
const CloseNoCode = 1005;
export const CloseAbnormal = 1006;
export const CloseTooBig = 1009;

/** How long a connection that we closed may linger. */
const CLOSE_TIMEOUT_MS = 1000;
/** Small messages share one; a quarter of it, POOLED_BYTES_MIN, is not small. */
const SLAB_BYTES = 64 * 1024;
/** A longer message gets its memory as it comes: nobody has us hold what was only announced. */
const GROW_BYTES = 1 << 20;
/** What is sent is laid down in memory of this size, or more, which is used again once the kernel took it all. */
const OUT_BYTES = 128 * 1024;
/** More than this is not kept for it. */
const OUT_BYTES_KEPT_MAX = 4 << 20;

export interface WsStreamEvents {
  /** A whole message, whose bytes are handed over. */
  onMessage(bytes: Uint8Array): void;
  /** The peer broke the protocol, or sent more than it may; the connection is being closed. */
  onBroken(code: number): void;
  /** It is gone. 1006: without a closing handshake; 1005: with one that gave no code. */
  onClose(code: number, reason: string): void;
}

/** Memory for small messages that came in: those of a slab keep it alive. One for all connections of a thread. */
let slab: Uint8Array = new Uint8Array(0);
let slabUsed = 0;

/** A plain Uint8Array: a Buffer would make the codec polymorphic. */
function bytesFor(size: number): Uint8Array {
  // hot
  if (size >= POOLED_BYTES_MIN) return takeBytes(size);
  if (slabUsed + size > slab.length) {
    slab = new Uint8Array(Buffer.allocUnsafeSlow(SLAB_BYTES).buffer);
    slabUsed = 0;
  }
  const bytes = new Uint8Array(slab.buffer, slabUsed, size);
  slabUsed += size;
  return bytes;
}

const NOTHING = Buffer.alloc(0);
/** What is being sent by any connection of the thread. */
let out = NOTHING;

export class WsStream {
  private readonly socket: Socket;
  private readonly encrypted: boolean;
  /** The side that dialled masks what it sends (RFC 6455, 5.1), and no other does. */
  private readonly dialled: boolean;
  private readonly payloadBytesMax: number;
  private readonly events: WsStreamEvents;
  /** Head of the frame that is coming in, as far as it is there. */
  private readonly head = new Uint8Array(HEAD_BYTES_MAX);
  private headBytes = 0;
  /** Its payload, and how much of that is there; -1: the head is not complete. */
  private frameBytes = -1;
  private frameRead = 0;
  private opcode = 0;
  private fin = false;
  /** The message being read: of one data frame, or of several. It has room for `message.length`, `messageRead` are there. */
  private message: Uint8Array = NO_DATA;
  private messageRead = 0;
  /** Frames of it came, and more will. */
  private fragmented = false;
  /** Of a control frame, which may stand between those of a message. */
  private readonly control = new Uint8Array(CONTROL_BYTES_MAX);
  private closeSent = false;
  private closeCode = CloseAbnormal;
  private closeReason = "";
  private closeReceived = false;
  /** Nothing more is read. */
  private deaf = false;
  private closer: NodeJS.Timeout | null = null;
  private gone = false;

  /** The owner hands what it reads to `feed`. From here on errors and end of `socket` are ours. */
  constructor(socket: Socket, dialled: boolean, payloadBytesMax: number, events: WsStreamEvents) {
    this.socket = socket;
    this.encrypted = socket instanceof TLSSocket;
    this.dialled = dialled;
    this.payloadBytesMax = payloadBytesMax;
    this.events = events;
    // "close" follows.
    socket.on("error", () => {});
    socket.on("end", () => socket.end());
    socket.on("close", () => this.closed());
  }

  /** Bytes that came in, the upgrade's included. */
  get bytesRead(): number {
    return this.socket.bytesRead;
  }

  /** Bytes that the kernel has not taken yet. */
  get waitingBytes(): number {
    return this.socket.writableLength;
  }

  get isOpen(): boolean {
    return !this.closeSent && !this.gone && this.socket.writable;
  }

  /** Sends one message; its bytes are borrowed until this returns. Nothing, once closed. hot */
  send(bytes: Uint8Array): void {
    if (this.isOpen) this.write(OpBinary, bytes);
  }

  ping(): void {
    if (this.isOpen) this.write(OpPing, NO_DATA);
  }

  /** Closes with a code, or agrees to the peer's close. No message comes any more. */
  close(code: number, reason = ""): void {
    if (this.gone || this.closeSent) return;
    const text = new TextEncoder().encode(reason);
    assert(text.length <= CONTROL_BYTES_MAX - 2, "a reason that no close frame holds");
    const payload = new Uint8Array(code === CloseNoCode ? 0 : 2 + text.length);
    if (payload.length > 0) {
      payload[0] = code >> 8;
      payload[1] = code & 255;
      payload.set(text, 2);
    }
    this.write(OpClose, payload);
    this.closeSent = true;
    this.closer = setTimeout(() => this.socket.destroy(), CLOSE_TIMEOUT_MS);
    if (this.closeReceived) this.socket.end();
  }

  /** Cuts the connection. */
  terminate(): void {
    this.deaf = true;
    this.socket.destroy();
  }

  /** bytes[start, end) came in; they are borrowed until this returns. hot */
  feed(bytes: Uint8Array, start: number, end: number): void {
    let pos = start;
    while (!this.deaf) {
      if (this.frameBytes === -1) {
        if (pos === end) return;
        pos = this.readHead(bytes, pos, end);
        // Not all of it is here, or it was refused.
        if (this.frameBytes === -1) return;
      }
      const count = Math.min(this.frameBytes - this.frameRead, end - pos);
      if (count > 0) this.take(bytes, pos, pos + count);
      pos += count;
      if (this.frameRead < this.frameBytes) return;
      this.frameBytes = -1;
      this.headBytes = 0;
      this.frameEnded();
    }
  }

  /** Where the payload begins. */
  private readHead(bytes: Uint8Array, start: number, end: number): number {
    // hot
    const { head } = this;
    let pos = start;
    for (;;) {
      const need = this.headBytes < 2 ? 2 : headLength(head[1]);
      if (this.headBytes === need) break;
      if (pos === end) return pos;
      head[this.headBytes++] = bytes[pos++];
    }
    const first = head[0];
    this.opcode = first & 15;
    this.fin = (first & FIN) !== 0;
    const size = payloadLength(head);
    const refused = this.refusal(first, head[1], size);
    if (refused !== 0) {
      this.broken(refused);
      return end;
    }
    this.frameRead = 0;
    this.frameBytes = size;
    if (this.opcode < OpClose) this.makeRoom(size);
    return pos;
  }

  /** Why a frame with this head is not taken; 0: it is. */
  private refusal(first: number, second: number, size: number): number {
    // hot
    const { opcode } = this;
    if ((first & RESERVED) !== 0) return CloseProtocolError;
    if (((second & MASKED) !== 0) === this.dialled) return CloseProtocolError;
    if (opcode >= OpClose) {
      if (opcode > OpPong || !this.fin || size > CONTROL_BYTES_MAX) return CloseProtocolError;
      return 0;
    }
    if (opcode > OpBinary || (opcode === OpContinuation) !== this.fragmented) return CloseProtocolError;
    return this.messageRead + size > this.payloadBytesMax ? CloseTooBig : 0;
  }

  /** For `size` more bytes of the message. */
  private makeRoom(size: number): void {
    // hot
    if (this.fragmented) {
      this.grow(this.messageRead + Math.min(size, GROW_BYTES));
      return;
    }
    this.messageRead = 0;
    this.message = bytesFor(Math.min(size, GROW_BYTES));
  }

  /** To `size` at least, and so that one that comes bit by bit is not copied for each. */
  private grow(size: number): void {
    const { message } = this;
    if (size <= message.length) return;
    // Of a message in one frame the length is known.
    const most = this.fragmented || !this.fin ? this.payloadBytesMax : this.frameBytes;
    this.message = takeBytes(Math.max(size, Math.min(message.length * 2, most)));
    this.message.set(message.subarray(0, this.messageRead));
  }

  /** Of the payload, what is here. */
  private take(bytes: Uint8Array, start: number, end: number): void {
    // hot
    const count = end - start;
    const isControl = this.opcode >= OpClose;
    if (!isControl && this.messageRead + count > this.message.length) this.grow(this.messageRead + count);
    const to = isControl ? this.control : this.message;
    const at = isControl ? this.frameRead : this.messageRead;
    to.set(start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end), at);
    if (!this.dialled) this.unmask(to, at, count);
    this.frameRead += count;
    if (!isControl) this.messageRead += count;
  }

  /** Bytes of the frame from `frameRead` on. */
  private unmask(bytes: Uint8Array, at: number, count: number): void {
    const { head, frameRead } = this;
    const mask = headLength(head[1]) - MASK_BYTES;
    for (let i = 0; i < count; i++) bytes[at + i] ^= head[mask + ((frameRead + i) & 3)];
  }

  private frameEnded(): void {
    // hot
    if (this.opcode >= OpClose) {
      this.controlEnded();
      return;
    }
    this.fragmented = !this.fin;
    if (!this.fin) return;
    const { message, messageRead } = this;
    this.message = NO_DATA;
    this.messageRead = 0;
    if (this.closeSent) return;
    this.events.onMessage(message.length === messageRead ? message : message.subarray(0, messageRead));
  }

  private controlEnded(): void {
    const payload = this.control.subarray(0, this.frameRead);
    if (this.opcode !== OpClose) {
      if (this.opcode === OpPing && this.isOpen) this.write(OpPong, payload.slice());
      return;
    }
    const code = payload.length === 0 ? CloseNoCode : (payload[0] << 8) | payload[1];
    if (payload.length === 1 || !isCloseCode(code)) {
      this.broken(CloseProtocolError);
      return;
    }
    this.deaf = true;
    this.closeReceived = true;
    this.closeCode = code;
    this.closeReason = Buffer.from(payload.subarray(2)).toString();
    if (this.closeSent) this.socket.end();
    else this.close(code);
  }

  private broken(code: number): void {
    this.deaf = true;
    this.close(code);
    this.events.onBroken(code);
  }

  private closed(): void {
    if (this.gone) return;
    this.gone = true;
    this.deaf = true;
    if (this.closer !== null) clearTimeout(this.closer);
    this.events.onClose(this.closeCode, this.closeReason);
  }

  /** One frame, in one write. */
  private write(opcode: number, payload: Uint8Array): void {
    // hot
    const size = payload.length;
    const maskBytes = this.dialled ? MASK_BYTES : 0;
    const most = HEAD_BYTES_MAX + size;
    if (!this.encrypted && most > out.length) out = Buffer.allocUnsafeSlow(Math.max(most, OUT_BYTES));
    // A TLS socket may still have what it was given when all that was before has gone out.
    const bytes = this.encrypted ? Buffer.allocUnsafe(most) : out;
    bytes[0] = FIN | opcode;
    let at = 2;
    if (size < 126) bytes[1] = size;
    else if (size < 65536) {
      bytes[1] = 126;
      at = putBigEndian(bytes, 2, 2, size);
    } else {
      bytes[1] = 127;
      at = putBigEndian(bytes, 2, 8, size);
    }
    if (maskBytes > 0) {
      bytes[1] |= MASKED;
      randomFillSync(bytes, at, MASK_BYTES);
    }
    const body = at + maskBytes;
    bytes.set(payload, body);
    if (maskBytes > 0) for (let i = 0; i < size; i++) bytes[body + i] ^= bytes[at + (i & 3)];
    const { socket } = this;
    socket.write(bytes.subarray(0, body + size));
    // What the kernel did not take at once is the socket's.
    if (this.encrypted) return;
    if (socket.writableLength > 0 || bytes.length > OUT_BYTES_KEPT_MAX) out = NOTHING;
  }
}

/** Of a head whose second byte is this. */
function headLength(second: number): number {
  const short = second & 127;
  return 2 + (short === 127 ? 8 : short === 126 ? 2 : 0) + ((second & MASKED) !== 0 ? MASK_BYTES : 0);
}

function payloadLength(head: Uint8Array): number {
  const short = head[1] & 127;
  if (short < 126) return short;
  const end = short === 126 ? 4 : 10;
  let length = 0;
  for (let i = 2; i < end; i++) length = length * 256 + head[i];
  return length;
}

function putBigEndian(bytes: Uint8Array, at: number, count: number, value: number): number {
  let rest = value;
  for (let i = at + count - 1; i >= at; i--) {
    bytes[i] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  return at + count;
}

/** Whether a close frame may carry it (RFC 6455, 7.4), or there was none in it. */
function isCloseCode(code: number): boolean {
  if (code >= 1000 && code <= 1014) return code !== 1004 && code !== CloseAbnormal;
  return code >= 3000 && code <= 4999;
}
