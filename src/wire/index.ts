export { decodeMessage } from "./decode.js";
export {
  ByteWriter,
  ENTRY_OVERHEAD_BYTES,
  EntriesCache,
  encodeMessage,
  MESSAGE_OVERHEAD_BYTES,
  messageBytesMax,
} from "./encode.js";
export {
  FRAME_HEADER_BYTES,
  FRAME_OVERHEAD_BYTES,
  FRAME_TAG_BYTES,
  type FrameAdd,
  FrameAdded,
  FrameFull,
  FrameReader,
  type FrameReaderOptions,
  type FrameTagger,
  FrameTooLarge,
  FrameWriter,
  type FrameWriterOptions,
  getU32,
  getU64,
  putU32,
  putU64,
} from "./frame.js";
export { WireError, type WireRefusal } from "./wire-error.js";
