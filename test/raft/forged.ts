// Messages that no node means: drawn at random around what a node is doing, or under way and with fields changed; and the
// groups amid something that they come to.

import { NO_DATA } from "../../src/base/bytes.js";
import type { Prng } from "../../src/base/prng.js";
import {
  EMPTY_CONF_STATE,
  Entry,
  type EntryType,
  Message,
  type MessageType,
  MsgSnap,
  type RawNode,
} from "../../src/raft/index.js";
import { pick } from "../fuzz/bytes.js";
import { type ConfigOverrides, Network } from "./network.js";

const MAX = Number.MAX_SAFE_INTEGER;
const EDGES = [
  0,
  1,
  2,
  3,
  4,
  7,
  8,
  127,
  2 ** 31,
  2 ** 32,
  2 ** 48,
  MAX - 1,
  MAX,
  MAX + 1,
  -1,
  0.5,
  Number.NaN,
];
const CONFIGS: readonly ConfigOverrides[] = [
  {},
  { asyncStorageWrites: true, preVote: true, checkQuorum: true },
  { preVote: true, maxSizePerMsg: 30, maxInflightMsgs: 2 },
];

/** Everything a refused message could have changed. */
export function digest(raw: RawNode): object {
  const r = raw.raft;
  return {
    status: raw.basicStatus(),
    log: r.raftLog.toString(),
    config: r.trk.configString(),
    progress: r.trk.peers.map(String),
    votes: [...r.trk.votes],
    clocks: [r.electionElapsed, r.heartbeatElapsed],
    leadTransferee: r.leadTransferee,
    pendingConfIndex: r.pendingConfIndex,
    queued: [r.msgs.length, r.msgsAfterAppend.length, r.readStates.length, r.pendingReadIndexMessages.length],
  };
}

/** A group amid something: elections, lost messages, often in a joint configuration. */
export function group(seed: number, prng: Prng): Network {
  const config = CONFIGS[seed % CONFIGS.length];
  const network = new Network({ voters: [1, 2, 3], learners: [4], seed, config });
  network.elect(1 + prng.below(3));
  if (prng.below(2) === 0) {
    const changes = [
      { type: 1 as const, nodeId: 1 + prng.below(3) },
      { type: 0 as const, nodeId: 4 },
    ];
    network.leader()?.raw.proposeConfChange({ transition: 2, changes, context: NO_DATA });
  }
  for (let i = prng.below(400); i > 0; i--) network.chaos();
  return network;
}

function randomData(prng: Prng): Uint8Array {
  return prng.below(3) === 0 ? NO_DATA : Uint8Array.from({ length: prng.below(30) }, () => prng.below(256));
}

export function randomMessage(prng: Prng, raw: RawNode): Message {
  const { term, raftLog } = raw.raft;
  const near = (value: number): number =>
    prng.below(4) === 0 ? pick(prng, EDGES) : Math.max(0, value + prng.below(5) - 2);
  const last = raftLog.lastIndex();
  const m = new Message(prng.below(26) as MessageType);
  m.from = prng.below(8) === 0 ? pick(prng, EDGES) : 1 + prng.below(5);
  m.to = prng.below(8) === 0 ? pick(prng, EDGES) : raw.raft.id;
  m.term = near(term);
  m.index = near(last);
  m.logTerm = near(term - 1);
  m.commit = near(raftLog.committed);
  m.reject = prng.below(2) === 0;
  m.rejectHint = near(last);
  m.context = randomData(prng);
  if (prng.below(10) === 0) m.vote = pick(prng, EDGES);
  if (prng.below(2) === 0) {
    m.entries = Array.from(
      { length: prng.below(4) },
      (_, i) => new Entry(prng.below(4) as EntryType, near(term), m.index + 1 + i, randomData(prng)),
    );
  }
  if (m.type === MsgSnap || prng.below(10) === 0) {
    const ids = (): number[] => Array.from({ length: prng.below(4) }, () => near(2));
    const confState = { ...EMPTY_CONF_STATE, voters: ids(), votersOutgoing: ids(), learners: ids() };
    m.snapshot = { data: NO_DATA, metadata: { index: near(last + 2), term: near(term), confState } };
  }
  return m;
}

/** A message that is under way, with a field or two of it changed. */
export function mutated(prng: Prng, network: Network, raw: RawNode): Message {
  if (network.queue.length === 0) return randomMessage(prng, raw);
  const m = Object.assign(new Message(0), pick(prng, network.queue));
  const other: Message = randomMessage(prng, raw);
  m.to = raw.raft.id;
  for (let i = 1 + prng.below(2); i > 0; i--) {
    const field = pick(prng, Object.keys(m) as (keyof Message)[]);
    Object.assign(m, { [field]: other[field] });
  }
  return m;
}
