// Revisions of this repository as built trees: a git worktree each in a temporary directory, dependencies linked from
// the current tree where the lock file is the same, else installed from the revision's own. Removed at the end,
// whatever happens, or by the next to open where the process was killed. Owns those directories; knows nothing of benches.
import { type ChildProcess, spawn } from "node:child_process";
import { lstatSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { mkdir, mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { didYouMean } from "../../src/base/suggest.js";
import { BenchError, codeOf } from "../harness/bench-error.js";
import { whyStale } from "../harness/built-from.js";
import { gitEnvironment, gitIn, gitInSync } from "../harness/git.js";
import { isAlive } from "../harness/run-dir.js";

/** A tree whose `dist` is built. */
export interface Tree {
  /** As the user named it. */
  readonly revision: string;
  readonly commit: string | null;
  /** Differs from its commit; only the working tree can. */
  readonly dirty: boolean;
  readonly dir: string;
  /** Where its dependencies came from, in words. */
  readonly dependencies: string;
}

/** The word for the tree that this program was built from, changes and all. */
export const WORKTREE = "worktree";

const OWN_TREE = fileURLToPath(new URL("../../../", import.meta.url));
const PREFIX = "raftmark-trees-";
const OURS = new RegExp(`^${PREFIX}(\\d+)-\\w{6}$`);
/** A worktree, also one that is half made, or whose directory is gone. */
const FORGET = ["worktree", "remove", "--force", "--force"];
const LOCK_FILE = "package-lock.json";
/** Of a failed build, so many last lines are shown. */
const LINES_SHOWN = 15;
/** Of what a build says, so many characters are kept for that. */
const SAID_MAX = 64 * 1024;

export class Trees {
  private readonly root: string;
  private readonly parent: string;
  private readonly dirs: string[] = [];
  private readonly signal: AbortSignal;
  private readonly children = new Set<ChildProcess>();
  private readonly onExit = (): void => this.removeSync();

  private constructor(root: string, parent: string, signal: AbortSignal) {
    this.root = root;
    this.parent = parent;
    this.signal = signal;
    process.once("exit", this.onExit);
  }

  /** `root` is a clone of the repository, and `dist` is built from it. Throws BenchError (usage). */
  static async open(signal: AbortSignal, root = OWN_TREE): Promise<Trees> {
    let why = "";
    const top = await gitIn(root, ["rev-parse", "--show-toplevel"]).catch((error: unknown) => {
      why = gitsWords(error);
      return "";
    });
    if (top === "" || realpathSync(top) !== realpathSync(root)) {
      const text = `revisions are compared in a clone of raftmark's repository, and ${root} is none${why}: clone it, and run this there.`;
      throw new BenchError("usage", text);
    }
    await sweep(root);
    return new Trees(root, await mkdtemp(join(tmpdir(), `${PREFIX}${process.pid}-`)), signal);
  }

  /** Checks that every revision exists, before anything is built. Throws BenchError (usage). */
  async resolve(revision: string): Promise<string> {
    // After --end-of-options a word that begins with "-" is a revision and no option.
    const args = ["rev-parse", "--verify", "--quiet", "--end-of-options", `${revision}^{commit}`];
    const commit = await gitIn(this.root, args).catch(() => "");
    if (commit !== "") return commit;
    const refs = await gitIn(this.root, ["for-each-ref", "--format=%(refname:short)"]).catch(() => "");
    const isShallow = await gitIn(this.root, ["rev-parse", "--is-shallow-repository"]).catch(() => "");
    const hint =
      isShallow === "true"
        ? " This clone is shallow, and it may lie behind its end: git fetch --unshallow, or fetch-depth: 0 where CI checks out."
        : didYouMean(revision, [...refs.split("\n"), WORKTREE]);
    const text = `there is no revision "${revision}" in ${this.root}: name a commit, branch or tag (git fetch brings those of others), or ${WORKTREE}.${hint}`;
    throw new BenchError("usage", text);
  }

  /** As `resolve`, and for the current files whether they are what was built. Throws BenchError. */
  async check(revision: string): Promise<void> {
    if (revision === WORKTREE) this.refuseStale();
    else await this.resolve(revision);
  }

  private refuseStale(): void {
    const why = whyStale(this.root);
    if (why !== null) throw new BenchError("environment", why);
  }

  /** The tree this program runs from. Throws BenchError (environment) where its `dist` is of other files. */
  async current(): Promise<Tree> {
    this.refuseStale();
    const commit = await gitIn(this.root, ["rev-parse", "HEAD"]).catch(() => null);
    const dirty = (await gitIn(this.root, ["status", "--porcelain"]).catch(() => "?")) !== "";
    return { revision: WORKTREE, commit, dirty, dir: this.root, dependencies: "its own" };
  }

  /** Checks out and builds `revision`. Throws BenchError (environment) with the last lines of what failed. */
  async build(revision: string): Promise<Tree> {
    if (revision === WORKTREE) return this.current();
    const commit = await this.resolve(revision);
    const dir = join(this.parent, `${this.dirs.length + 1}-${commit.slice(0, 10)}`);
    this.dirs.push(dir);
    await this.run(revision, this.root, "git", ["worktree", "add", "--detach", "--quiet", dir, commit]);
    const same = readText(join(dir, LOCK_FILE)) === readText(join(this.root, LOCK_FILE));
    if (same) {
      await mkdir(dir, { recursive: true });
      await symlink(join(this.root, "node_modules"), join(dir, "node_modules"), "dir");
    } else {
      await this.run(revision, dir, "npm", ["ci", "--no-audit", "--no-fund", "--prefer-offline"]);
    }
    await this.run(revision, dir, "npm", ["run", "-s", "build"]);
    const dependencies = same
      ? "linked from the current tree (same lock file)"
      : "npm ci from its own lock file";
    return { revision, commit, dirty: false, dir, dependencies };
  }

  /** A program in its own process group, so that all of it can be ended. */
  private run(revision: string, cwd: string, program: string, args: string[]): Promise<void> {
    this.signal.throwIfAborted();
    const env = gitEnvironment();
    for (const name of Object.keys(env)) if (name.startsWith("npm_")) delete env[name];
    const child = spawn(program, args, { cwd, env, detached: true, stdio: ["ignore", "pipe", "pipe"] });
    this.children.add(child);
    let said = "";
    const note = (text: Buffer) => {
      said = (said + text.toString()).slice(-SAID_MAX);
    };
    child.stdout.on("data", note);
    child.stderr.on("data", note);
    const stop = () => endGroup(child);
    this.signal.addEventListener("abort", stop, { once: true });
    return new Promise<void>((resolve, reject) => {
      child.once("error", (cause) => {
        reject(
          new BenchError("environment", `${program} did not start (${codeOf(cause)}): install it.`, cause),
        );
      });
      child.once("close", (code, name) => {
        if (this.signal.aborted) reject(this.signal.reason);
        else if (code === 0) resolve();
        else reject(buildFailure(revision, [program, ...args], code ?? name, said));
      });
    }).finally(() => {
      this.signal.removeEventListener("abort", stop);
      this.children.delete(child);
    });
  }

  /** Those it made and no others: a prune would forget the worktrees whose disk is away. */
  async remove(): Promise<void> {
    for (const dir of this.dirs) await gitIn(this.root, [...FORGET, dir]).catch(() => {});
    await rm(this.parent, { recursive: true, force: true, maxRetries: 3 });
    process.removeListener("exit", this.onExit);
  }

  /** For the last moments of the process, which may come in the middle of `remove`. */
  private removeSync(): void {
    for (const child of this.children) endGroup(child);
    rmSync(this.parent, { recursive: true, force: true, maxRetries: 3 });
    for (const dir of this.dirs) gitInSync(this.root, [...FORGET, dir]);
  }
}

/**
 * Removes what killed processes left: a worktree that this repository itself names, in a directory named and placed as
 * ours, which this user owns, and whose process is gone.
 */
async function sweep(root: string): Promise<void> {
  const list = await gitIn(root, ["worktree", "list", "--porcelain"]).catch(() => "");
  for (const [, dir] of list.matchAll(/^worktree (.*)$/gm)) {
    const parent = dirname(dir);
    const pid = OURS.exec(basename(parent))?.[1];
    if (pid === undefined || dirname(parent) !== realpathSync(tmpdir()) || isAlive(Number(pid))) continue;
    const found = lstatSync(parent, { throwIfNoEntry: false });
    if (found !== undefined && (!found.isDirectory() || found.uid !== process.getuid?.())) continue;
    await gitIn(root, [...FORGET, dir]).catch(() => {});
    await rm(parent, { recursive: true, force: true, maxRetries: 3 }).catch(() => {}); // Another may be at it.
  }
}

function endGroup({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) process.kill(-pid, "SIGKILL");
  } catch {
    // It is gone already.
  }
}

function buildFailure(
  revision: string,
  words: string[],
  how: number | string | null,
  said: string,
): BenchError {
  const lines = said.trimEnd().split("\n").slice(-LINES_SHOWN);
  const shown = lines.map((line) => `  ${line}`).join("\n");
  const what = words[0] === "git" ? "could not be checked out" : "does not build";
  const text = `revision ${revision} ${what}: "${words.join(" ")}" ended with ${how}. Its last lines:\n${shown}`;
  return new BenchError("environment", text);
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}

/** " (git: not a git repository)": it may be a clone that git refuses, as one that another user owns. */
function gitsWords(error: unknown): string {
  if (codeOf(error) === "ENOENT") return " (git is missing)";
  const fatal = /^fatal: (.*)$/m.exec(String((error as { stderr?: unknown }).stderr ?? ""))?.[1];
  return fatal === undefined ? "" : ` (git: ${fatal})`;
}
