// Options that npm took for its own: `npm run bench --quick` without the `--` in between runs a bench of five minutes, and
// npm only warns, if that. It leaves what it took in the environment of what it runs.
import type { Command } from "commander";

/** Npm has these, too, and a user's .npmrc may. */
const ALSO_NPMS = ["json", "link"];

/** A sentence where npm was given options of `command` and did not pass them on; null: it was not. */
export function whyTakenByNpm({ options }: Command, env: NodeJS.ProcessEnv): string | null {
  const script = env["npm_lifecycle_event"];
  if (script === undefined || script === "npx") return null;
  const taken = options
    .map(({ long }) => long?.slice("--".length) ?? "")
    .filter((name) => !ALSO_NPMS.includes(name))
    .filter((name) => env[`npm_config_${name.replaceAll("-", "_")}`] !== undefined)
    .map((name) => `--${name}`);
  if (taken.length === 0) return null;
  return `npm took ${taken.join(" and ")} for itself: write -- between, npm run ${script} -- ${taken[0]} ...`;
}
