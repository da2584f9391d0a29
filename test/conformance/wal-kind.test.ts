// Every WAL fixture that is at hand. The fixtures lie beside the repository; without them there is nothing to run.
import assert from "node:assert/strict";
import fs from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { runWalFixture } from "./wal-kind.js";

// dist/test/conformance -> repository -> beside it
const repository = fileURLToPath(new URL("../../../", import.meta.url));
const fixtures = `${repository}../shared/conformance/wal`;

if (!fs.existsSync(fixtures)) test("WAL fixtures", { skip: `no fixtures in ${fixtures}` }, () => {});
else {
  for (const found of fs.readdirSync(fixtures, { withFileTypes: true })) {
    if (!found.isDirectory()) continue;
    test(`WAL fixture ${found.name}`, () => {
      const { ok, firstDifference } = runWalFixture(`${fixtures}/${found.name}`);
      assert.ok(ok, firstDifference);
    });
  }
}
