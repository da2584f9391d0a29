// add-nodes COUNT [voters=(..)] [learners=(..)] [index=N] [content=TEXT] [any setting of SETTINGS]
import { type Config, ReadOnlyLeaseBased, ReadOnlySafe } from "../../../src/raft/config.js";
import { MemoryStorage } from "../../../src/raft/memory-storage.js";
import { EMPTY_SNAPSHOT, type Snapshot } from "../../../src/raft/raftpb/index.js";
import { RawNode } from "../../../src/raft/raw-node.js";
import { booleanOf, integerOf, integersOf, keyed, parseInteger, single } from "../../conformance/args.js";
import { type Arg, type Directive, MalformedError } from "../../conformance/datadriven.js";
import type { CommandError, InteractionEnv } from "../env.js";
import { withHistory } from "../storage.js";

type Setting = Omit<Config, "id" | "storage" | "random" | "logger">;

const DEFAULTS: Setting = {
  electionTick: 3,
  heartbeatTick: 1,
  maxSizePerMsg: Infinity,
  maxInflightMsgs: 2 ** 31 - 1,
};

/** The arguments that are settings of the node, and what they set. */
const SETTINGS: ReadonlyMap<string, (arg: Arg) => Partial<Setting>> = new Map<
  string,
  (arg: Arg) => Partial<Setting>
>([
  ["inflight", (arg) => ({ maxInflightMsgs: integerOf(arg) })],
  ["async-storage-writes", (arg) => ({ asyncStorageWrites: booleanOf(arg) })],
  ["prevote", (arg) => ({ preVote: booleanOf(arg) })],
  ["checkquorum", (arg) => ({ checkQuorum: booleanOf(arg) })],
  ["max-committed-size-per-ready", (arg) => ({ maxCommittedSizePerReady: integerOf(arg) })],
  ["disable-conf-change-validation", (arg) => ({ disableConfChangeValidation: booleanOf(arg) })],
  ["step-down-on-removal", (arg) => ({ stepDownOnRemoval: booleanOf(arg) })],
  // Ours: etcd's harness can't set these.
  ["max-size-per-msg", (arg) => ({ maxSizePerMsg: integerOf(arg) })],
  ["max-inflight-bytes", (arg) => ({ maxInflightBytes: integerOf(arg) })],
  ["max-uncommitted-size", (arg) => ({ maxUncommittedEntriesSize: integerOf(arg) })],
  ["disable-proposal-forwarding", (arg) => ({ disableProposalForwarding: booleanOf(arg) })],
]);

const OTHERS = ["voters", "learners", "index", "content", "read-only"];

export function addNodes(env: InteractionEnv, directive: Directive): CommandError {
  const first = directive.args[0];
  if (first === undefined || first.vals.length > 0) throw new MalformedError("add-nodes needs a count first");
  const count = parseInteger(first.key);
  let voters: number[] = [];
  let learners: number[] = [];
  let index = 0;
  let data = EMPTY_SNAPSHOT.data;
  let setting = DEFAULTS;
  for (const arg of keyed(directive, [...OTHERS, ...SETTINGS.keys()])) {
    if (arg.key === "voters") voters = integersOf(arg);
    else if (arg.key === "learners") learners = integersOf(arg);
    else if (arg.key === "content") data = new TextEncoder().encode(single(arg));
    else if (arg.key === "read-only") {
      const readOnlyOption = ["safe", "lease-based"].indexOf(single(arg));
      if (readOnlyOption < 0) return `invalid read-only option "${single(arg)}"`;
      setting = { ...setting, readOnlyOption: readOnlyOption === 1 ? ReadOnlyLeaseBased : ReadOnlySafe };
    } else if (arg.key === "index") {
      index = integerOf(arg);
      setting = { ...setting, applied: index };
    } else {
      setting = { ...setting, ...SETTINGS.get(arg.key)!(arg) };
    }
  }
  const bootstrap = voters.length > 0 || learners.length > 0 || index !== 0 || data.length > 0;
  if (bootstrap && index <= 1) return "index must be specified as > 1 due to bootstrap";
  const confState = { ...EMPTY_SNAPSHOT.metadata.confState, voters, learners };
  const snapshot: Snapshot = { data, metadata: { confState, index, term: bootstrap ? 1 : 0 } };
  for (let i = 0; i < count; i++) {
    const error = addNode(env, setting, bootstrap ? snapshot : EMPTY_SNAPSHOT);
    if (error !== null) return error;
  }
  return null;
}

function addNode(env: InteractionEnv, setting: Setting, snapshot: Snapshot): CommandError {
  const id = env.nodes.length + 1;
  const storage = new MemoryStorage();
  const history = [snapshot];
  if (snapshot !== EMPTY_SNAPSHOT) {
    const refused = storage.applySnapshot(snapshot);
    if (refused !== null) return refused.message;
  }
  const rawNode = new RawNode({
    ...setting,
    id,
    storage: withHistory(storage, history),
    beyondEtcd: false,
    // No expected output depends on a draw: a trace that needs a timeout sets it.
    random: (bound) => id % bound,
    logger: env.output,
  });
  const asyncStorageWrites = setting.asyncStorageWrites ?? false;
  env.nodes.push({ id, rawNode, storage, asyncStorageWrites, history, appendWork: [], applyWork: [] });
  return null;
}
