// `npm run results:render`: what is made of results/canonical.json (the table in the README, the page beside the
// result, the picture of the page) and of results/peers.json (a table in the README). With --check (`npm run
// results:check`) nothing is written, and what is stale is named.
import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { BenchError } from "../harness/bench-error.js";
import { Peers, peersMarkdown } from "../peers/peers.js";
import { findChromium } from "./chromium.js";
import { resultMarkdown } from "./markdown.js";
import { renderPage } from "./page/page.js";
import { readResult } from "./read-result.js";
import { verdict } from "./verdict.js";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const RESULT = join("results", "canonical.json");
const PAGE = join("results", "canonical.html");
const PICTURE = join("results", "canonical.png");
const PEERS = join("results", "peers.json");
const README = "README.md";
const END = "<!-- /results -->";
const PICTURE_BYTES_MAX = 300 * 1024;
/** What the README's table does not show, and no more than a page of it. */
const PICTURED = ["throughput"];
const MARGIN = 16;
const VIEW = { width: 1200, height: 900 };

process.exitCode = await main(process.argv.includes("--check"));

async function main(check: boolean): Promise<number> {
  try {
    const measured = await readResult(join(ROOT, RESULT));
    // The figures are the run's; what they prove is said as the present code judges it.
    const result = { ...measured, verdict: verdict(measured) };
    const peers = Peers.parse(JSON.parse(await readFile(join(ROOT, PEERS), "utf8")));
    const readme = await readFile(join(ROOT, README), "utf8");
    const made = new Map([
      [README, between(between(readme, "canonical", resultMarkdown(result)), "peers", peersMarkdown(peers))],
      [PAGE, renderPage([{ name: "canonical", result }])],
    ]);
    return check ? await compare(made) : await write(made);
  } catch (error) {
    if (!(error instanceof BenchError)) throw error;
    process.stderr.write(`results: ${error.message}\n`);
    return 1;
  }
}

/** `readme` with `text` between the markers of `name`. */
function between(readme: string, name: string, text: string): string {
  const marker = `<!-- results:${name} -->`;
  const begin = readme.indexOf(marker);
  const end = readme.indexOf(END, begin);
  if (begin < 0 || end < 0) {
    throw new BenchError(
      "failed",
      `${README} has no ${marker} followed by ${END}: put them where the table belongs.`,
    );
  }
  return `${readme.slice(0, begin + marker.length)}\n${text}${readme.slice(end)}`;
}

async function compare(made: ReadonlyMap<string, string>): Promise<number> {
  const stale: string[] = [];
  for (const [file, text] of made) {
    if ((await readFile(join(ROOT, file), "utf8").catch(() => "")) !== text) stale.push(file);
  }
  const picture = await stat(join(ROOT, PICTURE)).catch(() => null);
  if (picture === null || picture.size > PICTURE_BYTES_MAX) stale.push(PICTURE);
  if (stale.length === 0) {
    process.stdout.write(`results: ${[...made.keys()].join(", ")} say what ${RESULT} and ${PEERS} say\n`);
    return 0;
  }
  process.stderr.write(
    `results: ${stale.join(", ")} differ from what ${RESULT} and ${PEERS} give: npm run results:render\n`,
  );
  return 1;
}

async function write(made: ReadonlyMap<string, string>): Promise<number> {
  for (const [file, text] of made) {
    await writeFile(join(ROOT, file), text);
    process.stdout.write(`results: wrote ${file}\n`);
  }
  const executablePath = findChromium();
  if (executablePath === null) {
    process.stdout.write(
      `results: no Chromium here, ${PICTURE} left as it is; CHROMIUM names one elsewhere\n`,
    );
    return 0;
  }
  await photograph(executablePath);
  process.stdout.write(`results: wrote ${PICTURE}\n`);
  return 0;
}

async function photograph(executablePath: string): Promise<void> {
  const { chromium } = await import("playwright-core"); // A development dependency: not there in the package.
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
  try {
    const page = await browser.newPage({ viewport: VIEW, colorScheme: "light" });
    await page.goto(pathToFileURL(join(ROOT, PAGE)).href);
    const boxes = await Promise.all(
      PICTURED.map((id) => page.locator(`section[aria-labelledby=${id}]`).boundingBox()),
    );
    const edges = boxes.flatMap((box) => (box === null ? [] : [box.y, box.y + box.height]));
    const top = Math.min(...edges) - MARGIN;
    const clip = { x: 0, y: top, width: VIEW.width, height: Math.max(...edges) + MARGIN - top };
    await page.screenshot({ path: join(ROOT, PICTURE), fullPage: true, clip });
  } finally {
    await browser.close();
  }
}
