#!/usr/bin/env node
// What `npx raftmark` starts, in a clone as in an installed package. It is no built file: npx links it once and then
// never looks again, so that a bin in dist, built later or built anew, was not found or not executable.
import { existsSync } from "node:fs";

// A node must not end by a SIGHUP that comes while its code is loaded: what that would have it read again is not read yet.
if (process.argv[2] === "serve") process.on("SIGHUP", () => {});

const main = new URL("../dist/src/cli/main.js", import.meta.url);
if (existsSync(main)) {
  await import(main.href);
} else {
  process.stderr.write(
    "raftmark: this clone is not built yet: npm ci && npm run build (less than a minute), then again.\n",
  );
  process.exitCode = 2;
}
