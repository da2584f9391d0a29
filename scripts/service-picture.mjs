// The README's picture of the live page: `npm run build && node scripts/service-picture.mjs [FILE]`. Three nodes in a directory of
// their own, some load for a minute, and Chromium. The figures in it are of no account.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { findChromium } from "../dist/bench/report/chromium.js";

const file = process.argv[2] ?? "docs/service.png";
const SECONDS = Number(process.env.SECONDS ?? 75);
const executablePath = findChromium();
if (executablePath === null) throw new Error("no Chromium here: install chromium, or name one with CHROMIUM");
const dir = join(mkdtempSync(join(tmpdir(), "raftmark-picture-")), "cluster");
const main = new URL("../dist/src/cli/main.js", import.meta.url).pathname;
const cluster = spawn(process.execPath, [main, "cluster", "up", "--dir", dir], {
  stdio: ["ignore", "pipe", "inherit"],
});
const ended = new Promise((resolve) => cluster.once("exit", resolve));
let said = "";
let browser;
try {
  for await (const piece of cluster.stdout) {
    said += piece;
    if (said.includes("Ctrl-C")) break;
  }
  const urls = [...said.matchAll(/node \d {2}(http:\S+)\//g)].map(([, url]) => url);
  browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
  const page = await browser.newPage({
    viewport: { width: Number(process.env.WIDTH ?? 1280), height: 900 },
    colorScheme: process.env.DARK === undefined ? "light" : "dark",
  });
  await page.goto(urls[0]);
  const until = performance.now() + SECONDS * 1000;
  const worker = async (i) => {
    for (let n = i; performance.now() < until; n++) {
      const key = `/kv/user/${(n * 7919) % 5000}`;
      const one = urls[n % urls.length];
      const put = await fetch(one + key, { method: "PUT", body: `value ${n}` });
      const { error } = await put.json();
      if (error?.leader?.http)
        await fetch(`http://${error.leader.http}${key}`, { method: "PUT", body: `value ${n}` });
      for (let read = 0; read < 2; read++)
        await (await fetch(urls[(n + read) % urls.length] + key)).arrayBuffer();
      // A load that swells and falls.
      await new Promise((resolve) => setTimeout(resolve, 25 + 20 * Math.sin(performance.now() / 9000)));
    }
  };
  await Promise.all(Array.from({ length: 12 }, (_, i) => worker(i * 100)));
  await page.screenshot({ path: file, fullPage: process.env.FULL !== undefined });
} finally {
  await browser?.close();
  cluster.kill("SIGTERM");
  await ended;
  rmSync(join(dir, ".."), { recursive: true, force: true });
}
