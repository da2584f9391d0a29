// Three processes under load, of which one stands still for a while: it gets level while the load goes on, under the same
// leader, whose memory does not grow with what was missed.
import assert from "node:assert/strict";
import { type ChildProcess, fork } from "node:child_process";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { freePeers } from "../listen.js";
import { CACHE_BYTES, type Told } from "./member-node.js";
import { killChild, nextMessage, scratchDir } from "./support.js";

const PROGRAM = fileURLToPath(new URL("./member-node.js", import.meta.url));
const STOPPED_MS = 3000;
const WAIT_MS = 90_000;
const MEMORY_BYTES = 64_000_000;

class Member {
  constructor(readonly child: ChildProcess) {}

  async tell(): Promise<Told> {
    const told = nextMessage(this.child);
    this.child.send("tell");
    return (await told) as Told;
  }
}

async function cluster(t: TestContext): Promise<Member[]> {
  const dir = scratchDir("comes-back");
  const peers = await freePeers(3);
  const members: Member[] = [];
  t.after(async () => {
    await Promise.all(members.map(({ child }) => killChild(child)));
    dir.remove();
  });
  for (const id of [1, 2, 3]) {
    const child = fork(PROGRAM, [String(id), join(dir.path, String(id)), JSON.stringify(peers)]);
    members.push(new Member(child));
    await nextMessage(child);
  }
  return members;
}

/** Asks all members until `found` gives something. */
async function until<T>(members: readonly Member[], found: (told: readonly Told[]) => T | null): Promise<T> {
  const end = performance.now() + WAIT_MS;
  for (;;) {
    const told = await Promise.all(members.map((member) => member.tell()));
    const result = found(told);
    if (result !== null) return result;
    assert.ok(performance.now() < end, `not within ${WAIT_MS} ms: ${JSON.stringify(told)}`);
    await sleep(100);
  }
}

test("a member that stood still gets level under load: same leader, whose memory stays", async (t) => {
  const members = await cluster(t);
  const leads = await until(members, (told) => {
    const at = told.findIndex((each) => each.leads);
    return at >= 0 && told.every(({ term }) => term === told[at]!.term) ? at : null;
  });
  const leader = members[leads]!;
  const member = members[(leads + 1) % 3]!;
  leader.child.send("load");
  // Warm, so that its memory is what load takes.
  await until([leader], ([{ commit }]) => (commit > 2000 ? commit : null));
  member.child.kill("SIGSTOP");
  const stoppedAt = (await leader.tell()).commit;
  await sleep(STOPPED_MS);
  // Several times what its leader holds in memory.
  const before = await until([leader], ([told]) => {
    return (told.commit - stoppedAt) * 4096 > 8 * CACHE_BYTES ? told : null;
  });
  member.child.kill("SIGCONT");
  let most = 0;
  const level = await until([leader, member], ([of, other]) => {
    most = Math.max(most, of.rssBytes);
    return other.applied >= of.commit - 256 ? of : null;
  });
  assert.ok(level.commit > before.commit, "the load went on");
  assert.deepEqual([level.leads, level.term], [true, before.term]);
  const grown = most - before.rssBytes;
  t.diagnostic(
    `missed ${before.commit - stoppedAt} entries of 4 KiB; the leader's memory grew by ${grown} bytes`,
  );
  assert.ok(grown < MEMORY_BYTES, `the leader's memory grew by ${grown} bytes`);
});
