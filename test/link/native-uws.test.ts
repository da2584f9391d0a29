// Which uWebSockets.js is taken, of those that are installed: stand-ins in a folder of packages.
import assert from "node:assert/strict";
import { mkdirSync, realpathSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { pathToFileURL } from "node:url";
import { Worker } from "node:worker_threads";
import { loadNativeUws } from "../../src/link/native-uws.js";
import { tempDir } from "../temp-dir.js";

const BINARY = `uws_${process.platform}_${process.arch}_${process.versions.modules}.node`;
const WORKS = "module.exports = { getParts() {} };";
const REPACK = "@trufflesuite/uws-js-unofficial";

interface Installed {
  /** The folder below node_modules. */
  readonly as: string;
  readonly name: string;
  readonly version: string;
  readonly source: string;
  readonly binary?: boolean;
}

/** What a raftmark finds that is installed beside these. */
function among(t: TestContext, packages: readonly Installed[]): string | null {
  const root = realpathSync(tempDir(t));
  for (const { as, name, version, source, binary = false } of packages) {
    const dir = join(root, "node_modules", as);
    mkdirSync(join(dir, "binaries"), { recursive: true });
    // Like the newer packages: nobody may ask for its package.json.
    const exports = { require: "./main.js" };
    writeFileSync(join(dir, "package.json"), JSON.stringify({ name, version, exports }));
    writeFileSync(join(dir, "main.js"), source);
    if (binary) writeFileSync(join(dir, "binaries", BINARY), "");
  }
  return loadNativeUws(pathToFileURL(join(root, "raftmark.js")).href)?.implementation ?? null;
}

const own: Installed = { as: "uWebSockets.js", name: "uWebSockets.js", version: "20.99.0", source: WORKS };
const btc: Installed = {
  as: "@btc-vision/uwebsockets.js",
  name: "@btc-vision/uwebsockets.js",
  version: "20.57.1",
  source: WORKS,
};
const repack: Installed = {
  as: "uWebSockets.js",
  name: REPACK,
  version: "20.30.0-unofficial.0",
  source: WORKS,
  binary: true,
};
const broken = (one: Installed): Installed => ({ ...one, source: "throw new Error('no binary');" });

test("the user's own comes first, then @btc-vision's, then the repack; one that does not load is passed over", (t) => {
  assert.equal(among(t, [own, btc]), "uWebSockets.js 20.99.0 (native)");
  assert.equal(among(t, [broken(own), btc]), "@btc-vision/uwebsockets.js 20.57.1 (native)");
  assert.equal(among(t, [repack, btc]), "@btc-vision/uwebsockets.js 20.57.1 (native)");
  assert.equal(among(t, [repack, broken(btc)]), "uWebSockets.js 20.30.0 (native)");
  assert.equal(among(t, [{ ...repack, as: REPACK }]), "uWebSockets.js 20.30.0 (native)");
  assert.equal(among(t, [broken(own), broken(btc)]), null);
  assert.equal(among(t, []), null);
});

test("the repack is not loaded without a binary for this Node, and its fallback is none", (t) => {
  const shouts = { ...repack, source: "throw process.exit(3);", binary: false };
  assert.equal(among(t, [shouts]), null);
  assert.equal(among(t, [{ ...repack, source: "module.exports = { App() {} };" }]), null);
});

test("in a worker thread it is not taken unasked: one that is ended while it listens would abort the process", async () => {
  const { href } = new URL("../../src/link/index.js", import.meta.url);
  const source = `
    import { parentPort } from "node:worker_threads";
    import { createUwsLink } from ${JSON.stringify(href)};
    const link = createUwsLink({ id: 1, clusterId: 1, listen: "127.0.0.1:0", peers: {}, secret: "0123456789abcdef" });
    await link.start({});
    parentPort.postMessage(link.implementation);`;
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`));
  const implementation = await new Promise((resolve, reject) => {
    worker.once("message", resolve);
    worker.once("error", reject);
  });
  await worker.terminate();
  assert.match(String(implementation), /^ws on node:net \(in a worker thread/);
});
