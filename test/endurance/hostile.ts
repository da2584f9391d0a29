// Hostile connections to a member of a group under load: what they get to hear, and that the group goes on. What each
// does is drawn from the seed.
import assert from "node:assert/strict";
import net from "node:net";
import { WebSocket } from "ws";
import { Prng } from "../../src/base/prng.js";
import { LINK_PATH } from "../../src/link/acceptor.js";
import {
  CLOSE_REASONS,
  CloseBadCluster,
  CloseBadFrame,
  CloseBadKey,
  CloseBadVersion,
  CloseTimeout,
  CloseUnknownPeer,
  CloseWrongNode,
} from "../../src/link/close-codes.js";
import { clusterKey } from "../../src/link/cluster-key.js";
import { DialerHandshake, type Identity } from "../../src/link/handshake.js";
import { until } from "../process/support.js";
import { Group } from "./group.js";
import { SECRET } from "./member.js";

export interface HostilePlan {
  readonly connections: number;
  readonly seed: number;
  readonly inFlight: number;
  /** What the member's memory may grow by, bytes. */
  readonly growthMax: number;
  readonly say: (line: string) => void;
}

/** At once; fewer than a link lets strangers of one address in, so that none has to make room for another. */
const AT_ONCE = 8;
const LOOK_EVERY = 32;
const SLOW_ONE_IN = 20;
const NOTHING = new Uint8Array(0);
const MEMBERS = 3;
/** Strangers have 5 s to prove themselves, and uWebSockets.js sees what never upgrades by a clock of 4 s. */
const ENDS_MS = 60_000;
const MESSAGE_TOO_BIG = 1009;
const CUT = 1006;
const UNANSWERED = "cut";

/** With each turn of the acceptor (link/acceptor.ts) who it has not accepted yet is reset. A peer dials anew; so do these. */
const DIALS_MAX = 10;

/**
 * Sends what it draws, and checks how it ended. Returns what to count it as; null: the connection was reset before anything of
 * the member was seen.
 */
type Attack = (address: string, prng: Prng) => Promise<string | null>;

export async function hostile(plan: HostilePlan): Promise<Map<string, number>> {
  const { say, connections } = plan;
  const group = await Group.make({ members: MEMBERS, rows: 1024, rowBytes: 256 });
  const counts = new Map<string, number>();
  try {
    for (const member of group.members) await member.start();
    const leader = await group.leader();
    await leader.say({ inFlight: plan.inFlight });
    const attacks = attacksOn(leader.id, await clusterKey(SECRET));
    const prng = new Prng(plan.seed);
    const address = leader.config.peers[leader.id]!;
    const before = await leader.say();
    let begun = 0;
    let done = 0;
    const look = async (): Promise<void> => {
      const { acked: seen } = await leader.say();
      await until(`something to be committed after ${done} connections`, ENDS_MS, async () => {
        const now = await leader.say();
        assert.ok(now.leads && now.term === before.term, "the leader lost its leadership");
        const { rssBytes } = now;
        assert.ok(
          rssBytes < before.rssBytes + plan.growthMax,
          `memory is ${mib(rssBytes)} after ${done} connections`,
        );
        return now.acked > seen;
      });
    };
    const attacker = async (): Promise<void> => {
      while (begun < connections) {
        begun++;
        // One that waits for its end costs seconds.
        const some = prng.below(SLOW_ONE_IN) === 0 ? attacks.slow : attacks.quick;
        const names = Object.keys(some);
        const name = names[prng.below(names.length)]!;
        const what = await ended(name, dialledUntilAccepted(some[name]!, address, prng.below(2 ** 32)));
        counts.set(what, (counts.get(what) ?? 0) + 1);
        if (++done % LOOK_EVERY === 0) await look();
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, attacker));
    for (const [what, count] of [...counts].sort()) say(`${count} x ${what}`);
    await look();
    const after = await leader.say({ inFlight: 0 });
    say(
      `${after.acked - before.acked} commits meanwhile; memory ${mib(before.rssBytes)} -> ${mib(after.rssBytes)}`,
    );
    assert.equal(after.failed, before.failed);
    await group.level(ENDS_MS);
    return counts;
  } finally {
    await group.end();
  }
}

function mib(bytes: number): string {
  return `${Math.round(bytes / 2 ** 20)} MiB`;
}

async function dialledUntilAccepted(attack: Attack, address: string, seed: number): Promise<string> {
  for (let dials = 1; ; dials++) {
    const what = await attack(address, new Prng(seed));
    if (what !== null) return what;
    assert.ok(dials < DIALS_MAX, `reset ${dials} times in a row`);
  }
}

