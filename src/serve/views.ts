// The answers of /status and /cluster as far as the page reads them: for the service that gives them and for the
// browser, which is compiled without the engine.
import type { RequestCounts } from "./load.js";

export type RequestKind = "read" | "write";

/** Of the answer of /status. What the engine's NodeStatus has is explained there. */
export interface MemberStatus {
  readonly id: number;
  readonly term: number;
  readonly commit: number;
  readonly applied: number;
  readonly lastIndex: number;
  readonly state: string;
  readonly leader: number;
  readonly log: { readonly firstIndex: number; readonly bytes: number };
  readonly snapshot: { readonly index: number } | null;
  readonly receivingSnapshot: { readonly bytes: number; readonly fileBytes: number } | null;
  readonly progress: readonly {
    readonly id: number;
    readonly state: string;
    readonly match: number;
    readonly next: number;
    readonly inflightMsgs: number;
  }[];
  /** Where clients reach it. */
  readonly http: string;
  /** Since the node was opened. */
  readonly uptimeMs: number;
  /** The replicated keys as they are here; `sha256` where it was asked for: members with the same `index` have the same. */
  readonly kv: {
    readonly index: number;
    readonly keys: number;
    readonly bytes: number;
    readonly sha256?: string;
  };
  /** Requests since the node was opened. */
  readonly requests: Readonly<Record<RequestKind, RequestCounts>>;
}

/** One member, as the asked node sees it. */
export interface MemberView {
  readonly id: number;
  readonly raft: string;
  /** Empty: not known. */
  readonly http: string;
  /** voter, learner, or leaving: it has a vote until the change is through. */
  readonly role: string;
  /** Null: it did not answer. */
  readonly status: MemberStatus | null;
  readonly error: string | null;
}

/** The answer of /cluster. */
export interface ClusterView {
  /** Who answers. */
  readonly self: number;
  /** By ascending id. */
  readonly members: readonly MemberView[];
}
