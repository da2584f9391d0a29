// Packs the package as `npm publish` would, and has publint and @arethetypeswrong/cli look at it (`npm run
// check:package`; .ci/run runs it). Both come by npx and stay in npm's cache: 60 MB that nothing else wants. Where the
// registry does not answer the check is skipped by name. Leaves dist built without source maps.
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const CHECKS = [
  ["publint@0.3.25", "--strict"],
  // The package is ES modules alone, which node16's CommonJS cannot require: that is no fault of its types.
  ["@arethetypeswrong/cli@0.18.5", "--profile", "esm-only"],
];
const OFFLINE = /EAI_AGAIN|ENOTFOUND|ECONNREFUSED|ETIMEDOUT|ECONNRESET|E404|ETARGET/;

const scratch = mkdtempSync(join(tmpdir(), "raftmark-pack-"));
try {
  const args = ["pack", "--json", "--silent", "--pack-destination", scratch];
  const packed = execFileSync("npm", args, { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
  const [{ filename, size, unpackedSize, files }] = JSON.parse(packed.slice(packed.indexOf("[")));
  console.log(`${filename}: ${size} bytes, ${unpackedSize} unpacked, ${files.length} files`);
  const maps = files.filter(({ path }) => path.endsWith(".map"));
  if (maps.length > 0) throw new Error(`source maps without their sources: ${maps[0].path}`);
  for (const [tool, ...options] of CHECKS) {
    const { status, stdout, stderr } = spawnSync(
      "npx",
      ["--yes", tool, join(scratch, filename), ...options],
      {
        encoding: "utf8",
      },
    );
    if (status !== 0 && OFFLINE.test(stderr)) {
      console.log(`skipped: ${tool} is not to be had here`);
      continue;
    }
    console.log(`${stdout}${stderr}`.trim());
    if (status !== 0) process.exitCode = 1;
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
