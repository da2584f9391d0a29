// What the step machine alone costs: a whole group of three RawNodes in one thread, memory storage, messages
// handed over in memory, a closed loop of proposals on the leader. The Go twin is goraft -mode step.
//   node --expose-gc dist/bench/micro/group.js [--in-flight 1,64,1024,4096] [--batch all,one] [--bytes 256]
//        [--seconds 3] [--async] [--payload fresh|pooled|shared]
import { GCProfiler } from "node:v8";
import { assert } from "../../src/base/assert.js";
import { NO_DATA } from "../../src/base/bytes.js";
import { Prng } from "../../src/base/prng.js";
import {
  type Entry,
  EntryConfChange,
  LocalAppendThread,
  LocalApplyThread,
  MemoryStorage,
  type Message,
  RaftError,
  RawNode,
  type Ready,
  StateLeader,
  unmarshalConfChange,
} from "../../src/raft/index.js";

const NODES = 3;
/** As goraft: bounded memory, far more than any follower is behind. */
const KEEP_MAX = 60000;
const KEEP = 20000;

interface Options {
  inFlight: number[];
  batches: ("all" | "one")[];
  bytes: number;
  seconds: number;
  async: boolean;
  payload: Payload;
}

/** Where a proposal's bytes come from: an array each, Buffer's pool, or the same array for all. */
type Payload = "fresh" | "pooled" | "shared";

class Member {
  readonly storage = new MemoryStorage();
  readonly raw: RawNode;
  inbox: Message[] = [];
  applied = 0;
  /** Normal entries with data applied so far. */
  committed = 0;
  messages = 0;
  private kept = 0;

  constructor(
    id: number,
    private readonly members: Member[],
    async: boolean,
  ) {
    const prng = new Prng(id);
    this.raw = new RawNode({
      id,
      electionTick: 20,
      heartbeatTick: 1,
      storage: this.storage,
      maxSizePerMsg: 1 << 20,
      maxInflightMsgs: 256,
      preVote: true,
      checkQuorum: true,
      asyncStorageWrites: async,
      random: (bound) => prng.below(bound),
    });
    const peers = Array.from({ length: NODES }, (_, i) => ({ id: i + 1, context: NO_DATA }));
    assert(this.raw.bootstrap(peers) === null, "bootstrap refused");
  }

  /** Steps what waits and handles one Ready; false if there was nothing. */
  turn(): boolean {
    const inbox = this.inbox;
    if (inbox.length > 0) {
      this.inbox = [];
      for (let i = 0; i < inbox.length; i++) {
        assert(this.raw.step(inbox[i]) === null, "a message was refused");
      }
    }
    if (!this.raw.hasReady()) return inbox.length > 0;
    const rd = this.raw.ready();
    if (this.raw.asyncStorageWrites) this.handleAsync(rd);
    else this.handle(rd);
    if (this.applied > this.kept + KEEP_MAX) {
      this.kept = this.applied - KEEP;
      this.storage.compact(this.kept);
    }
    return true;
  }

  private handle(rd: Ready): void {
    if (rd.hardState.term !== 0) this.storage.setHardState(rd.hardState);
    this.storage.append(rd.entries);
    this.send(rd.messages);
    this.apply(rd.committedEntries);
    this.raw.advance();
  }

  private handleAsync(rd: Ready): void {
    const messages = rd.messages;
    for (let i = 0; i < messages.length; i++) {
      const m = messages[i];
      if (m.to === LocalAppendThread) {
        if (m.term !== 0) this.storage.setHardState({ term: m.term, vote: m.vote, commit: m.commit });
        this.storage.append(m.entries);
        this.send(m.responses);
      } else if (m.to === LocalApplyThread) {
        this.apply(m.entries);
        this.send(m.responses);
      } else {
        this.deliver(m);
      }
    }
  }

  private send(messages: readonly Message[]): void {
    for (let i = 0; i < messages.length; i++) this.deliver(messages[i]);
  }

  private deliver(m: Message): void {
    if (m.to !== this.raw.id) this.messages++;
    this.members[m.to].inbox.push(m);
  }

  private apply(entries: readonly Entry[]): void {
    for (let i = 0; i < entries.length; i++) {
      const e = entries[i];
      this.applied = e.index;
      if (e.type === EntryConfChange) {
        const cc = unmarshalConfChange(e.data);
        assert(cc !== null, "bad conf change");
        assert(!(this.raw.applyConfChange(cc) instanceof RaftError), "conf change refused");
      } else if (e.data.length > 0) {
        this.committed++;
      }
    }
  }
}

