// Configuration: options given to RaftNode.open, and words given to `raftmark bench`. Whatever they are, the answer is a
// node or a plan, or one sentence that names an option that was given; never an error of another kind from inside.
import assert from "node:assert/strict";
import { AXES, AXIS_NAMES } from "../../bench/harness/axes.js";
import { BenchError } from "../../bench/harness/bench-error.js";
import { RaftmarkError } from "../../src/base/errors.js";
import type { Prng } from "../../src/base/prng.js";
import { planOf } from "../../src/cli/bench-command.js";
import { MemoryNetwork } from "../../src/link/index.js";
import type { RaftNodeOptions } from "../../src/node/api.js";
import { resolveOptions } from "../../src/node/options.js";
import { RaftNode } from "../../src/node/raft-node.js";
import { chance, pick, randomBytes } from "./bytes.js";
import { fuzz } from "./harness.js";
import { withDir } from "./scratch.js";

const NAMES = [
  "id",
  "dir",
  "listen",
  "peers",
  "secret",
  "stateMachine",
  "clusterId",
  "tickMs",
  "electionTicks",
  "heartbeatTicks",
  "diskTimeoutMs",
  "writer",
  "durability",
  "segmentBytes",
  "logCacheBytes",
  "busyPollUs",
  "batchBytesMax",
  "proposalBatchBytes",
  "maxSizePerMsg",
  "storageWrites",
  "readOnly",
  "maxInflightMsgs",
  "maxInflightBytes",
  "maxProposalBytes",
  "maxFrameBytes",
  "linkBufferBytes",
  "maxQueuedProposals",
  "maxQueuedBytes",
  "leaderlessTimeoutMs",
  "requestTimeoutMs",
  "seed",
  "logger",
  "frameTags",
  "link",
  "trace",
  "walFs",
  "noSuchOption",
  "__proto__",
  "constructor",
];

const NUMBERS = [
  0,
  -0,
  -1,
  0.5,
  1,
  2,
  3,
  7,
  10,
  100,
  255,
  4095,
  4096,
  65_536,
  1e6,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32,
];
const FAR_NUMBERS = [
  2 ** 53 - 1,
  2 ** 53,
  1e308,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
];
const WORDS = [
  "",
  " ",
  "1",
  "01",
  "-1",
  "1e3",
  "0x10",
  "none",
  "safe",
  "lease",
  "sync",
  "inline-js",
  "inline-wasm",
  "constructor",
  "__proto__",
  "toString",
  "127.0.0.1:1",
  "[::1]:7",
  "[::",
  "host:99999",
  "a:b:c",
  ":80",
  "\u0000",
  "\ud800",
  "x".repeat(5000),
];

function number(prng: Prng): number {
  if (chance(prng, 0.2)) return pick(prng, FAR_NUMBERS);
  return chance(prng, 0.5) ? pick(prng, NUMBERS) : prng.below(1 << (1 + prng.below(30)));
}

function word(prng: Prng): string {
  if (chance(prng, 0.7)) return pick(prng, WORDS);
  return String.fromCharCode(...randomBytes(prng, prng.below(20)));
}

const ODD: readonly ((prng: Prng) => unknown)[] = [
  () => undefined,
  () => null,
  () => true,
  () => Symbol("odd"),
  () => 5n,
  () => [],
  () => [1, "2"],
  () => ({}),
  () => Object.create(null),
  () => ({ constructor: 5 }),
  () => ({ constructor: { name: 7 } }),
  () => new Map([["1", "127.0.0.1:1"]]),
  () => new Date(Number.NaN),
  () => () => 1,
  () => class {},
  () => Buffer.from("ab"),
  () => /x/,
  () => new Proxy({}, {}),
  (prng) => ({ [word(prng)]: word(prng) }),
  (prng) => ({ 1: word(prng), 2: number(prng) }),
  (prng) => ({ apply: number(prng), restore: word(prng) }),
  (prng) => ({ apply: () => 1, restore: number(prng) }),
];

function anything(prng: Prng): unknown {
  const kind = prng.below(5);
  return kind < 2 ? number(prng) : kind < 4 ? word(prng) : pick(prng, ODD)(prng);
}

const SECRET = "nobody may read this";

/** An object as a caller would build it: a name is a property of its own, whatever it is. */
function given(prng: Prng, dir: string, changes: ReadonlyMap<string, unknown>): RaftNodeOptions {
  const options: Record<string, unknown> = {
    id: 1,
    dir,
    listen: "127.0.0.1:7001",
    peers: { 1: "127.0.0.1:7001" },
    secret: SECRET,
    stateMachine: { apply: () => undefined },
    writer: pick(prng, ["inline-js", "inline-wasm"]),
    durability: "none",
    segmentBytes: 65_536,
  };
  for (const [name, value] of changes) {
    Object.defineProperty(options, name, { value, enumerable: true, configurable: true, writable: true });
  }
  return options as unknown as RaftNodeOptions;
}

