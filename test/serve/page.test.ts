// The live page in a real browser, over three processes: it shows who leads and who is away, its charts move, on a
// phone and on a desk, in light and dark; it asks nobody but its node. Needs Chromium (CHROMIUM names one elsewhere).
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type Browser, chromium, type Page } from "playwright-core";
import { findChromium } from "../../bench/report/chromium.js";
import { ServeCluster } from "../process/serve-cluster.js";
import { Command, PATIENCE_MS, scratchDir, until } from "../process/support.js";

const executablePath = findChromium();
const skip =
  executablePath === null ? "no Chromium here: install chromium, or name one with CHROMIUM" : false;
const scratch = scratchDir("page");
const cluster = new ServeCluster(join(scratch.path, "cluster"), 3);
let browser: Browser | null = null;
let isOver = false;
let load: Promise<void> = Promise.resolve();

before(async () => {
  if (executablePath === null) return;
  await cluster.start();
  browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
  load = some();
});
after(async () => {
  isOver = true;
  await load;
  await browser?.close();
  Command.killAll();
  scratch.remove();
});

/** Some reads and writes, through whoever answers. */
async function some(): Promise<void> {
  for (let i = 0; !isOver; i++) {
    const id = (i % 3) + 1;
    await cluster.tried(id, "PUT", `/kv/k${i % 50}`, `${i}`);
    // More reads than writes, or one line would lie over the other.
    for (let read = 0; read < 3; read++) await cluster.tried(id, "GET", `/kv/k${i % 50}?stale=1`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

async function opened(id: number, width: number, colorScheme: "light" | "dark") {
  const page = await browser!.newPage({ viewport: { width, height: 900 }, colorScheme });
  const complaints: string[] = [];
  const outside: string[] = [];
  page.on("console", (message) => {
    // Of what this test does itself.
    if (!message.text().includes("Multiple readback"))
      complaints.push(`${message.type()}: ${message.text()}`);
  });
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("request", (request) => {
    if (!request.url().startsWith(`${cluster.urlOf(id)}/`)) outside.push(request.url());
  });
  await page.goto(cluster.urlOf(id));
  return { page, complaints, outside };
}

/** Resolves when it knows its members. (The page forbids eval, and with it playwright's waitForFunction.) */
const shown = (page: Page) =>
  until("the members to be shown", PATIENCE_MS, async () => (await page.locator(".member").count()) === 3);

/** What the newest value of a line is said to be. */
const said = (page: Page, chart: string, line: number) =>
  page.locator(`[data-chart="${chart}"] .legend b`).nth(line).innerText();

/** Pixels of a chart that are neither its ground nor its grid: in the colour of a line. */
const INKED = `(name, variable) => {
  const canvas = document.querySelector('[data-chart="' + name + '"] canvas');
  const probe = document.createElement("canvas").getContext("2d");
  probe.fillStyle = getComputedStyle(document.documentElement).getPropertyValue(variable).trim();
  probe.fillRect(0, 0, 1, 1);
  const [r, g, b] = probe.getImageData(0, 0, 1, 1).data;
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let count = 0;
  for (let i = 0; i < data.length; i += 4)
    if (data[i + 3] === 255 && Math.abs(data[i] - r) + Math.abs(data[i + 1] - g) + Math.abs(data[i + 2] - b) < 12) count++;
  return count;
}`;
const inked = (page: Page, chart: string, hue: number) =>
  page.evaluate(`(${INKED})(${JSON.stringify(chart)}, "--series-${hue}")`) as Promise<number>;

const SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth";

for (const [width, colorScheme] of [
  [390, "dark"],
  [1280, "light"],
] as const) {
  test(`${width} px, ${colorScheme}: members, roles, charts that move`, { skip }, async () => {
    const { page, complaints, outside } = await opened(1, width, colorScheme);
    await shown(page);
    const leader = await cluster.leader();
    // On a busy machine one may be away for a moment.
    const expected = cluster.ids.map((id) => (id === leader ? "leads" : "follows")).join();
    await until(`${expected} to be shown`, PATIENCE_MS, async () => {
      const chips = await page.locator(".member .chip").allInnerTexts();
      return chips.join() === expected;
    });
    assert.match(await page.locator("h1").innerText(), new RegExp(`^Node ${leader} leads`));
    assert.match(
      await page
        .locator(".member")
        .nth(leader % 3)
        .innerText(),
      /match\s+\d.*next\s+\d.*state\s+replicating/s,
    );
    assert.equal(await page.locator("#summary").innerText(), "All three members answer.");
    await until("writes and reads to be counted", PATIENCE_MS, async () => {
      const values = await Promise.all([0, 1].map((line) => said(page, "throughput", line)));
      return values.every((value) => Number(value.replaceAll(",", "")) > 0);
    });
    for (const [chart, hue] of [
      ["throughput", 0],
      ["throughput", 1],
      ["latency", 0],
      ["latency", 1],
    ] as const)
      await until(`${chart} to be drawn`, PATIENCE_MS, async () => (await inked(page, chart, hue)) > 8);
    assert.ok(Number(await said(page, "latency", 0)) > 0);
    assert.equal(await page.evaluate(SIDEWAYS), 0, "it scrolls sideways");
    assert.equal(await page.locator("button").count(), 0);
    assert.match(
      await page.locator("#commands").innerText(),
      new RegExp(`curl ${cluster.urlOf(1)}/kv/greeting`),
    );
    assert.deepEqual([complaints, outside], [[], []]);
    await page.close();
  });
}

test("a follower is killed, then the leader, then the page's own node: the page tells each", {
  skip,
}, async () => {
  const leader = await cluster.leader();
  const [first, own] = cluster.ids.filter((id) => id !== leader);
  const { page } = await opened(own, 1280, "dark");
  await shown(page);
  const card = (id: number) => page.locator(".member").nth(id - 1);
  cluster.node(first).child.kill("SIGKILL");
  await until("the follower to be away", PATIENCE_MS, async () =>
    (await card(first).innerText()).includes("away"),
  );
  assert.match(await page.locator("#summary").innerText(), /^Two of 3 members answer; the group goes on\.$/);
  assert.match(await page.locator("#events").innerText(), new RegExp(`node ${first} is away`));
  await cluster.startNode(first);
  await until("it to be back", PATIENCE_MS, async () => (await card(first).innerText()).includes("follows"));
  cluster.node(leader).child.kill("SIGKILL");
  await until("another leader", PATIENCE_MS, async () => {
    const [, id] = /^Node (\d) leads/.exec(await page.locator("h1").innerText()) ?? [];
    return id !== undefined && Number(id) !== leader;
  });
  assert.match(await page.locator("#events").innerText(), /node \d leads term \d/);
  cluster.node(own).child.kill("SIGKILL");
  await until("the banner", PATIENCE_MS, async () => page.locator("#banner").isVisible());
  assert.match(await page.locator("#banner").innerText(), /does not answer since \d\d:\d\d:\d\d/);
  await page.close();
});
