// The byte strings that stand for "nothing", and how long any is. Pure, importable by all.

/**
 * Absent bytes (Go's nil slice): a field holding it is left out when encoded. Compared by identity; any other
 * array of length 0 is an empty but present value, which etcd's formats tell apart (WAL-FORMAT: an entry's
 * data that is empty and not nil is encoded as a field of length 0).
 */
export const NO_DATA: Uint8Array = new Uint8Array(0);

/**
 * How many bytes there are, whatever `length` a subclass or a property of the caller's gives itself: a copy by that one
 * would hold what lies behind them, or let the next be written over them.
 */
export const bytesIn: (bytes: Uint8Array) => number = lengthOf();

function lengthOf(): (bytes: Uint8Array) => number {
  const getter = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array.prototype), "length")!.get!;
  return (bytes) => getter.call(bytes);
}
