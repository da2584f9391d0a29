// The report in a real browser: every chart is drawn, nothing is complained of, nothing is asked for from outside, and
// a phone shows it without scrolling sideways and without half a word, whatever the scenario. Needs Chromium (CHROMIUM
// names one elsewhere).
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { pathToFileURL } from "node:url";
import { type Browser, chromium, type Page } from "playwright-core";
import { findChromium } from "../../bench/report/chromium.js";
import type { NamedResult } from "../../bench/report/page/model.js";
import { renderPage } from "../../bench/report/page/page.js";
import { SCENARIOS } from "../../bench/scenarios/all.js";
import { tempDir } from "../temp-dir.js";
import { openResult, richResult, scenarioResult } from "./sample-page.js";

const executablePath = findChromium();
const skip =
  executablePath === null ? "no Chromium here: install chromium, or name one with CHROMIUM" : false;
const dir = tempDir();
let browser: Browser | null = null;

before(async () => {
  if (executablePath !== null) browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
});
after(() => browser?.close());

const PAGES: Record<string, NamedResult[]> = {
  ...Object.fromEntries(
    SCENARIOS.map((scenario) => [scenario.name, [{ name: "a", result: scenarioResult(scenario) }]]),
  ),
  one: [{ name: "one", result: richResult() }],
  open: [{ name: "open", result: openResult() }],
  hostile: [{ name: "x", result: richResult(`</script><script>console.error("ran")</script>`) }],
  several: [
    { name: "before", result: richResult() },
    { name: "after-a-change-with-a-long-name-that-has-no-place-to-break", result: richResult() },
  ],
};

