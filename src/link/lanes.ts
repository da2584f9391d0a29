// Which of a peer's two connections carries a message. Entries go over one, in order; what Raft waits for with a timer
// (heartbeats, votes, confirmations, acknowledgements) has one of its own, on which nothing large is ever in front of
// it. Between the two there is no order, and Raft asks for none: a heartbeat commits only what its receiver has
// acknowledged. (etcd's streams are cut at the same place.) What a leader says of a forwarded proposal goes both ways: over
// bulk it is in front of the entries that it is about, over express in front of all others. Pure.
import { type Message, MsgApp, MsgForgetLeader, MsgProp, MsgSnap } from "../raft/raftpb/index.js";

export const LaneBulk = 0;
export const LaneExpress = 1;
/** No lane of Raft's messages: a connection that a snapshot is fetched through (snapshot-lane.ts). */
export const LaneSnapshot = 2;
export type Lane = 0 | 1 | 2;

/** By type of message. Appends without entries too are bulk: overtaking those with entries, they would be rejected. */
const LANES: readonly (0 | 1)[] = Array.from({ length: MsgForgetLeader + 1 }, (_, type) =>
  type === MsgApp || type === MsgProp || type === MsgSnap ? LaneBulk : LaneExpress,
);

// hot
export function laneOf(type: number): 0 | 1 {
  return LANES[type]!;
}

/** A message of bulk that is sent over express as well. Who gets it twice hears it once (Forwards.answered). */
// hot
export function isForExpressToo({ type, entries }: Message): boolean {
  return type === MsgProp && entries.length === 0;
}
