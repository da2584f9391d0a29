// Directories of the tests, in the system's place for temporary files. What must lie on the repository's disk: scratchDir of
// test/process/support.ts.
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, type TestContext } from "node:test";

const cleanups = new WeakMap<TestContext, (() => unknown)[]>();

// t.after runs hooks oldest first; a log must be closed before its directory goes.
export function atEnd(t: TestContext, cleanup: () => unknown): void {
  const known = cleanups.get(t);
  if (known !== undefined) {
    known.push(cleanup);
    return;
  }
  const list = [cleanup];
  cleanups.set(t, list);
  t.after(async () => {
    for (const each of list.reverse()) await each();
  });
}

/** A new directory, which goes with the test; without one, with the file's last. */
export function tempDir(t?: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), "raftmark-test-"));
  const remove = () => rmSync(dir, { recursive: true, force: true });
  if (t === undefined) after(remove);
  else atEnd(t, remove);
  return dir;
}

/** A file system of `mib` MiB in memory at `at`, until the test ends. False: the test is skipped, as it may not mount. */
export function mountSmall(t: TestContext, at: string, mib: number): boolean {
  mkdirSync(at);
  if (spawnSync("mount", ["-t", "tmpfs", "-o", `size=${mib}m`, "raftmark-test", at]).status !== 0) {
    t.skip("may not mount a small file system here");
    return false;
  }
  atEnd(t, () => spawnSync("umount", ["-l", at]));
  return true;
}
