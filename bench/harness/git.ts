// Git as the project calls it: on the directory it is given, whatever repository its caller is in the middle of. A hook
// has its repository, index and prefix in the environment, and they go before `-C`: a worktree that is checked out with
// them writes base's tree into the index of the commit that is under way. Every call of git goes through here.
import { execFile, spawnSync } from "node:child_process";
import { promisify } from "node:util";

const OUTPUT_MAX = 64 * 1024 * 1024;
/** Configuration (`git -c`) names no repository: a container's `safe.directory` may be among it. Git keeps it, too. */
const CONFIGURATION = ["GIT_CONFIG_PARAMETERS", "GIT_CONFIG_COUNT"];
let local: readonly string[] | null = null;

/** This process's environment without what names a repository, for git and for what may call it. */
export function gitEnvironment(): NodeJS.ProcessEnv {
  local ??= localNames();
  const env = { ...process.env };
  for (const name of local) delete env[name];
  return env;
}

/** Git's own list, since it grows. Without git there is nothing to call either. */
function localNames(): string[] {
  const { stdout } = spawnSync("git", ["rev-parse", "--local-env-vars"], { encoding: "utf8" });
  return (stdout ?? "").split("\n").filter((name) => name !== "" && !CONFIGURATION.includes(name));
}

/** What `git -C dir` prints. Rejects with what execFile rejects with. `timeoutMs` 0: none. */
export async function gitIn(dir: string, args: readonly string[], timeoutMs = 0): Promise<string> {
  const options = { env: gitEnvironment(), maxBuffer: OUTPUT_MAX, timeout: timeoutMs };
  const { stdout } = await promisify(execFile)("git", ["-C", dir, ...args], options);
  return stdout.trim();
}

/** For the last moments of the process; whether it worked is nobody's affair any more. */
export function gitInSync(dir: string, args: readonly string[]): void {
  spawnSync("git", ["-C", dir, ...args], { env: gitEnvironment(), stdio: "ignore" });
}
