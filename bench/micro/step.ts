// What does the step machine cost per hot message, the share of a turn included: Ready, storing in memory,
// advance?
import { assert } from "../../src/base/assert.js";
import { MemoryStorage, RawNode, type Ready, StateLeader } from "../../src/raft/index.js";
import {
  EMPTY_SNAPSHOT,
  Entry,
  EntryNormal,
  Message,
  type MessageType,
  MsgApp,
  MsgAppResp,
  MsgHeartbeat,
  MsgVoteResp,
  type Snapshot,
} from "../../src/raft/raftpb/index.js";
import { consume, type MicroCase } from "./suite.js";

const OPS = 256;
const VOTERS = [1, 2, 3];
const PAYLOAD = new Uint8Array(64);
const START: Snapshot = {
  data: EMPTY_SNAPSHOT.data,
  metadata: { confState: { ...EMPTY_SNAPSHOT.metadata.confState, voters: VOTERS }, index: 2, term: 1 },
};

export function stepCases(): MicroCase[] {
  return [1, 32].flatMap((perTurn) => [
    replicateOnLeader(perTurn),
    appendOnFollower(perTurn),
    heartbeatOnFollower(perTurn),
  ]);
}

/** Node 1 of three, driven by hand: what it sends is thrown away, what it stores stays in memory. */
class Bench {
  readonly storage = new MemoryStorage();
  readonly node: RawNode;

  constructor() {
    assert(this.storage.applySnapshot(START) === null, "snapshot refused");
    this.node = new RawNode({
      id: 1,
      electionTick: 10,
      heartbeatTick: 1,
      storage: this.storage,
      applied: START.metadata.index,
      maxSizePerMsg: 1 << 20,
      maxInflightMsgs: 256,
      random: () => 0,
    });
  }

  /** One turn: takes what there is to do and does it. */
  turn(): Ready {
    const ready = this.node.ready();
    this.storage.append(ready.entries);
    this.node.advance();
    return ready;
  }

  step(type: MessageType, fill: (message: Message) => void): void {
    const message = new Message(type);
    message.from = 2;
    message.to = 1;
    message.term = this.node.basicStatus().hardState.term;
    fill(message);
    assert(this.node.step(message) === null, "message refused");
  }

  lead(): void {
    this.node.campaign();
    this.turn();
    this.step(MsgVoteResp, () => {});
    this.acknowledge(1);
    assert(this.node.basicStatus().softState.raftState === StateLeader, "not elected");
  }

  /** A turn that sends what there is, and the answer of one follower to it. */
  acknowledge(entries: number): void {
    this.turn();
    const last = this.storage.lastIndex();
    assert(last >= entries, "nothing to acknowledge");
    this.step(MsgAppResp, (message) => {
      message.index = last;
    });
    this.turn();
  }

  /** Keeps the log short, so that every call measures the same. */
  trim(): void {
    this.storage.compact(this.storage.lastIndex());
  }
}

function replicateOnLeader(perTurn: number): MicroCase {
  const bench = new Bench();
  bench.lead();
  return {
    name: `leader, propose to commit, ${perTurn} a turn`,
    ops: OPS,
    run() {
      for (let done = 0; done < OPS; done += perTurn) {
        for (let i = 0; i < perTurn; i++) bench.node.propose(PAYLOAD);
        bench.acknowledge(perTurn);
        // The other follower answers as well, one message behind.
        bench.step(MsgAppResp, (message) => {
          message.from = 3;
          message.index = bench.storage.lastIndex();
        });
      }
      bench.turn();
      bench.trim();
      consume(bench.storage.lastIndex());
    },
  };
}

function appendOnFollower(perTurn: number): MicroCase {
  const bench = new Bench();
  let last = START.metadata.index;
  return {
    name: `follower, MsgApp of one entry, ${perTurn} a turn`,
    ops: OPS,
    run() {
      for (let done = 0; done < OPS; done += perTurn) {
        for (let i = 0; i < perTurn; i++) {
          const message = new Message(MsgApp);
          message.from = 2;
          message.to = 1;
          message.term = 1;
          message.logTerm = 1;
          message.index = last;
          message.commit = last;
          message.entries = [new Entry(EntryNormal, 1, ++last, PAYLOAD)];
          bench.node.step(message);
        }
        bench.turn();
      }
      bench.storage.compact(last - 1);
      consume(bench.storage.lastIndex());
    },
  };
}

function heartbeatOnFollower(perTurn: number): MicroCase {
  const bench = new Bench();
  return {
    name: `follower, MsgHeartbeat, ${perTurn} a turn`,
    ops: OPS,
    run() {
      for (let done = 0; done < OPS; done += perTurn) {
        for (let i = 0; i < perTurn; i++) {
          const message = new Message(MsgHeartbeat);
          message.from = 2;
          message.to = 1;
          message.term = 1;
          message.commit = START.metadata.index;
          bench.node.step(message);
        }
        consume(bench.turn().messages.length);
      }
    },
  };
}
