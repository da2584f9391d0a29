// What an expected refusal of the core is; src/raft/errors.ts has them.

/** A typed refusal. Compared by identity. `code` is stable and reaches users of the package. */
export class RaftError {
  readonly code: string;
  readonly message: string;

  constructor(code: string, message: string) {
    this.code = code;
    this.message = message;
  }
}
