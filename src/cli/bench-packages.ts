// The packages that only the bench wants: a service that installs raftmark for its engine gets none of them. In the
// repository they are there; beside an installed package they are asked for when a command needs them.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { Command } from "commander";
import { CommandError } from "./command-error.js";

const BENCH_PACKAGES = ["cli-table3", "hdr-histogram-js", "simple-statistics", "uplot", "ws", "zod"];

/** What `npm install` wants to be given for the packages that are not here; empty: all are. */
export function missingBenchPackages(): string[] {
  const require = createRequire(import.meta.url);
  const text = readFileSync(new URL("../../../package.json", import.meta.url), "utf8");
  const { peerDependencies } = JSON.parse(text) as { peerDependencies: Record<string, string> };
  return BENCH_PACKAGES.filter((name) => !isHere(name, require)).map(
    (name) => `${name}@${/\d+/.exec(peerDependencies[name]!)![0]}`,
  );
}

function isHere(name: string, require: NodeJS.Require): boolean {
  try {
    require.resolve(name);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "MODULE_NOT_FOUND";
  }
}

/** In the place of a command of the bench's that cannot run: it says what to install. */
export function commandWithout(name: string, missing: readonly string[]): Command {
  return new Command(name)
    .description("(wants packages that are not installed: run it to see which)")
    .argument("[anything...]")
    .allowUnknownOption()
    .action(() => {
      const text = `raftmark ${name} wants packages that the engine does without; install them beside it: npm install ${missing.join(" ")}`;
      throw new CommandError(2, text);
    });
}
