// A node's figures for Prometheus. Nothing is imported of prom-client, an optional peer: its registry is taken as it is, and
// asks for the values when it is scraped. Nothing is counted for it besides. Main thread.
import type { NodeMetrics, NodeStatus } from "./api.js";

interface Value {
  readonly value: number;
  readonly labels: Record<string, string>;
}

/** What a registry keeps, as prom-client has it: get() is asked at each scrape. */
interface PromMetric {
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge";
  readonly aggregator: "sum";
  get(): Promise<PromMetric & { readonly values: readonly Value[] }>;
  reset(): void;
}

/** What is wanted of prom-client's Registry. */
export interface PromRegistry {
  // biome-ignore lint/suspicious/noExplicitAny: prom-client's parameter is its own class, which ours looks like.
  registerMetric(metric: any): void;
}

/** What is wanted of the node. */
interface Watched {
  status(): NodeStatus;
  readonly metrics: NodeMetrics;
}

const COUNTERS: readonly [field: keyof NodeMetrics, name: string, help: string][] = [
  ["proposals", "proposals_total", "Proposals that this node appended as leader."],
  ["framesSent", "link_frames_sent_total", "Frames sent to peers."],
  ["bytesSent", "link_sent_bytes_total", "Bytes of frames sent to peers."],
  ["bytesReceived", "link_received_bytes_total", "Bytes of frames that came from peers."],
  ["framesDropped", "link_frames_dropped_total", "Frames dropped: no connection, or too much waited."],
  ["framesRefused", "link_frames_refused_total", "Frames of peers that were damaged or cannot be."],
  ["messagesSent", "messages_sent_total", "Messages of Raft sent."],
  ["messagesReceived", "messages_received_total", "Messages of Raft that came."],
  ["walSyncs", "wal_syncs_total", "Times that the log was made durable."],
  ["walBytes", "wal_written_bytes_total", "Bytes written to the log."],
  ["walEntries", "wal_entries_total", "Entries written to the log."],
  ["snapshotsTaken", "snapshots_taken_total", "Snapshots taken of the state machine."],
  ["snapshotsFailed", "snapshots_failed_total", "Snapshots that could not be taken."],
  ["snapshotsSent", "snapshots_sent_total", "Snapshots that members took of this node."],
  ["snapshotBytesSent", "snapshot_sent_bytes_total", "Bytes of snapshots sent to members."],
  ["snapshotsReceived", "snapshots_received_total", "Snapshots that came from leaders, whole and sound."],
  ["snapshotBytesReceived", "snapshot_received_bytes_total", "Bytes of snapshots that came from leaders."],
];

const GAUGES: readonly [name: string, help: string, of: (status: NodeStatus) => number][] = [
  ["term", "The current term.", ({ term }) => term],
  ["leader", "Id of the leader; 0: none is known.", ({ leader }) => leader],
  ["is_leader", "1: this node leads.", ({ state }) => (state === "StateLeader" ? 1 : 0)],
  [
    "is_fenced",
    "1: this node fenced itself after a fault.",
    ({ state }) => (state === "StateFenced" ? 1 : 0),
  ],
  ["commit_index", "The last index known to be committed.", ({ commit }) => commit],
  ["applied_index", "The last index applied to the state machine.", ({ applied }) => applied],
  [
    "apply_lag_entries",
    "Committed entries that are not applied yet.",
    ({ commit, applied }) => commit - applied,
  ],
  ["disk_silent", "1: the disk of the log does not answer.", ({ disk }) => (disk.silent ? 1 : 0)],
  ["disk_stalls", "How often the disk of the log did not answer.", ({ disk }) => disk.stalls],
  ["append_latency_max_ms", "Longest append to the log so far.", ({ disk }) => disk.appendLatencyMaxMs],
];

const MEMBERS: readonly [
  name: string,
  help: string,
  of: (member: NodeStatus["progress"][number]) => number,
][] = [
  ["match_index", "On the leader: proven equal on the member up to here.", ({ match }) => match],
  ["next_index", "On the leader: the next index to be sent to the member.", ({ next }) => next],
  [
    "inflight_messages",
    "On the leader: appends under way to the member.",
    ({ inflightMsgs }) => inflightMsgs,
  ],
  [
    "is_replicating",
    "On the leader: 1 in StateReplicate, 0 in StateProbe and StateSnapshot.",
    ({ state }) => (state === "StateReplicate" ? 1 : 0),
  ],
];

/**
 * Registers a node's figures as `raftmark_...`, with label `node`, and `member` for what the leader knows of each. Once a
 * registry: a second node of the same process needs one of its own. Throws what the registry throws for a name it has.
 */
export function registerMetrics(register: PromRegistry, node: Watched): void {
  const labels = (): Record<string, string> => ({ node: String(node.status().id) });
  for (const [field, name, help] of COUNTERS)
    add(register, "counter", name, help, () => [{ value: Number(node.metrics[field]), labels: labels() }]);
  for (const [name, help, of] of GAUGES)
    add(register, "gauge", name, help, () => [{ value: of(node.status()), labels: labels() }]);
  for (const [name, help, of] of MEMBERS)
    add(register, "gauge", `member_${name}`, help, () => {
      const own = labels();
      return node.status().progress.map((member) => ({
        value: of(member),
        labels: { ...own, member: String(member.id) },
      }));
    });
}

function add(
  register: PromRegistry,
  type: PromMetric["type"],
  name: string,
  help: string,
  values: () => Value[],
): void {
  const metric: PromMetric = {
    name: `raftmark_${name}`,
    help,
    type,
    aggregator: "sum",
    get: async () => ({ ...metric, values: values() }),
    // The node's figures are its own.
    reset: () => {},
  };
  register.registerMetric(metric);
}
