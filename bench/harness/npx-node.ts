// Other versions of Node.js, from the npm registry by npx: the package that is the binary itself, without an install
// script. They stay in npm's cache.
import { execFile } from "node:child_process";

/** What npm says if it could not reach the registry, or is not given such a package. */
const NOT_TO_BE_HAD =
  /\b(E40[34]|E5\d\d|ETARGET|ENOTCACHED|ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ENETUNREACH|EHOSTUNREACH|ETIMEDOUT|ERR_SOCKET_TIMEOUT)\b/;

const NPX = ["--yes", "--prefer-offline", "--fetch-retries=1", "--fetch-timeout=60000"];

/** The version is not to be had: no registry, or none for this machine. */
export class NotToBeHad extends Error {
  override readonly name = "NotToBeHad";
}

/** The package `node` fetches what this one is in an install script. */
function nodePackage(version: string): string {
  const { platform, arch } = process;
  const prefix = platform === "darwin" && arch === "arm64" ? "node-bin" : "node";
  return `${prefix}-${platform}-${arch}@${version}`;
}

/** Path of the executable. `version`: 26, 26.10 or 26.10.0. Throws NotToBeHad, or what npx said. */
export function nodeByNpx(version: string): Promise<string> {
  const name = nodePackage(version);
  const args = [...NPX, `--package=${name}`, "node", "-p", "process.execPath"];
  return new Promise((resolve, reject) => {
    execFile("npx", args, (error, stdout, stderr) => {
      if (error === null) resolve(stdout.trim());
      else if (NOT_TO_BE_HAD.test(stderr))
        reject(new NotToBeHad(`${name} is not to be had from the registry`));
      else reject(new Error(`npx could not fetch ${name}: ${stderr.trim() || error.message}`));
    });
  });
}
