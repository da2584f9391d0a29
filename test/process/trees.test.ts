// Trees of revisions with real git: what is built, told and removed, and whose index and files stay as they were.
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { Trees } from "../../bench/compare/trees.js";
import { BenchError } from "../../bench/harness/bench-error.js";
import { gitEnvironment } from "../../bench/harness/git.js";
import { scratchDir } from "./support.js";

const scratch = scratchDir("trees");
after(() => scratch.remove());

const never = new AbortController().signal;

/** A repository with two commits: one that builds, one that does not. */
function repository(): { path: string; commits: string[] } {
  const path = scratch.folder();
  const git = (...args: string[]) =>
    execFileSync("git", ["-c", "user.name=t", "-c", "user.email=t@localhost", ...args], {
      cwd: path,
      encoding: "utf8",
      env: gitEnvironment(),
    }).trim();
  git("init", "--quiet", "--initial-branch=main");
  mkdirSync(join(path, "node_modules"));
  writeFileSync(join(path, ".gitignore"), "node_modules\n");
  writeFileSync(join(path, "package-lock.json"), "{}");
  const commits = [
    "fs.writeFileSync('built', '')",
    // Twenty lines of its own: how many the runtime says about an error differs from Node to Node.
    "for (let i = 1; i <= 20; i++) console.error('line ' + i); process.exitCode = 1",
  ].map((build) => {
    const scripts = { build: `node -e "${build}"` };
    writeFileSync(join(path, "package.json"), JSON.stringify({ name: "t", version: "1.0.0", scripts }));
    git("add", "-A");
    git("commit", "--quiet", "-m", "c");
    return git("rev-parse", "HEAD");
  });
  return { path, commits };
}

function worktrees(path: string): number {
  const options = { cwd: path, encoding: "utf8", env: gitEnvironment() } as const;
  const list = execFileSync("git", ["worktree", "list"], options);
  return list.trim().split("\n").length;
}

test("a revision is built in a worktree of its own with linked dependencies, and removed", async () => {
  const { path, commits } = repository();
  const trees = await Trees.open(never, path);
  const tree = await trees.build(commits[0]);
  assert.ok(existsSync(join(tree.dir, "built")));
  assert.ok(existsSync(join(tree.dir, "node_modules")));
  assert.match(tree.dependencies, /linked/);
  assert.equal(tree.commit, commits[0]);
  assert.equal(worktrees(path), 2);
  await trees.remove();
  assert.equal(worktrees(path), 1);
  assert.equal(existsSync(tree.dir), false);
});

test("a revision that does not build is told with the build's last lines; one that is not there by name", async () => {
  const { path, commits } = repository();
  const trees = await Trees.open(never, path);
  try {
    await assert.rejects(trees.build(commits[1]), (error) => {
      assert.ok(error instanceof BenchError && error.exitCode === 2);
      assert.match(error.message, /does not build: "npm run -s build" ended with 1/);
      assert.match(error.message, /Its last lines:\n {2}line 6\n(.*\n){13} {2}line 20$/);
      return true;
    });
    await assert.rejects(trees.build("mian"), /no revision "mian".*Did you mean main\?/);
    await assert.rejects(trees.build("--help"), /no revision "--help"/);
  } finally {
    await trees.remove();
  }
  assert.equal(worktrees(path), 1);
});

test("outside a clone, revisions are refused, in git's own words", async () => {
  await assert.rejects(
    Trees.open(never, tmpdir()),
    (error) =>
      error instanceof BenchError && error.exitCode === 2 && /is none \(git: .*\): /.test(error.message),
  );
});

/** Runs `work` as a hook of `path` would: git names its repository and index to what it starts. */
async function asHook(path: string, work: () => Promise<void>): Promise<void> {
  const named = {
    GIT_DIR: join(path, ".git"),
    GIT_WORK_TREE: path,
    GIT_INDEX_FILE: join(path, ".git", "index"),
    GIT_PREFIX: "",
  };
  Object.assign(process.env, named);
  try {
    await work();
  } finally {
    for (const name of Object.keys(named)) delete process.env[name];
  }
}

