// Names of peers, looked up. libuv has two threads for that, and a name whose servers do not answer holds one for ten
// seconds and more, whether or not anybody still waits. So there is one lookup of a name at a time, for all who dial
// meanwhile; and where it is late, or fails for now, what it gave before counts: whoever answers there proves who it
// is. Main thread.
import { lookup as lookUp } from "node:dns";
import type { LookupFunction } from "node:net";

/** What a name server that is well takes at most. */
const LATE_MS = 500;
/** No name server answered, or none could be asked: that says nothing of the name. */
const FAILS_FOR_NOW = "EAI_AGAIN";

type Callback = Parameters<LookupFunction>[2];
type Answer = Parameters<Callback>;

interface Name {
  /** What it gave last; null: nothing yet. */
  known: Answer | null;
  waiting: Callback[];
  isAsked: boolean;
  /** For longer than LATE_MS. */
  isLate: boolean;
}

export class Names {
  private readonly names = new Map<string, Name>();
  private readonly lookUp: LookupFunction;
  private readonly lateMs: number;

  /** Others than the system's, for tests. */
  constructor(look: LookupFunction = lookUp, lateMs = LATE_MS) {
    this.lookUp = look;
    this.lateMs = lateMs;
  }

  /** As dns.lookup: option `lookup` of a socket. */
  readonly lookup: LookupFunction = (hostname, options, callback) => {
    const key = JSON.stringify([hostname, options]);
    let name = this.names.get(key);
    if (name === undefined) {
      name = { known: null, waiting: [], isAsked: false, isLate: false };
      this.names.set(key, name);
    }
    name.waiting.push(callback);
    if (!name.isAsked) this.ask(name, hostname, options);
    else if (name.isLate) setImmediate(giveKnown, name);
  };

  private ask(name: Name, hostname: string, options: Parameters<LookupFunction>[1]): void {
    name.isAsked = true;
    const late = setTimeout(() => {
      name.isLate = true;
      giveKnown(name);
    }, this.lateMs);
    this.lookUp(hostname, options, (...answer) => {
      clearTimeout(late);
      name.isAsked = false;
      name.isLate = false;
      const [error] = answer;
      if (error === null) name.known = answer;
      const isKept = error?.code === FAILS_FOR_NOW && name.known !== null;
      give(name, isKept ? name.known! : answer);
    });
  }
}

/** To all who wait. If there is nothing, they wait on. */
function giveKnown(name: Name): void {
  if (name.known !== null) give(name, name.known);
}

function give(name: Name, answer: Answer): void {
  for (const callback of name.waiting.splice(0)) callback(...answer);
}

/** Of this process: all nodes in it share the threads, too. */
export const names = new Names();
