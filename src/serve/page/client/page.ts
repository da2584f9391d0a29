// The live page: asks its node for the cluster once a second and shows what it says. There is nothing to press.
import type { ClusterView } from "../../views.js";
import { Chart } from "./charts.js";
import { leaderOf, sampleOf } from "./figures.js";
import { roleOf, showMembers } from "./members.js";

const EVERY_MS = 1000;
const ANSWER_MS = 5000;
const EVENTS_MAX = 10;
const WORDS = ["No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine"];

const perSecond = (value: number) =>
  new Intl.NumberFormat("en-US", { maximumFractionDigits: value < 10 ? 1 : 0 }).format(value);
const milliseconds = (value: number) => String(Number(value.toPrecision(2)));

const throughput = new Chart(
  "throughput",
  [
    { label: "writes", hue: 0 },
    { label: "reads", hue: 1 },
  ],
  perSecond,
);
const latency = new Chart(
  "latency",
  [
    { label: "write p50", hue: 0 },
    { label: "write p99", hue: 0, dash: [6, 4] },
    { label: "read p50", hue: 1 },
    { label: "read p99", hue: 1, dash: [6, 4] },
  ],
  milliseconds,
  true,
);
/** Made when the members are known, and again when they are others. */
let lag: { readonly ids: string; readonly chart: Chart } | null = null;
let before: ClusterView | null = null;
/** By member: how it was. */
const roles = new Map<number, string>();
let unansweredSince: Date | null = null;

part("commands").textContent = [
  `curl -X PUT ${location.origin}/kv/greeting -d hello`,
  `curl ${location.origin}/kv/greeting`,
  `curl -N '${location.origin}/watch?from=1'`,
].join("\n");
void poll();

async function poll(): Promise<void> {
  try {
    const response = await fetch("/cluster", { signal: AbortSignal.timeout(ANSWER_MS) });
    if (!response.ok) throw new Error(`status ${response.status}`);
    show((await response.json()) as ClusterView);
    unansweredSince = null;
    part("banner").hidden = true;
  } catch {
    unansweredSince ??= new Date();
    const banner = part("banner");
    banner.textContent = `This page's node does not answer since ${clock(unansweredSince)}; what stands below is from before. It is asked again and again.`;
    banner.hidden = false;
  }
  setTimeout(() => void poll(), EVERY_MS);
}

function show(view: ClusterView): void {
  const time = Date.now() / 1000;
  document.title = headline(view);
  setText("headline", headline(view));
  setText("summary", summary(view));
  setText("seen-by", `as node ${view.self} sees it`);
  showMembers(part("members"), view);
  noteEvents(view);
  if (before !== null) draw(view, before, time);
  before = view;
}

function draw(view: ClusterView, earlier: ClusterView, time: number): void {
  const sample = sampleOf(earlier, view);
  throughput.add(time, [sample.writesPerS, sample.readsPerS]);
  latency.add(time, [sample.writeP50, sample.writeP99, sample.readP50, sample.readP99]);
  const ids = [...sample.behind.keys()];
  if (lag?.ids !== ids.join()) {
    const lines = ids.map((id, i) => ({ label: `node ${id}`, hue: i % 6 }));
    lag = { ids: ids.join(), chart: new Chart("lag", lines, perSecond) };
  }
  lag.chart.add(time, [...sample.behind.values()]);
}

function headline(view: ClusterView): string {
  const leader = leaderOf(view);
  return leader === null ? "Nobody leads" : `Node ${leader.id} leads term ${leader.status.term}`;
}

function summary({ members }: ClusterView): string {
  const up = members.filter(({ status }) => status !== null).length;
  const word = WORDS[up] ?? String(up);
  if (up === members.length) {
    return up === 1 ? "It is the only member." : `All ${word.toLowerCase()} members answer.`;
  }
  const majority = Math.floor(members.length / 2) + 1;
  const rest = up >= majority ? "the group goes on" : `the group waits until ${majority} do`;
  return `${word} of ${members.length} members ${up === 1 ? "answers" : "answer"}; ${rest}.`;
}

/** Changes of who leads and who is there, newest first. */
function noteEvents(view: ClusterView): void {
  const list = part("events");
  const isFirst = roles.size === 0;
  for (const member of view.members) {
    const [role] = roleOf(member);
    const was = roles.get(member.id);
    roles.set(member.id, role);
    if (isFirst || was === role) continue;
    const term = role === "leads" ? ` term ${member.status?.term}` : "";
    const item = document.createElement("li");
    const at = item.appendChild(document.createElement("time"));
    at.textContent = clock(new Date());
    item.append(`node ${member.id} ${role === "away" ? "is away" : role}${term}`);
    if (list.querySelector("time") === null) list.replaceChildren();
    list.prepend(item);
  }
  while (list.children.length > EVENTS_MAX) list.lastElementChild?.remove();
}

function clock(at: Date): string {
  return at.toLocaleTimeString("en-GB");
}

/** Only what is new is set: who has the page read aloud is not told the same every second. */
function setText(id: string, text: string): void {
  const element = part(id);
  if (element.textContent !== text) element.textContent = text;
}

function part(id: string): HTMLElement {
  return document.getElementById(id)!;
}
