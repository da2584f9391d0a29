// A node's figures for Prometheus. Nothing is imported of prom-client, an optional peer: its registry is taken as it is, and
// asks for the values when it is scraped. Nothing is counted for it besides. One set of metrics a registry serves all nodes
// that are in it. Main thread.
import { RaftmarkError } from "../base/errors.js";
import type {
  DurationHistogram,
  MemberProgress,
  NodeMetrics,
  NodeStatus,
  PeerMetrics,
  SnapshotSending,
} from "./api.js";
import { shown } from "./option-errors.js";

interface Value {
  readonly value: number;
  readonly labels: Record<string, string | number>;
  /** Of a line of a histogram, which has another name. */
  readonly metricName?: string;
}

/** What a registry keeps, as prom-client has it: get() is asked at each scrape. */
interface PromMetric {
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly aggregator: "sum";
  get(): Promise<PromMetric & { readonly values: readonly Value[] }>;
  reset(): void;
}

/** What is wanted of prom-client's Registry. */
export interface PromRegistry {
  // biome-ignore lint/suspicious/noExplicitAny: prom-client's parameter is its own class, which ours looks like.
  registerMetric(metric: any): void;
  /** Undefined: it has no such metric, as after its clear(). */
  getSingleMetric?(name: string): unknown;
}

/** What is wanted of the node. */
interface Watched {
  status(): NodeStatus;
  readonly metrics: NodeMetrics;
}

/** What a node shows at one moment. */
interface Reading {
  readonly status: NodeStatus;
  readonly metrics: NodeMetrics;
}

type Counters = { [K in keyof NodeMetrics]: NodeMetrics[K] extends number ? K : never }[keyof NodeMetrics];

const COUNTERS: readonly [field: Counters, name: string, help: string][] = [
  ["proposals", "proposals_total", "Proposals that this node appended as leader."],
  [
    "proposalsForwarded",
    "proposals_forwarded_total",
    "Proposals that this node sent to a leader, which was another node.",
  ],
  ["turns", "turns_total", "Turns of the driver."],
  ["readies", "readies_total", "Readies of the core that were handled."],
  [
    "preVotesStarted",
    "pre_votes_started_total",
    "Rounds in which this node asked whether it could win an election.",
  ],
  ["electionsStarted", "elections_started_total", "Elections that this node began."],
  ["electionsWon", "elections_won_total", "Elections that this node won."],
  ["electionsLost", "elections_lost_total", "Elections of this node that another won, or nobody."],
  [
    "leaderChanges",
    "leader_changes_total",
    "How often a leader became known: another, or the same one again.",
  ],
  ["messagesSent", "messages_sent_total", "Messages of Raft sent."],
  ["messagesReceived", "messages_received_total", "Messages of Raft that came."],
  ["framesSent", "link_frames_sent_total", "Frames sent to peers."],
  ["bytesSent", "link_sent_bytes_total", "Bytes of frames sent to peers."],
  ["bytesReceived", "link_received_bytes_total", "Bytes of frames that came from peers."],
  ["framesDropped", "link_frames_dropped_total", "Frames dropped: no connection, or too much waited."],
  ["framesRefused", "link_frames_refused_total", "Frames of peers that were damaged or cannot be."],
  ["walSyncs", "wal_syncs_total", "Times that the log was made durable."],
  ["walWrites", "wal_writes_total", "Writes to the log: group commits."],
  ["walBytes", "wal_written_bytes_total", "Bytes written to the log."],
  ["walEntries", "wal_entries_total", "Entries written to the log."],
  ["snapshotsTaken", "snapshots_taken_total", "Snapshots taken of the state machine."],
  ["snapshotsFailed", "snapshots_failed_total", "Snapshots that could not be taken."],
  ["snapshotBytes", "snapshot_taken_bytes_total", "Bytes of the states of all snapshots that were taken."],
  ["snapshotsSent", "snapshots_sent_total", "Snapshots that members took of this node."],
  ["snapshotBytesSent", "snapshot_sent_bytes_total", "Bytes of snapshots sent to members."],
  ["snapshotsReceived", "snapshots_received_total", "Snapshots that came from leaders, whole and sound."],
  ["snapshotBytesReceived", "snapshot_received_bytes_total", "Bytes of snapshots that came from leaders."],
  ["snapshotsRefused", "snapshots_refused_total", "Snapshots of leaders that could not be taken."],
];

