// The byte strings that stand for "nothing". Pure, importable by all.

/**
 * Absent bytes (Go's nil slice): a field holding it is left out when encoded. Compared by identity; any other
 * array of length 0 is an empty but present value, which etcd's formats tell apart (WAL-FORMAT: an entry's
 * data that is empty and not nil is encoded as a field of length 0).
 */
export const NO_DATA: Uint8Array = new Uint8Array(0);
