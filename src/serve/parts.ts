// What the routes work on: one node with its state and configuration.
import type { RaftNode } from "../index.js";
import type { Bodies } from "./bodies.js";
import type { ServiceConfig } from "./config.js";
import type { Registry } from "./exposition.js";
import type { KvStore } from "./kv.js";
import type { RequestLoad } from "./load.js";

export interface Parts {
  readonly config: ServiceConfig;
  readonly node: RaftNode;
  readonly store: KvStore;
  readonly loads: { readonly read: RequestLoad; readonly write: RequestLoad };
  readonly bodies: Bodies;
  readonly registry: Registry;
  /** performance.now() of when the node was opened. */
  readonly since: number;
  /** Aborts when the service shuts down. */
  readonly closing: AbortSignal;
  /** Where clients reach a member: as the change that added it said, or else the configuration; null: not known. */
  httpOf(id: number): string | null;
}