async function opened(name: string, width: number, colorScheme: "light" | "dark") {
  const path = join(dir, `${name}.html`);
  writeFileSync(path, renderPage(PAGES[name]));
  assert.ok(browser !== null);
  const page = await browser.newPage({ viewport: { width, height: 800 }, colorScheme });
  const complaints: string[] = [];
  const requests: string[] = [];
  page.on("console", (message) => complaints.push(`${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("request", (request) => requests.push(request.url()));
  const url = pathToFileURL(path).href;
  await page.goto(url);
  return { page, complaints, outside: requests.filter((each) => each !== url && !each.startsWith("data:")) };
}

/** Of every canvas: how many colours its pixels have. */
function coloursOfCanvases(page: Page): Promise<number[]> {
  return page.$$eval("canvas", (canvases) =>
    canvases.map((canvas) => {
      const context = (canvas as unknown as DrawnCanvas).getContext("2d");
      const { width, height } = canvas as unknown as DrawnCanvas;
      const pixels = new Uint32Array(context.getImageData(0, 0, width, height).data.buffer);
      return new Set(pixels).size;
    }),
  );
}

/** What the browser has; these tests are compiled without its types. */
interface DrawnCanvas {
  readonly width: number;
  readonly height: number;
  getContext(kind: "2d"): {
    getImageData(x: number, y: number, width: number, height: number): { data: { buffer: ArrayBuffer } };
  };
}

const CHARTS: Record<string, number> = { one: 6, open: 3, hostile: 6, several: 6 };

/** Text that is cut by the screen's edge or by a box that hides what does not fit; tables scroll in their own box. */
const CLIPPED = `(() => {
  const found = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (texts.currentNode.textContent.trim() === "" || element.closest("script, style, .unseen, .tip")) continue;
    const range = document.createRange();
    range.selectNodeContents(texts.currentNode);
    const scroll = element.closest(".scroll");
    for (const { left, right, width } of range.getClientRects()) {
      if (width === 0) continue;
      if (scroll === null && (left < -0.5 || right > innerWidth + 0.5)) found.push("screen: " + texts.currentNode.textContent);
      for (let box = element; box !== null && box !== scroll; box = box.parentElement) {
        if (!["hidden", "clip"].includes(getComputedStyle(box).overflowX)) continue;
        const edge = box.getBoundingClientRect();
        if (left < edge.left - 0.5 || right > edge.right + 0.5) found.push(box.className + ": " + texts.currentNode.textContent);
      }
    }
  }
  return found;
})()`;

/** Tables in which a row has another number of cells than there are headings. */
const UNEVEN = `[...document.querySelectorAll("section table")].flatMap((table) => {
  const heads = table.tHead.rows[0].cells.length;
  const wrong = [...table.tBodies[0].rows].filter(({ cells }) => cells.length !== heads);
  return wrong.map(() => table.caption.textContent);
})`;

/** Tables whose rows lose their name when scrolled to the end. */
const NAMELESS = `[...document.querySelectorAll(".scroll")].flatMap((box) => {
  box.scrollLeft = box.scrollWidth;
  const lost = [...box.querySelectorAll("tbody th")].some((name) =>
    Math.abs(name.getBoundingClientRect().left - box.getBoundingClientRect().left) > 1);
  const covered = box.clientWidth - Math.max(0, ...[...box.querySelectorAll("tbody th")].map((th) => th.offsetWidth));
  return lost || covered < 100 ? [box.getAttribute("aria-label")] : [];
})`;

for (const name of [...SCENARIOS.map((scenario) => scenario.name), "several"]) {
  for (const [width, scheme] of [
    [1280, "dark"],
    [390, "light"],
  ] as const) {
    test(`${name}, ${width} px, ${scheme}: no text is cut, every cell has its heading, rows keep their names`, {
      skip,
    }, async () => {
      const { page, complaints } = await opened(name, width, scheme);
      await page.evaluate("for (const folded of document.querySelectorAll('details')) folded.open = true");
      assert.deepEqual(await page.evaluate(CLIPPED), []);
      assert.deepEqual(await page.evaluate(UNEVEN), []);
      assert.deepEqual(await page.evaluate(NAMELESS), []);
      const scrollWidth = Number(await page.evaluate("document.documentElement.scrollWidth"));
      assert.ok(scrollWidth <= width, `the page is ${scrollWidth} px wide on a screen of ${width}`);
      assert.ok((await page.locator(".glance div").count()) >= 2, "the answer at first glance");
      assert.ok((await page.locator(".tiles li").count()) >= 2, "tiles");
      const hues = new Set(await page.locator("#waterfall ~ .ramp .key").allInnerTexts());
      assert.ok(hues.size <= 8, `${hues.size} hues`);
      assert.deepEqual(complaints, []);
      await page.close();
    });
  }
}

for (const name of Object.keys(CHARTS)) {
  for (const [width, scheme] of [
    [1280, "light"],
    [360, "dark"],
  ] as const) {
    test(`${name}, ${width} px, ${scheme}: drawn, silent, alone, not wider than the screen`, {
      skip,
    }, async () => {
      const { page, complaints, outside } = await opened(name, width, scheme);
      const colours = await coloursOfCanvases(page);
      assert.equal(colours.length, CHARTS[name]);
      for (const [i, count] of colours.entries()) assert.ok(count > 4, `chart ${i} has ${count} colours`);
      assert.ok((await page.locator(".bars .fill").count()) > 0, "bars");
      const scrollWidth = Number(await page.evaluate("document.documentElement.scrollWidth"));
      assert.ok(scrollWidth <= width, `the page is ${scrollWidth} px wide on a screen of ${width}`);
      assert.deepEqual(complaints, []);
      assert.deepEqual(outside, []);
      await page.close();
    });
  }
}

test("light and dark are two palettes", { skip }, async () => {
  const background = async (scheme: "light" | "dark") => {
    const { page } = await opened("one", 800, scheme);
    const colour = String(await page.evaluate("getComputedStyle(document.body).backgroundColor"));
    await page.close();
    return colour;
  };
  assert.notEqual(await background("light"), await background("dark"));
});

test("a legend button hides its configuration in every chart, and shows it again", { skip }, async () => {
  const { page } = await opened("one", 800, "light");
  const before = await coloursOfCanvases(page);
  const button = page.locator("button[data-key]").first();
  await button.click();
  assert.equal(await button.getAttribute("aria-pressed"), "false");
  await page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))");
  const hidden = await coloursOfCanvases(page);
  assert.ok(
    hidden.every((count, i) => count < before[i]),
    `${hidden} against ${before}`,
  );
  await button.click();
  assert.equal(await button.getAttribute("aria-pressed"), "true");
  await page.close();
});

test("the cursor tells the values under it", { skip }, async () => {
  const { page } = await opened("one", 800, "light");
  await page.locator(".u-over").first().hover();
  const tip = page.locator(".u-over").first().locator(".tip");
  await tip.waitFor({ state: "visible", timeout: 5000 });
  assert.match(await tip.innerText(), /pool-wasm, 64 in flight: /);
  await page.close();
});

test("printed in the light palette, whatever the screen has", { skip }, async () => {
  const { page } = await opened("one", 800, "dark");
  const card = () => page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--card')");
  const dark = await card();
  await page.evaluate("dispatchEvent(new Event('beforeprint'))");
  assert.equal(await card(), "#ffffff");
  await page.evaluate("dispatchEvent(new Event('afterprint'))");
  assert.equal(await card(), dark);
  await page.close();
});
