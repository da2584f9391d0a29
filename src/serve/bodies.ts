// The bodies of requests, read within a limit each, and within one together: as many clients as there are connections may
// each be slow with a value of the largest size.
import type { ServerResponse } from "node:http";
import { badRequest, holdsBody } from "./http.js";
import { HttpError } from "./http-error.js";

/** Room for a body at first. */
const FIRST_BYTES = 4096;
/** Of all that are under way. */
const BYTES_MAX = 64 << 20;

export class Bodies {
  /** Room that is left. */
  private left: number;

  /** `oneMax`: of the largest body that is taken; some of those have room in any case. */
  constructor(oneMax: number, bytesMax = Math.max(BYTES_MAX, 4 * oneMax)) {
    this.left = bytesMax;
  }

  /**
   * The whole body of what `response` answers; who waits to send it is told to. Throws 413 for one of more than
   * `bytesMax`, 503 if there is no room; the rest of it is let pass.
   */
  async read(response: ServerResponse, bytesMax: number): Promise<Uint8Array> {
    const request = response.req;
    const declared = Number(request.headers["content-length"] ?? 0);
    // Node.js lets pass what nobody reads of a request that is answered.
    if (declared > bytesMax) throw tooLong(bytesMax);
    if (holdsBody(request)) response.writeContinue();
    // One buffer that grows, not a list: a piece may be a byte, and its view a hundred.
    let body = new Uint8Array(0);
    let bytes = 0;
    // False: there is no room.
    const grow = (size: number): boolean => {
      const more = size - body.length;
      if (more > this.left) return false;
      this.left -= more;
      const larger = new Uint8Array(size);
      larger.set(body.subarray(0, bytes));
      body = larger;
      return true;
    };
    try {
      await new Promise<void>((resolve, reject) => {
        request.on("data", (piece: Uint8Array) => {
          const end = bytes + piece.length;
          const size = Math.min(bytesMax, Math.max(end, 2 * body.length, FIRST_BYTES));
          const error = end > bytesMax ? tooLong(bytesMax) : null;
          if (error !== null || (end > body.length && !grow(size))) {
            request.removeAllListeners("data");
            // Who still sends would not read the answer if the connection was closed now.
            request.resume();
            reject(error ?? noRoom());
            return;
          }
          body.set(piece, bytes);
          bytes = end;
        });
        request.once("end", resolve);
        // Nobody is there to hear of it.
        const cut = () => reject(badRequest("the connection was closed before the body was there"));
        request.once("error", cut).once("close", cut);
      });
      return body.subarray(0, bytes);
    } finally {
      this.left += body.length;
    }
  }
}

function tooLong(bytesMax: number): HttpError {
  return new HttpError(413, "KV_TOO_LARGE", `the body is longer than ${bytesMax} bytes`);
}

function noRoom(): HttpError {
  const text = "values that other clients are still sending fill the room for them: try again soon";
  return new HttpError(503, "KV_OVERLOADED", text);
}