const is = (yes: boolean): number => (yes ? 1 : 0);

const GAUGES: readonly [name: string, help: string, of: (reading: Reading) => number][] = [
  ["term", "The current term.", ({ status }) => status.term],
  ["leader", "Id of the leader; 0: none is known.", ({ status }) => status.leader],
  ["is_leader", "1: this node leads.", ({ status }) => is(status.state === "StateLeader")],
  [
    "is_fenced",
    "1: this node fenced itself after a fault.",
    ({ status }) => is(status.state === "StateFenced"),
  ],
  ["commit_index", "The last index known to be committed.", ({ status }) => status.commit],
  ["applied_index", "The last index applied to the state machine.", ({ status }) => status.applied],
  ["last_index", "The last index of the log.", ({ status }) => status.lastIndex],
  [
    "apply_lag_entries",
    "Committed entries that are not applied yet.",
    ({ status }) => status.commit - status.applied,
  ],
  ["log_first_index", "The first index that the log still has.", ({ status }) => status.log.firstIndex],
  ["log_bytes", "Bytes of the log, about.", ({ status }) => status.log.bytes],
  [
    "wal_ring_bytes",
    "Bytes that wait in the ring for the log's writer.",
    ({ status }) => status.log.ringBytes,
  ],
  ["wal_ring_size_bytes", "Bytes that fit into that ring.", ({ status }) => status.log.ringBytesMax],
  [
    "wal_backlog_bytes",
    "Bytes of entries that wait because that ring is full.",
    ({ status }) => status.log.backlogBytes,
  ],
  [
    "wal_append_max_seconds",
    "Longest time from an append to the log until it was durable, since the node opened.",
    ({ status }) => status.disk.appendLatencyMaxMs / 1000,
  ],
  [
    "lost_logs",
    "Logs of members that are known to be lost, this node's own among them.",
    ({ status }) => status.lostLogs.length,
  ],
  ["disk_silent", "1: the disk of the log does not answer.", ({ status }) => is(status.disk.silent)],
  ["snapshot_index", "Index of the newest snapshot; 0: none.", ({ status }) => status.snapshot?.index ?? 0],
  ["snapshot_bytes", "Bytes of the state in that snapshot.", ({ status }) => status.snapshot?.bytes ?? 0],
  [
    "snapshot_is_taking",
    "1: a snapshot of the state machine is being taken.",
    ({ status }) => is(status.takingSnapshot !== null),
  ],
  ["snapshot_taking_bytes", "Bytes of its state so far.", ({ status }) => status.takingSnapshot?.bytes ?? 0],
  [
    "snapshot_receiving_bytes",
    "Bytes here of the snapshot that a leader sends; 0: none is on its way.",
    ({ status }) => status.receivingSnapshot?.bytes ?? 0,
  ],
  [
    "snapshot_receiving_file_bytes",
    "Bytes of that snapshot in all; 0: not known.",
    ({ status }) => Math.max(0, status.receivingSnapshot?.fileBytes ?? 0),
  ],
  [
    "event_loop_delay_mean_seconds",
    "How late the event loop came to what was due in the last half minute to minute, mean.",
    ({ metrics }) => metrics.eventLoopDelay.meanMs / 1000,
  ],
  [
    "event_loop_delay_p99_seconds",
    "The same, 99th percentile.",
    ({ metrics }) => metrics.eventLoopDelay.p99Ms / 1000,
  ],
  [
    "event_loop_delay_max_seconds",
    "The same, maximum.",
    ({ metrics }) => metrics.eventLoopDelay.maxMs / 1000,
  ],
];

const ALL_STATES: Record<NodeStatus["state"], true> = {
  StateFollower: true,
  StatePreCandidate: true,
  StateCandidate: true,
  StateLeader: true,
  StateFenced: true,
  StateRemoved: true,
  StateClosed: true,
};
const NODE_STATES = Object.keys(ALL_STATES);
const MEMBER_STATES: readonly MemberProgress["state"][] = ["StateProbe", "StateReplicate", "StateSnapshot"];

