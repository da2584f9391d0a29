// Why a run lost its leader, as far as its nodes know: a disk that did not answer, a process that stood still, who leads
// instead. Asked only where a run is void for it. Runs in the harness.
import { type Cluster, ELECTION_TICKS } from "./cluster.js";
import type { ReplyOf } from "./protocol.js";

type Status = ReplyOf<"status">;
type Sample = ReplyOf<"sample">;

/** How the nodes stood at one time, by id. */
export type Standing = ReadonlyMap<number, Status>;

/** Of the nodes that answer. */
export async function standingOf(cluster: Cluster): Promise<Standing> {
  const ask = async (id: number): Promise<[number, Status][]> =>
    cluster.call(id, "status", {}).then(
      (status) => [[id, status]],
      () => [],
    );
  return new Map((await Promise.all(cluster.alive.map(ask))).flat());
}

/** What a node is asked, and what it said at the ends of the run's windows. */
export interface LostLead {
  readonly leader: number;
  readonly tickMs: number;
  readonly before: Standing;
  readonly after: Standing;
  readonly samples: ReadonlyMap<number, readonly Sample[]>;
}

/** In words; null: the same node leads in the same term, and nobody stood still for as long as an election takes to start. */
export function whyLost({ leader, tickMs, before, after, samples }: LostLead): string | null {
  const texts: string[] = [];
  const electionMs = ELECTION_TICKS * tickMs;
  for (const [id, status] of after) {
    const who = id === leader ? `node ${id}, which led,` : `node ${id}`;
    const stalls = (status.disk?.stalls ?? 0) - (before.get(id)?.disk?.stalls ?? 0);
    if (stalls > 0) texts.push(`the disk of ${who} did not answer for ${electionMs} ms (${times(stalls)})`);
    const stillMs = Math.max(0, ...(samples.get(id) ?? []).map(({ loopDelayMaxMs }) => loopDelayMaxMs));
    if (stillMs >= electionMs) texts.push(`the process of ${who} stood still for ${Math.round(stillMs)} ms`);
  }
  const now = [...after.values()].find(({ state }) => state === "StateLeader");
  const termBefore = Math.max(0, ...[...before.values()].map(({ term }) => term));
  const term = Math.max(0, ...[...after.values()].map(({ term }) => term));
  if (now !== undefined && now.id !== leader) texts.push(`node ${now.id} leads term ${now.term} now`);
  else if (now === undefined) texts.push("no node leads now");
  else if (term > termBefore) texts.push(`there was an election: it leads term ${term} now`);
  return texts.length === 0 ? null : texts.join("; ");
}

function times(count: number): string {
  return count === 1 ? "once" : `${count} times`;
}
