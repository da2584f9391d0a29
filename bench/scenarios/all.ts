// Every scenario there is, in the order of --list.
import type { Scenario } from "../harness/scenario.js";
import { batching } from "./batching.js";
import { canonical } from "./canonical.js";
import { catchUp } from "./catch-up.js";
import { clusterSize } from "./cluster-size.js";
import { durability } from "./durability.js";
import { entrySize } from "./entry-size.js";
import { frameTags } from "./frame-tags.js";
import { inFlight } from "./in-flight.js";
import { largeIndex } from "./large-index.js";
import { leaderLoss } from "./leader-loss.js";
import { link } from "./link.js";
import { memberChange } from "./member-change.js";
import { mixedReads } from "./mixed-reads.js";
import { offeredLoad } from "./offered-load.js";
import { pausedFollower } from "./paused-follower.js";
import { pipelining } from "./pipelining.js";
import { remoteClient } from "./remote-client.js";
import { restart } from "./restart.js";
import { slowFollower } from "./slow-follower.js";
import { snapshotUnderLoad } from "./snapshot-under-load.js";
import { storageWrites } from "./storage-writes.js";
import { writer } from "./writer.js";

export const SCENARIOS: readonly Scenario[] = [
  canonical,
  entrySize,
  inFlight,
  writer,
  durability,
  batching,
  pipelining,
  storageWrites,
  frameTags,
  link,
  clusterSize,
  slowFollower,
  pausedFollower,
  leaderLoss,
  restart,
  catchUp,
  snapshotUnderLoad,
  memberChange,
  largeIndex,
  mixedReads,
  offeredLoad,
  remoteClient,
];