/** It says of one of `names` what is wrong, and does not say the secret. */
function checkError(error: unknown, names: readonly string[]): void {
  assert.ok(error instanceof RaftmarkError, `${(error as Error)?.stack ?? error}`);
  assert.equal(error.code, "RAFT_BAD_OPTION", error.message);
  const words = new Set(error.message.match(/\w+/g));
  assert.ok(
    names.some((name) => words.has(name)),
    `names no option that was given: ${error.message}`,
  );
  assert.ok(!error.message.includes(SECRET), "a secret in a message");
}

/** What a machine can be asked for: no segment of GiBs is filled with zeros here, and no thread is started. */
function canBeOpened(changes: ReadonlyMap<string, unknown>): boolean {
  const { segmentBytes = 0, writer, walFs, link } = Object.fromEntries(changes) as Record<string, unknown>;
  return (
    !((segmentBytes as number) > 1e6) && writer !== "pool-wasm" && walFs === undefined && link === undefined
  );
}

fuzz({
  url: import.meta.url,
  name: "whatever options a node is opened with, it opens, or names one of them",
  cases: 3000,
  reaches: ["refused", "opened"],
  async run(prng, note) {
    const names = Array.from({ length: 1 + prng.below(3) }, () => pick(prng, NAMES));
    const changes = new Map(names.map((name) => [name, anything(prng)]));
    const dir = "/dev/null/no-such-directory";
    if (chance(prng, 0.9)) changes.delete("dir");
    const options = given(prng, dir, changes);
    try {
      resolveOptions(options);
    } catch (error) {
      checkError(error, [...changes.keys(), ...Object.keys(options)]);
      note("refused");
      return;
    }
    note("taken");
    if (!chance(prng, 0.2) || !canBeOpened(changes) || options.dir !== dir) return;
    await withDir(async (place) => {
      try {
        const link = new MemoryNetwork({ clusterId: options.clusterId ?? 1 }).link(options.id);
        const node = await RaftNode.open({ ...options, dir: place, link });
        await node.close();
        note("opened");
      } catch (error) {
        checkError(error, [...changes.keys(), ...Object.keys(options)]);
        note("refused when opened");
      }
    });
  },
});

const FLAGS = ["duration", "warmup", "rounds", "order", "seed", "basePort"] as const;

/** Words that are near to what an axis takes. */
function values(prng: Prng, name: keyof typeof AXES): string {
  const { words, min, max } = AXES[name];
  const one = (): string => {
    if (chance(prng, 0.3)) return word(prng);
    if (words !== null) return pick(prng, Object.keys(words));
    return String(pick(prng, [min, max, max + 1, min - 1, min + prng.below(Math.min(max - min + 1, 1000))]));
  };
  return Array.from({ length: 1 + prng.below(3) }, one).join(pick(prng, [",", ",", ", ", ",,"]));
}

fuzz({
  url: import.meta.url,
  name: "whatever words the bench is given, it has a plan, or names one of them",
  cases: 3000,
  reaches: ["refused", "planned"],
  run(prng, note) {
    const scenario = chance(prng, 0.1)
      ? word(prng)
      : pick(prng, ["canonical", "offered-load", "leader-loss"]);
    const words: Record<string, unknown> = { order: "random", ...(chance(prng, 0.5) ? { quick: true } : {}) };
    const flags = [scenario];
    for (let i = prng.below(3); i > 0; i--) {
      const axis = pick(prng, AXIS_NAMES);
      words[axis] = values(prng, axis);
      flags.push(AXES[axis].flag);
    }
    if (chance(prng, 0.4)) {
      const flag = pick(prng, FLAGS);
      words[flag] = chance(prng, 0.5)
        ? word(prng)
        : `${number(prng)}${pick(prng, ["", "s", "ms", "m", "h"])}`;
      flags.push(flag === "basePort" ? "base-port" : flag);
    }
    try {
      planOf(scenario, words as unknown as Parameters<typeof planOf>[1], "");
      note("planned");
    } catch (error) {
      assert.ok(error instanceof BenchError, `${(error as Error).stack}`);
      assert.equal(error.kind, "usage", error.message);
      assert.ok(
        flags.some((flag) => error.message.includes(flag)),
        `names nothing that was given: ${error.message}`,
      );
      note("refused");
    }
  },
});
