// Which Node.js a result's processes had, and which disk, in words. Pure.
import type { Result } from "./result-schema.js";

/** "v20.20.2"; "v20.20.2 and v26.10.0 in the runs, v20.20.2 in the bench itself" where they differ. */
export function nodeText({ environment, runs }: Pick<Result, "environment" | "runs">): string {
  const own = environment.node;
  const inRuns = [...new Set(runs.map(({ node }) => node || own))];
  if (inRuns.every((version) => version === own)) return own;
  return `${inRuns.join(" and ")} in the runs, ${own} in the bench itself`;
}

/** "ext4 on /dev/vda (read-ahead 8192 KiB, I/O scheduler mq-deadline)", as far as it is known. */
export function diskNameText({ fileSystem }: Pick<Result["environment"], "fileSystem">): string {
  const { type, device, readAheadKb, scheduler } = fileSystem;
  const known = [
    ...(readAheadKb === null ? [] : [`read-ahead ${readAheadKb} KiB`]),
    ...(scheduler === null ? [] : [`I/O scheduler ${scheduler}`]),
  ];
  return `${type} on ${device}${known.length === 0 ? "" : ` (${known.join(", ")})`}`;
}
