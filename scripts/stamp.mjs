// Behind a build: notes what it was built from, for whoever measures "the current files" or names their commit.
import { fileURLToPath } from "node:url";
import { stampSources } from "../dist/bench/harness/built-from.js";

stampSources(fileURLToPath(new URL("../", import.meta.url)));
