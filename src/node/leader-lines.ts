// What a node's lines say of who leads. Main thread.
import type { Teller } from "./teller.js";

/** Node `id` knew `before` as leader, and knows `leader` now, of `term` (0: nobody); its log was opened in `openedIn`. */
export function tellLeader(
  teller: Teller,
  id: number,
  { before, leader, term }: { readonly before: number; readonly leader: number; readonly term: number },
  openedIn: number,
): void {
  if (leader === id)
    teller.info({ leader, term }, `node ${id}, this one, leads term ${term}`, "leads", "lead");
  else if (leader !== 0)
    teller.info({ leader, term }, `node ${leader} leads term ${term}`, `leads ${leader}`, "lead");
  else if (before === id)
    teller.warn({ term }, "this node leads no more, and knows no other leader", "lost", "lead");
  else if (before !== 0)
    teller.warn({ term }, `node ${before} is not heard as leader any more`, "lost", "lead");
  // The term that the log was opened with began long ago.
  else if (term > openedIn) teller.info({ term }, `an election: term ${term} began`, "election", "lead");
}