/** Keeps `inFlight` proposals in flight on the leader. */
class Client {
  private proposed = 0;
  private readonly shared: Uint8Array;

  constructor(
    private readonly leader: Member,
    private readonly options: Options,
    private readonly inFlight: number,
    private readonly batch: "all" | "one",
  ) {
    this.shared = new Uint8Array(options.bytes);
  }

  fill(): void {
    const room = this.inFlight - (this.proposed - this.leader.committed);
    if (room <= 0) return;
    this.proposed += room;
    if (this.batch === "one") {
      for (let i = 0; i < room; i++) this.leader.raw.propose(this.payload());
      return;
    }
    const datas: Uint8Array[] = [];
    for (let i = 0; i < room; i++) datas.push(this.payload());
    this.leader.raw.proposeBatch(datas);
  }

  private payload(): Uint8Array {
    const { payload, bytes } = this.options;
    if (payload === "shared") return this.shared;
    return payload === "pooled" ? Buffer.allocUnsafe(bytes) : new Uint8Array(bytes);
  }
}

function run(options: Options, inFlight: number, batch: "all" | "one"): void {
  const members: Member[] = [];
  for (let id = 1; id <= NODES; id++) members[id] = new Member(id, members, options.async);
  const pump = (): boolean => {
    let any = false;
    for (let i = 1; i <= NODES; i++) any = members[i].turn() || any;
    return any;
  };
  while (pump()) {}
  const leader = members[1];
  leader.raw.campaign();
  while (pump()) {}
  assert(leader.raw.basicStatus().softState.raftState === StateLeader, "node 1 does not lead");
  const client = new Client(leader, options, inFlight, batch);
  const loop = (seconds: number): number => {
    const begin = performance.now();
    const end = begin + seconds * 1000;
    let now = begin;
    while (now < end) {
      for (let i = 0; i < 16; i++) {
        client.fill();
        pump();
      }
      now = performance.now();
    }
    return (now - begin) / 1000;
  };
  loop(Math.min(1, options.seconds / 2));
  const committed0 = leader.committed;
  const messages0 = countMessages(members);
  const profiler = new GCProfiler();
  const heap0 = process.memoryUsage().heapUsed;
  profiler.start();
  const seconds = loop(options.seconds);
  const profile = profiler.stop();
  const heap1 = process.memoryUsage().heapUsed;
  const committed = leader.committed - committed0;
  const result = {
    mode: options.async ? "async" : "sync",
    inFlight,
    batch,
    bytes: options.bytes,
    payload: options.payload,
    perSecond: Math.round(committed / seconds),
    usPerProposal: Number(((seconds * 1e6) / committed).toFixed(3)),
    messagesPerProposal: Number(((countMessages(members) - messages0) / committed).toFixed(3)),
    heapBytesPerProposal: Math.round(allocated(profile, heap0, heap1) / committed),
    gcMs: Math.round(profile.statistics.reduce((sum, s) => sum + s.cost, 0) / 1000),
  };
  console.log(JSON.stringify(result));
}

function countMessages(members: readonly Member[]): number {
  let sum = 0;
  for (let i = 1; i <= NODES; i++) sum += members[i].messages;
  return sum;
}

/** Heap bytes allocated: what the heap grew between collections. Payload bytes are off the heap. */
function allocated(profile: ReturnType<GCProfiler["stop"]>, heap0: number, heap1: number): number {
  let sum = 0;
  let after = heap0;
  for (const s of profile.statistics) {
    sum += Math.max(0, s.beforeGC.heapStatistics.usedHeapSize - after);
    after = s.afterGC.heapStatistics.usedHeapSize;
  }
  return sum + Math.max(0, heap1 - after);
}

function parse(args: string[]): Options {
  const value = (name: string, fallback: string): string => {
    const at = args.indexOf(`--${name}`);
    return at === -1 ? fallback : (args[at + 1] ?? fallback);
  };
  return {
    inFlight: value("in-flight", "1,64,1024,4096").split(",").map(Number),
    batches: value("batch", "all,one").split(",") as ("all" | "one")[],
    bytes: Number(value("bytes", "256")),
    seconds: Number(value("seconds", "3")),
    async: args.includes("--async"),
    payload: value("payload", "pooled") as Payload,
  };
}

const options = parse(process.argv.slice(2));
for (const batch of options.batches) {
  for (const inFlight of options.inFlight) run(options, inFlight, batch);
}
