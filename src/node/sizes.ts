// The sizes that hang together, as one set: what a message may hold, what a frame, what may be on its way to a peer,
// and what the link holds for one. Each that is left out follows from those that are given; a set in which something
// could be made that cannot be carried is refused. Pure.
import { ENTRY_OVERHEAD_BYTES, MESSAGE_OVERHEAD_BYTES } from "../wire/index.js";
import { badOption } from "./option-errors.js";

const MiB = 1024 * 1024;

const DEFAULT_MAX_FRAME_BYTES = 64 * MiB;
const DEFAULT_MAX_PROPOSAL_BYTES = 8 * MiB;
const DEFAULT_MAX_SIZE_PER_MSG = MiB;
/** 80 MB/s over a path of 100 ms; more would be memory for a peer that is slow or away, and queueing before it. */
const DEFAULT_MAX_INFLIGHT_BYTES = 8 * MiB;
/** uWebSockets.js counts in 32 bits. */
export const LINK_BUFFER_BYTES_MAX = 2 ** 31 - 1;
/** What a frame has besides the data of its only entry. */
export const FRAME_ROOM_BYTES = 256;

/** Bytes. */
export interface Sizes {
  readonly maxFrameBytes: number;
  readonly maxProposalBytes: number;
  readonly maxSizePerMsg: number;
  readonly maxInflightBytes: number;
  readonly linkBufferBytes: number;
}

/** Fills in what is left out. Throws RAFT_BAD_OPTION naming both options, their values and the rule. */
export function resolveSizes(given: { readonly [name in keyof Sizes]?: number | undefined }): Sizes {
  const maxFrameBytes = given.maxFrameBytes ?? DEFAULT_MAX_FRAME_BYTES;
  const frameRoom = maxFrameBytes - FRAME_ROOM_BYTES;
  const maxProposalBytes = given.maxProposalBytes ?? Math.min(DEFAULT_MAX_PROPOSAL_BYTES, frameRoom);
  const maxSizePerMsg =
    given.maxSizePerMsg ?? Math.min(DEFAULT_MAX_SIZE_PER_MSG, frameRoom, given.maxInflightBytes ?? Infinity);
  for (const [name, value] of Object.entries({ maxProposalBytes, maxSizePerMsg })) {
    if (value <= frameRoom) continue;
    const rule = `at most maxFrameBytes less ${FRAME_ROOM_BYTES} (${maxFrameBytes} - ${FRAME_ROOM_BYTES})`;
    throw badOption(name, `must be ${rule}, for a frame to carry it, not ${value}`);
  }
  // A window is full when a message has crossed its limit.
  const crossing = overheads(Math.max(maxSizePerMsg, maxProposalBytes));
  const buffered = (given.linkBufferBytes ?? Infinity) - crossing;
  const window = Math.max(DEFAULT_MAX_INFLIGHT_BYTES, maxSizePerMsg);
  const maxInflightBytes = given.maxInflightBytes ?? Math.max(maxSizePerMsg, Math.min(window, buffered));
  if (maxInflightBytes < maxSizePerMsg) {
    throw badOption(
      "maxInflightBytes",
      `must be at least maxSizePerMsg (${maxSizePerMsg}), not ${maxInflightBytes}`,
    );
  }
  const needed = maxInflightBytes + crossing;
  // Twice: what an earlier leadership left may still wait when the window begins anew.
  const linkBufferBytes = given.linkBufferBytes ?? Math.min(2 * needed, LINK_BUFFER_BYTES_MAX);
  if (linkBufferBytes >= needed)
    return { maxFrameBytes, maxProposalBytes, maxSizePerMsg, maxInflightBytes, linkBufferBytes };
  const sum = `maxInflightBytes (${maxInflightBytes}) and one message (maxSizePerMsg ${maxSizePerMsg}, maxProposalBytes ${maxProposalBytes})`;
  if (given.linkBufferBytes !== undefined) {
    throw badOption("linkBufferBytes", `must hold ${sum}, together ${needed}, not ${linkBufferBytes}`);
  }
  throw badOption(
    "maxInflightBytes",
    `${sum}, together ${needed}, must fit linkBufferBytes, at most ${LINK_BUFFER_BYTES_MAX}`,
  );
}

/** What a message of one entry of `bytes` counts in the window. */
function overheads(bytes: number): number {
  return bytes + ENTRY_OVERHEAD_BYTES + MESSAGE_OVERHEAD_BYTES;
}
