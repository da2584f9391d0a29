// All kinds of conformance data this repository can run. A kind whose units are directories (ownsTree) has
// its own Kind object; see kind.ts.
import { newInteractionHandler } from "../interaction/env.js";
import { newConfchangeHandler } from "./confchange-handler.js";
import { dataDrivenKind, type Kind } from "./kind.js";
import { newQuorumHandler } from "./quorum-handler.js";
import { walKind } from "./wal-kind.js";

export const KINDS: readonly Kind[] = [
  dataDrivenKind("interaction", newInteractionHandler),
  dataDrivenKind("quorum", newQuorumHandler),
  dataDrivenKind("confchange", newConfchangeHandler),
  walKind,
];
