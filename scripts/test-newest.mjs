// Runs built tests on the newest Node.js (`npm run test:newest`): a core of the suite, or what is named below
// `dist/test`. Node comes from the npm registry by npx, and stays in npm's cache. Where the registry does not answer or
// has no Node for this machine, the run is skipped and says what was; whatever else goes wrong is a failure.
import { spawnSync } from "node:child_process";
import { readdirSync, statSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { NotToBeHad, nodeByNpx } from "../dist/bench/harness/npx-node.js";

const NEWEST = "26.10.0";

/** The Raft core, messages and links, the log with its worker, and a cluster of processes that are killed. */
const CORE = [
  "raft",
  "link",
  "wire",
  "wal/format/codec.test.js",
  "wal/log",
  "wal/recover/recovery.test.js",
  "wal/snap/snapshot.test.js",
  "process/cluster.test.js",
];

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "dist", "test");
const asked = process.argv.slice(2);
const names = asked.length > 0 ? asked : CORE;

/** The `*.test.js` at or below `path`. */
function testsOf(path) {
  if (!statSync(path).isDirectory()) return [path];
  const below = readdirSync(path, { recursive: true }).filter((name) => name.endsWith(".test.js"));
  return below.sort().map((name) => join(path, name));
}

const files = names.flatMap((name) => testsOf(join(root, name)));
let node = "";
try {
  node = await nodeByNpx(NEWEST);
} catch (error) {
  if (!(error instanceof NotToBeHad)) {
    console.error(error);
    process.exit(1);
  }
  console.log(`skipped: ${error.message}, so ${names.join(", ")} did not run on it`);
  process.exit(0);
}
console.log(`Node.js ${NEWEST}: ${names.join(", ")}`);
// Tests that start `node` or `npm` get the same.
const env = { ...process.env, PATH: `${dirname(node)}${delimiter}${process.env.PATH}` };
const run = spawnSync(node, ["--test", "--test-reporter=spec", ...files], { env, stdio: "inherit" });
process.exit(run.status ?? 1);
