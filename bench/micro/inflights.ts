// What does the in-flight window cost per MsgApp, when it is narrow and when it is wide?
import { Inflights } from "../../src/raft/tracker/index.js";
import { consume, type MicroCase } from "./suite.js";

const OPS = 1024;

export function inflightsCases(): MicroCase[] {
  return [1, 16, 256].map((width) => addAndFree(width));
}

/** Keeps `width` messages on the way: each call adds OPS and frees OPS, in bursts of `width`. */
function addAndFree(width: number): MicroCase {
  const inflights = new Inflights(width, Infinity);
  let index = 0;
  return {
    name: `inflights add and free, ${width} on the way`,
    ops: OPS,
    run() {
      for (let done = 0; done < OPS; done += width) {
        for (let i = 0; i < width; i++) inflights.add(++index, 100);
        inflights.freeLE(index - 1);
        inflights.freeLE(index);
      }
      consume(inflights.count());
    },
  };
}
