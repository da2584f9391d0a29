// An event whose leader lost the lead ends its run, not the bench: the run is void by what its load was refused.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type EventPlan, EventUnderLoad, type Measures } from "../../bench/harness/event-parts.js";
import { NodeRefusal } from "../../bench/harness/node-process.js";
import type { LoadResult } from "../../bench/harness/protocol.js";

class Refused extends EventUnderLoad<never> {
  private readonly code: string;

  constructor(code: string) {
    super({} as EventPlan);
    this.code = code;
  }

  protected override run(): Promise<never> {
    return Promise.reject(new NodeRefusal(this.code, "node 2 leads", false));
  }

  protected override tell(): Measures {
    return {};
  }
}

async function measuresOf(code: string, failed: Record<string, number>): Promise<Measures> {
  const event = new Refused(code);
  event.opened();
  return event.finish({ failed } as unknown as LoadResult);
}

test("a leader that lost the lead tells nothing of its event, if its load was refused, too", async () => {
  assert.deepEqual(await measuresOf("RAFT_NOT_LEADER", { RAFT_NOT_LEADER: 64 }), {});
  await assert.rejects(measuresOf("RAFT_NOT_LEADER", {}), { code: "RAFT_NOT_LEADER" });
  await assert.rejects(measuresOf("RAFT_FENCED", { RAFT_NOT_LEADER: 64 }), { code: "RAFT_FENCED" });
});