test("in a git hook, a revision is built beside the commit under way, whose index stays as it was", async () => {
  const { path, commits } = repository();
  writeFileSync(join(path, "mine"), "a change of mine");
  execFileSync("git", ["add", "-A"], { cwd: path, env: gitEnvironment() });
  const index = () => readFileSync(join(path, ".git", "index"), "hex");
  const before = index();
  await asHook(path, async () => {
    const trees = await Trees.open(never, path);
    try {
      const tree = await trees.build(commits[0]);
      assert.ok(existsSync(join(tree.dir, "built")));
    } finally {
      await trees.remove();
    }
  });
  assert.equal(index(), before);
  assert.equal(worktrees(path), 1);
});

test("a revision that cannot be checked out is told as that", async () => {
  const { path, commits } = repository();
  const trees = await Trees.open(never, path);
  writeFileSync(join(path, ".git", "worktrees"), "in the way");
  try {
    await assert.rejects(
      trees.build(commits[0]),
      (error) =>
        error instanceof BenchError &&
        error.exitCode === 2 &&
        /could not be checked out: "git worktree add .*" ended with 128/.test(error.message),
    );
  } finally {
    await trees.remove();
  }
});

test("the current files are refused where dist was built from others, before anything is built", async () => {
  const { path, commits } = repository();
  mkdirSync(join(path, "src"));
  writeFileSync(join(path, "src", "raft.ts"), "");
  const trees = await Trees.open(never, path);
  const isRefused = (error: unknown) =>
    error instanceof BenchError &&
    error.exitCode === 2 &&
    /^dist in .*: npm run build\.$/.test(error.message);
  try {
    await assert.rejects(trees.check("worktree"), isRefused);
    await assert.rejects(trees.build("worktree"), isRefused);
    await trees.check(commits[0]);
  } finally {
    await trees.remove();
  }
});

test("trees of a process that was killed are removed by the next, those of one that lives are not", async () => {
  const { path, commits } = repository();
  const gone = spawnSync(process.execPath, ["-e", ""]).pid;
  const options = { cwd: path, env: gitEnvironment() };
  const [killed, living] = [gone, process.pid].map((pid) => {
    const parent = join(realpathSync(tmpdir()), `raftmark-trees-${pid}-abcdef`);
    mkdirSync(parent);
    execFileSync("git", ["worktree", "add", "--detach", "--quiet", join(parent, "1-x"), commits[0]], options);
    return parent;
  });
  try {
    const trees = await Trees.open(never, path);
    await trees.remove();
    assert.equal(existsSync(killed), false);
    assert.equal(existsSync(living), true);
    assert.equal(worktrees(path), 2, "the repository's own, and the living one's");
  } finally {
    for (const parent of [killed, living]) rmSync(parent, { recursive: true, force: true });
  }
});

test("removing trees forgets no worktree of somebody else's whose disk is away", async () => {
  const { path, commits } = repository();
  const away = join(scratch.folder(), "away");
  execFileSync("git", ["worktree", "add", "--detach", "--quiet", away, commits[0]!], {
    cwd: path,
    env: gitEnvironment(),
  });
  renameSync(away, `${away}-unplugged`);
  const trees = await Trees.open(never, path);
  await trees.build(commits[0]!);
  await trees.remove();
  assert.equal(worktrees(path), 2, "the repository's own, and the one that is away");
});

test("in a shallow clone, as CI makes them, a revision that is missing is said to be behind its end", async () => {
  const { path } = repository();
  const shallow = join(scratch.folder(), "shallow");
  const words = ["clone", "--quiet", "--depth", "1", `file://${path}`, shallow];
  execFileSync("git", words, { env: gitEnvironment() });
  const trees = await Trees.open(never, shallow);
  try {
    await assert.rejects(trees.resolve("HEAD^"), {
      kind: "usage",
      message: /shallow, .* git fetch --unshallow/,
    });
  } finally {
    await trees.remove();
  }
});