const MEMBERS: readonly [name: string, help: string, of: (member: MemberProgress) => number][] = [
  ["match_index", "On the leader: proven equal on the member up to here.", ({ match }) => match],
  ["next_index", "On the leader: the next index to be sent to the member.", ({ next }) => next],
  [
    "inflight_messages",
    "On the leader: appends under way to the member.",
    ({ inflightMsgs }) => inflightMsgs,
  ],
  ["inflight_bytes", "On the leader: bytes of those appends.", ({ inflightBytes }) => inflightBytes],
  [
    "is_active",
    "On the leader: 1 if the member was heard since the leader last counted its quorum.",
    ({ recentActive }) => is(recentActive),
  ],
  ["is_learner", "On the leader: 1 if the member does not vote.", ({ isLearner }) => is(isLearner)],
];

const PEERS: readonly [
  type: "counter" | "gauge",
  name: string,
  help: string,
  of: (peer: PeerMetrics) => number,
][] = [
  ["gauge", "is_connected", "1: the peer hears this node.", ({ connected }) => is(connected)],
  ["counter", "frames_sent_total", "Frames sent to the peer.", ({ framesSent }) => framesSent],
  ["counter", "sent_bytes_total", "Bytes of frames sent to the peer.", ({ bytesSent }) => bytesSent],
  [
    "counter",
    "frames_received_total",
    "Frames of the peer that came.",
    ({ framesReceived }) => framesReceived,
  ],
  [
    "counter",
    "received_bytes_total",
    "Bytes of frames of the peer that came.",
    ({ bytesReceived }) => bytesReceived,
  ],
  [
    "counter",
    "frames_dropped_total",
    "Frames to the peer that were dropped: no connection, or too much waited.",
    ({ framesDropped }) => framesDropped,
  ],
];

const SENDING: readonly [name: string, help: string, of: (sending: SnapshotSending) => number][] = [
  ["sending_bytes", "On the leader: bytes sent of the snapshot that the member gets.", ({ bytes }) => bytes],
  [
    "sending_file_bytes",
    "On the leader: bytes of that snapshot in all; 0: not known.",
    ({ fileBytes }) => Math.max(0, fileBytes),
  ],
];

/** By id: whose figures a registry has. */
type Nodes = Map<number, Watched>;

const registries = new WeakMap<PromRegistry, Nodes>();
/** How a node is taken out of each registry that it is in. */
const registrations = new WeakMap<Watched, (() => void)[]>();
const closed = new WeakSet<Watched>();

/**
 * Puts a node's figures into a registry as `raftmark_...`, with label `node`, and `member` for what is of one other member;
 * beside those of other nodes of the process, if it has some. They are read when they are scraped, all of one scrape at the
 * same moment. Returns what takes them out again, which closing the node does by itself. Throws RAFT_BAD_OPTION for what
 * is no registry or node, and for a second node of the same id (of another cluster: it needs a registry of its own), and
 * what the registry throws for a name that it has of others.
 */
export function registerMetrics(register: PromRegistry, node: Watched): () => void {
  check(typeof register?.registerMetric === "function", "register", "prom-client's Registry", register);
  check(typeof node?.status === "function", "node", "a RaftNode", node);
  const { id } = node.status();
  const nodes = nodesOf(register);
  const known = nodes.get(id);
  if (known !== undefined && known !== node) {
    const text = `registerMetrics: the registry has another node ${id} already, which is not closed: give this one its own`;
    throw new RaftmarkError("RAFT_BAD_OPTION", text);
  }
  const unregister = (): void => {
    if (nodes.get(id) === node) nodes.delete(id);
  };
  if (closed.has(node)) return unregister;
  nodes.set(id, node);
  registrations.set(node, [...(registrations.get(node) ?? []), unregister]);
  return unregister;
}

/** The node is closed: it has no figures any more. */
export function unregisterMetrics(node: Watched): void {
  closed.add(node);
  for (const unregister of registrations.get(node) ?? []) unregister();
}

function check(is: boolean, name: string, what: string, given: unknown): void {
  if (is) return;
  const text = `registerMetrics(register, node): ${name} must be ${what}, not ${shown(given)}`;
  throw new RaftmarkError("RAFT_BAD_OPTION", text);
}

