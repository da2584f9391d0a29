// A client whose leader goes away: it finds the next and asks again, so that a load goes on behind the loss.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Engine } from "../../bench/harness/engine.js";
import { FailoverEngine } from "../../bench/harness/failover-client.js";
import { NullEngine } from "../../bench/harness/null-engine.js";
import { RemoteServer } from "../../bench/harness/remote.js";
import { type Proposed, RaftmarkError } from "../../src/index.js";

/** Proposes as it is told; the rest is nothing. */
function nodeThat(propose: (bytes: Uint8Array) => Promise<Proposed>): Engine {
  const engine = new NullEngine();
  engine.propose = propose;
  return engine;
}

async function serve(engine: Engine): Promise<{ server: RemoteServer; url: string }> {
  const server = await RemoteServer.listen(engine, "token");
  return { server, url: `ws://127.0.0.1:${server.port}/token` };
}

test("what had no answer from a lost leader is asked of the next, past nodes that do not lead", async () => {
  const refused = { count: 0 };
  const seen: number[] = [];
  const leader = await serve(nodeThat(() => new Promise(() => {})));
  const follower = await serve(
    nodeThat(async () => {
      refused.count++;
      throw new RaftmarkError("RAFT_NOT_LEADER", "node 2 does not lead");
    }),
  );
  const next = await serve(
    nodeThat(async (bytes) => {
      seen.push(bytes[0]);
      return { index: seen.length, term: 2, result: undefined };
    }),
  );
  const client = await FailoverEngine.connect([leader.url, follower.url, next.url]);
  try {
    const asked = [1, 2, 3].map((first) => client.propose(Uint8Array.of(first)));
    setTimeout(() => leader.server.close(), 20);
    const answers = await Promise.all(asked);
    assert.deepEqual(
      answers.map(({ index, term }) => [index, term]),
      [
        [1, 2],
        [2, 2],
        [3, 2],
      ],
    );
    assert.deepEqual([...seen].sort(), [1, 2, 3]);
    assert.ok(refused.count > 0, "the follower was asked");
    assert.equal(client.failover.askedAgain, 3);
    assert.ok(client.failover.silentMs >= 10, `${client.failover.silentMs} ms without an answer`);
  } finally {
    await client.close();
    for (const { server } of [follower, next]) server.close();
  }
});

test("a refusal that another node would give too is handed on", async () => {
  const only = await serve(
    nodeThat(async () => {
      throw new RaftmarkError("RAFT_PROPOSAL_TOO_LARGE", "too large");
    }),
  );
  const client = await FailoverEngine.connect([only.url, only.url]);
  try {
    await assert.rejects(client.propose(Uint8Array.of(1)), { code: "RAFT_PROPOSAL_TOO_LARGE" });
    assert.deepEqual(client.failover, { askedAgain: 0, silentMs: 0 });
  } finally {
    await client.close();
    only.server.close();
  }
});

test("all that was under way is asked again and counted, whoever is refused first; and a silence counts before it ends", async () => {
  let held = 0;
  const first = await serve(
    nodeThat(
      () =>
        new Promise((_, reject) => {
          if (++held < 10) return;
          reject(new RaftmarkError("RAFT_PROPOSAL_DROPPED", "it hands its leadership over"));
        }),
    ),
  );
  const answers: (() => void)[] = [];
  const next = await serve(
    nodeThat(
      () => new Promise((resolve) => answers.push(() => resolve({ index: 1, term: 2, result: undefined }))),
    ),
  );
  const client = await FailoverEngine.connect([first.url, next.url]);
  try {
    const asked = Array.from({ length: 10 }, (_, i) => client.propose(Uint8Array.of(i)));
    while (answers.length < 10) await new Promise((resolve) => setTimeout(resolve, 5));
    assert.equal(client.failover.askedAgain, 9);
    assert.ok(client.failover.silentMs > 0, "nobody has answered since");
    for (const answer of answers) answer();
    await Promise.all(asked);
  } finally {
    await client.close();
    for (const { server } of [first, next]) server.close();
  }
});
