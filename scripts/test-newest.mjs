// Runs built tests on the newest Node.js (`npm run test:newest`): a core of the suite, or what is named below
// `dist/test`; before the core of the suite some worlds of the simulator, which must have the same hash on this Node.js,
// on the newest and on the one between. Node comes from the npm registry by npx, and stays in npm's cache. Where the
// registry does not answer or has no Node for this machine, the run is skipped and says what was; whatever else goes
// wrong is a failure.
import { spawnSync } from "node:child_process";
import { readdirSync, statSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { NotToBeHad, nodeByNpx } from "../dist/bench/harness/npx-node.js";

const NEWEST = "26.10.0";
const BETWEEN = "24.21.0";
/** Worlds, by the words of `raftmark sim`. */
const WORLDS = [
  ["--seed", "1"],
  ["--seed", "2", "--profile", "network"],
  ["--seed", "3", "--profile", "disk"],
  ["--seed", "4", "--profile", "crash"],
];
const STEPS = "10000";

/** The Raft core, messages and links, the log with its worker, and a cluster of processes that are killed. */
const CORE = [
  "raft",
  "link",
  "wire",
  "wal/format/codec.test.js",
  "wal/log",
  "wal/disk/lock.test.js",
  "wal/recover/recovery.test.js",
  "wal/snap/snapshot.test.js",
  "process/cluster.test.js",
];

const dist = join(dirname(fileURLToPath(import.meta.url)), "..", "dist");
const root = join(dist, "test");
const asked = process.argv.slice(2);
const names = asked.length > 0 ? asked : CORE;

/** The `*.test.js` at or below `path`. */
function testsOf(path) {
  if (!statSync(path).isDirectory()) return [path];
  const below = readdirSync(path, { recursive: true }).filter((name) => name.endsWith(".test.js"));
  return below.sort().map((name) => join(path, name));
}

/** Where that Node.js lies; null: it is not to be had, which is said. */
async function fetched(version, what) {
  try {
    return await nodeByNpx(version);
  } catch (error) {
    if (!(error instanceof NotToBeHad)) {
      console.error(error);
      process.exit(1);
    }
    console.log(`skipped: ${error.message}, so ${what} did not run on it`);
    return null;
  }
}

function hashOn(node, words) {
  const args = [join(dist, "src/cli/main.js"), "sim", "--steps", STEPS, ...words];
  const { stdout, stderr } = spawnSync(node, args, { encoding: "utf8" });
  const hash = /hash ([0-9a-f]{8})/.exec(stdout)?.[1];
  if (hash !== undefined) return hash;
  console.error(stdout, stderr);
  return process.exit(1);
}

function compareHashes(nodes) {
  const [ours, ...others] = nodes.map((node) => WORLDS.map((words) => hashOn(node, words)));
  for (const theirs of others) {
    for (const [at, hash] of theirs.entries()) {
      if (hash === ours[at]) continue;
      console.error(
        `raftmark sim ${WORLDS[at].join(" ")} --steps ${STEPS}: ${ours[at]} here and ${hash} there`,
      );
      process.exit(1);
    }
  }
  console.log(`the simulator's worlds have the same hashes on ${nodes.length} versions: ${ours.join(", ")}`);
}

const node = await fetched(NEWEST, names.join(", "));
if (node === null) process.exit(0);
if (asked.length === 0) {
  const between = await fetched(BETWEEN, "the simulator's worlds");
  compareHashes([process.execPath, ...(between === null ? [] : [between]), node]);
}
console.log(`Node.js ${NEWEST}: ${names.join(", ")}`);
// Tests that start `node` or `npm` get the same.
const env = { ...process.env, PATH: `${dirname(node)}${delimiter}${process.env.PATH}` };
const files = names.flatMap((name) => testsOf(join(root, name)));
const run = spawnSync(node, ["--test", "--test-reporter=spec", ...files], { env, stdio: "inherit" });
process.exit(run.status ?? 1);
