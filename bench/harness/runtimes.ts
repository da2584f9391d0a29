// The Node.js that a run's processes have: finds what the axes --node and --node-flags name, and asks each what it is,
// before anything is started. The bench itself goes on with its own.
import { execFile } from "node:child_process";
import { access, constants } from "node:fs/promises";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { Settings } from "./axes.js";
import { BenchError, codeOf, messageOf } from "./bench-error.js";
import { NotToBeHad, nodeByNpx } from "./npx-node.js";

export interface Runtime {
  readonly execPath: string;
  readonly flags: readonly string[];
}

const OWN_RUNTIME: Runtime = { execPath: process.execPath, flags: [] };

const UWS_PROGRAM = fileURLToPath(new URL("./has-uws.js", import.meta.url));
const ANSWER_MS = 20_000;
const run = promisify(execFile);

/** What the axes name, by settings. Throws BenchError for what cannot be found, run or supported. */
export async function findRuntimes(
  all: readonly Pick<Settings, "node" | "nodeFlags" | "link">[],
): Promise<(settings: Settings) => Runtime> {
  const paths = new Map<string, string>();
  const runtimes = new Map<string, Runtime>();
  const keyOf = ({ node, nodeFlags }: Pick<Settings, "node" | "nodeFlags">) => `${node} ${nodeFlags}`;
  for (const settings of all) {
    const { node, nodeFlags, link } = settings;
    const execPath = paths.get(node) ?? (await executable(node));
    const isNew = !runtimes.has(keyOf(settings));
    const flags = nodeFlags === "none" ? [] : nodeFlags.split(" ");
    const runtime = runtimes.get(keyOf(settings)) ?? { execPath, flags };
    paths.set(node, execPath);
    runtimes.set(keyOf(settings), runtime);
    if (isNew && (node !== "own" || flags.length > 0)) await checkRuntime(runtime, node);
    if (link === "uws") await checkUws(runtime);
  }
  return (settings) => runtimes.get(keyOf(settings)) ?? OWN_RUNTIME;
}

async function executable(node: string): Promise<string> {
  if (node === "own") return process.execPath;
  if (/^\d/.test(node) && !/[/\\]/.test(node)) {
    refuseUnsupported(node, `--node ${node}`);
    try {
      return await nodeByNpx(node);
    } catch (cause) {
      const why = messageOf(cause).replace(/\.?$/, "");
      const hint =
        cause instanceof NotToBeHad ? "; name a version that exists, or the path of an executable" : "";
      throw new BenchError("environment", `--node ${node}: ${why}${hint}.`, cause);
    }
  }
  const path = resolve(node);
  try {
    await access(path, constants.X_OK);
  } catch (cause) {
    const text = `--node ${node}: it cannot be run (${codeOf(cause)}): name the executable of a Node.js, or a version like 26.`;
    throw new BenchError("usage", text, cause);
  }
  return path;
}

/** That it is a Node.js that raftmark supports, and takes its flags. */
async function checkRuntime({ execPath, flags }: Runtime, node: string): Promise<void> {
  const version = await versionOf(execPath, []).catch((cause: unknown) => {
    throw new BenchError(
      "usage",
      `--node ${node}: ${execPath} is no Node.js: it does not tell its version.`,
      cause,
    );
  });
  refuseUnsupported(version, `--node ${node}`);
  if (flags.length === 0) return;
  await versionOf(execPath, flags).catch((cause: unknown) => {
    const said = String((cause as { stderr?: unknown }).stderr ?? "")
      .trim()
      .split("\n")[0];
    const what = said === "" || said === undefined ? "with them it does not run a program" : said;
    const text = `--node-flags "${flags.join(" ")}": Node.js ${version} does not take them (${what}).`;
    throw new BenchError("usage", text, cause);
  });
}

async function versionOf(execPath: string, flags: readonly string[]): Promise<string> {
  const args = [...flags, "-p", "'raftmark ' + process.version"];
  const { stdout } = await run(execPath, args, { timeout: ANSWER_MS, env: plainEnv() });
  const found = /^raftmark v(\d+\.\d+\.\d+\S*)$/m.exec(stdout);
  if (found === null) throw new Error(`it said ${JSON.stringify(stdout.slice(0, 200))}`);
  return found[1]!;
}

/** Under a test runner, children would answer in its protocol. */
function plainEnv(): NodeJS.ProcessEnv {
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  return env;
}

/** `version`: as much as is known of it. As `engines` in package.json has it. */
function refuseUnsupported(version: string, asked: string): void {
  const major = Number(version.split(".")[0]);
  if (major === 20 || major === 22 || major === 24 || major >= 26) return;
  const text = `${asked}: Node.js ${version} is not supported: raftmark runs on 20, 22, 24, and from 26 on.`;
  throw new BenchError("usage", text);
}

async function checkUws({ execPath, flags }: Runtime): Promise<void> {
  const { stdout } = await run(execPath, [...flags, UWS_PROGRAM], { timeout: ANSWER_MS, env: plainEnv() });
  if (stdout.includes("uws: yes")) return;
  const text = `--link uws: ${stdout.trim().replace(/^uws: /, "")}; give --link ws.`;
  throw new BenchError("usage", text);
}