async function ended(name: string, attack: Promise<string>): Promise<string> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${name}: not ended`)), ENDS_MS);
  });
  try {
    return `${name}: ${await Promise.race([attack, late])}`;
  } finally {
    clearTimeout(timer);
  }
}

function attacksOn(leader: number, key: Uint8Array): Record<"quick" | "slow", Record<string, Attack>> {
  const other = (leader % MEMBERS) + 1;
  const as = (id: number, more: Partial<Identity> = {}): Identity => ({
    id,
    clusterId: 1,
    key,
    incarnation: 7,
    frameTags: true,
    ...more,
  });
  const quick: Record<string, Attack> = {
    "another path": (address) => asked(address, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"),
    "another method": (address) =>
      asked(address, `POST ${LINK_PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc`),
    "reset at once": async (address) => {
      (await dialled(address))?.resetAndDestroy();
      return "gone";
    },
    "garbage in place of a proof": (address, prng) =>
      talk(address, () => bytes(prng, prng.below(200)), [CloseBadFrame, CloseBadVersion]),
    "a message above any limit": (address) => talk(address, () => new Uint8Array(100_000), [MESSAGE_TOO_BIG]),
    "a proof with bits changed": (address, prng) =>
      talk(
        address,
        (challenge) => {
          const proof = new DialerHandshake(as(other), leader).answer(challenge, NOTHING).answer.slice();
          proof[proof.length - 1 - prng.below(32)]! ^= 1 << prng.below(8);
          return proof;
        },
        [CloseBadKey],
      ),
    "another key": proof(as(other, { key: new Uint8Array(32).fill(1) }), leader, CloseBadKey),
    "another cluster": proof(as(other, { clusterId: 2 }), leader, CloseBadCluster),
    "an unknown member": proof(as(99), leader, CloseUnknownPeer),
    "dialled for another": proof(as(other), other, CloseWrongNode),
    "another version": (address) =>
      talk(
        address,
        (challenge) => {
          const answer = new DialerHandshake(as(other), leader).answer(challenge, NOTHING).answer.slice();
          answer[4]!++;
          return answer;
        },
        [CloseBadVersion],
      ),
  };
  const slow: Record<string, Attack> = {
    silence: (address) => talk(address, () => null, [CloseTimeout, CUT]),
    "garbage in place of HTTP": (address, prng) => raw(address, bytes(prng, 1 + prng.below(2000))),
    "half a request": (address) => raw(address, Buffer.from("GET / HTTP/1.1\r\nHo")),
  };
  return { quick, slow };
}

function proof(identity: Identity, to: number, code: number): Attack {
  return (address) =>
    talk(address, (challenge) => new DialerHandshake(identity, to).answer(challenge, NOTHING).answer, [code]);
}

function bytes(prng: Prng, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => prng.below(256));
}

/** Null: not accepted. */
async function dialled(address: string): Promise<net.Socket | null> {
  const [host, port] = address.split(":");
  const socket = net.connect(Number(port), host);
  // A reset is one way to be cut.
  socket.on("error", () => {});
  const isConnected = await new Promise<boolean>((resolve) => {
    socket.once("connect", () => resolve(true));
    socket.once("close", () => resolve(false));
  });
  return isConnected ? socket : null;
}

/** A request that is none of a peer's: answered with a status. */
async function asked(address: string, request: string): Promise<string | null> {
  const what = await raw(address, Buffer.from(request));
  return what === UNANSWERED ? null : what;
}

/** Without an upgrade: ended by the member, with a status if it could make out a request. */
async function raw(address: string, sent: Uint8Array): Promise<string | null> {
  const socket = await dialled(address);
  if (socket === null) return null;
  let answer = "";
  socket.on("data", (chunk) => {
    answer += chunk.toString("latin1");
    if (/^HTTP\/1.1 \d\d\d/.test(answer)) socket.destroy();
  });
  const closed = new Promise((resolve) => socket.once("close", resolve));
  socket.write(sent);
  await closed;
  const status = /^HTTP\/1.1 (\d\d\d)/.exec(answer)?.[1];
  if (status === undefined) return UNANSWERED;
  assert.match(status, /^[45]/);
  return status;
}

/** Answers the challenge, or not at all (null), and is closed with one of `codes`. */
async function talk(
  address: string,
  answer: (challenge: Buffer) => Uint8Array | null,
  codes: readonly number[],
): Promise<string | null> {
  const socket = new WebSocket(`ws://${address}${LINK_PATH}`, { perMessageDeflate: false });
  socket.on("error", () => {});
  const closed = new Promise<number>((resolve) => socket.once("close", resolve));
  socket.once("message", (challenge: Buffer) => {
    const bytes = answer(challenge);
    if (bytes !== null) socket.send(bytes);
  });
  let isAccepted = false;
  socket.once("open", () => {
    isAccepted = true;
  });
  const code = await closed;
  if (!isAccepted) return null;
  assert.ok(codes.includes(code), `closed with ${code}, not ${codes.join(" or ")}`);
  return `${code} ${CLOSE_REASONS[code] ?? ""}`.trim();
}