/** Those whose figures the registry serves; it gets the metrics for them where it has none. */
function nodesOf(register: PromRegistry): Nodes {
  const known = registries.get(register);
  const isCleared = register.getSingleMetric !== undefined && !register.getSingleMetric("raftmark_term");
  if (known !== undefined && !isCleared) return known;
  const nodes: Nodes = new Map();
  addMetrics(register, nodes);
  registries.set(register, nodes);
  return nodes;
}

/** Adds one metric, named and described, with the values of each reading. */
type Add = (
  type: PromMetric["type"],
  name: string,
  help: string,
  values: (reading: Reading) => Value[],
) => void;

function adderTo(register: PromRegistry, nodes: Nodes): Add {
  const read = sharedReadings(nodes);
  return (type, name, help, values) => {
    const metric: PromMetric = {
      name: `raftmark_${name}`,
      help,
      type,
      aggregator: "sum",
      get: async () => {
        const labelled = read().flatMap((reading) => {
          const own = { node: String(reading.status.id) };
          return values(reading).map((each) => ({ ...each, labels: { ...own, ...each.labels } }));
        });
        return { ...metric, values: labelled };
      },
      // A node's figures are its own.
      reset: () => {},
    };
    register.registerMetric(metric);
  };
}

function addMetrics(register: PromRegistry, nodes: Nodes): void {
  const add = adderTo(register, nodes);
  for (const [field, name, help] of COUNTERS)
    add("counter", name, help, ({ metrics }) => [{ value: metrics[field], labels: {} }]);
  add("counter", "disk_stalls_total", "How often the disk of the log did not answer.", ({ status }) => [
    { value: status.disk.stalls, labels: {} },
  ]);
  for (const [name, help, of] of GAUGES)
    add("gauge", name, help, (reading) => [{ value: of(reading), labels: {} }]);
  add("gauge", "state", "1: this node is in that state.", ({ status }) =>
    NODE_STATES.map((state) => ({ value: is(status.state === state), labels: { state } })),
  );
  const syncs =
    "How long it took to make a batch durable: the write, and the sync behind it where there is one.";
  add("histogram", "wal_sync_duration_seconds", syncs, ({ metrics }) =>
    linesOf("raftmark_wal_sync_duration_seconds", metrics.walSyncSeconds),
  );
  for (const [name, help, of] of MEMBERS)
    add("gauge", `member_${name}`, help, ({ status }) =>
      status.progress.map((member) => ({ value: of(member), labels: { member: member.id } })),
    );
  add("gauge", "member_state", "On the leader: 1 for what the member's Progress is in.", ({ status }) =>
    status.progress.flatMap(({ id, state: now }) =>
      MEMBER_STATES.map((state) => ({ value: is(state === now), labels: { member: id, state } })),
    ),
  );
  for (const [type, name, help, of] of PEERS)
    add(type, `peer_${name}`, help, ({ metrics }) =>
      metrics.peers.map((peer) => ({ value: of(peer), labels: { member: peer.id } })),
    );
  for (const [name, help, of] of SENDING)
    add("gauge", `snapshot_${name}`, help, ({ status }) =>
      status.sendingSnapshots.map((sending) => ({ value: of(sending), labels: { member: sending.to } })),
    );
}

/** A registry asks for all its metrics at once: they get the same readings, one a node. */
function sharedReadings(nodes: Nodes): () => readonly Reading[] {
  let readings: Reading[] | null = null;
  return () => {
    if (readings !== null) return readings;
    readings = [...nodes.values()].map((node) => ({ status: node.status(), metrics: node.metrics }));
    queueMicrotask(() => {
      readings = null;
    });
    return readings;
  };
}

/** Cumulative buckets, sum and count, as Prometheus has them. */
function linesOf(name: string, { bounds, counts, sum }: DurationHistogram): Value[] {
  let below = 0;
  const lines: Value[] = counts.map((count, i) => {
    below += count;
    return { value: below, labels: { le: bounds[i] ?? "+Inf" }, metricName: `${name}_bucket` };
  });
  lines.push({ value: sum, labels: {}, metricName: `${name}_sum` });
  lines.push({ value: below, labels: {}, metricName: `${name}_count` });
  return lines;
}
