// A card for each member: its role, what it says of itself, and what the leader knows of it.
import type { ClusterView, MemberView } from "../../views.js";
import { leaderOf } from "./figures.js";

const ROLES: Readonly<Record<string, readonly [role: string, kind: string]>> = {
  StateLeader: ["leads", "leader"],
  StateFollower: ["follows", ""],
  StateCandidate: ["asks for votes", "candidate"],
  StatePreCandidate: ["asks for votes", "candidate"],
  StateFenced: ["stopped by a fault", "away"],
  StateRemoved: ["was removed", "away"],
  StateClosed: ["shuts down", "away"],
};
const PROGRESS: Readonly<Record<string, string>> = {
  StateProbe: "probing",
  StateReplicate: "replicating",
  StateSnapshot: "snapshot",
};
const number = new Intl.NumberFormat("en-US");

export function showMembers(box: HTMLElement, view: ClusterView): void {
  box.replaceChildren(...view.members.map((member) => card(view, member)));
}

/** "leads", "follows", "away": how the member is. */
export function roleOf({ status, role }: MemberView): readonly [role: string, kind: string] {
  if (role === "learner" && status?.state === "StateFollower") return ["learns, no vote", ""];
  return status === null ? ["away", "away"] : (ROLES[status.state] ?? [status.state, ""]);
}

function card(view: ClusterView, member: MemberView): HTMLElement {
  const { id, raft, http, status, error } = member;
  const [role, kind] = roleOf(member);
  const article = element("article", "member");
  const title = article.appendChild(element("h3", ""));
  title.append(`Node ${id}`, element("span", `chip ${kind}`, role));
  article.append(element("p", "", `${http}${id === view.self ? ", which shows you this" : ""}`));
  const list = article.appendChild(document.createElement("dl"));
  const row = (name: string, value: string) => list.append(element("dt", "", name), element("dd", "", value));
  const progress = leaderOf(view)?.status.progress.find((one) => one.id === id);
  if (status !== null) {
    row("term", number.format(status.term));
    row("committed", number.format(status.commit));
    row("applied", number.format(status.applied));
  }
  if (progress !== undefined && role !== "leads") {
    row("match", number.format(progress.match));
    row("next", number.format(progress.next));
    row("state", `${PROGRESS[progress.state]}, ${progress.inflightMsgs} under way`);
  }
  if (status !== null) {
    row("keys", number.format(status.kv.keys));
    row("log", `${bytes(status.log.bytes)}, from ${number.format(status.log.firstIndex)}`);
    if (status.snapshot !== null) row("snapshot", `at ${number.format(status.snapshot.index)}`);
    const { receivingSnapshot: coming } = status;
    if (coming !== null && coming.fileBytes > 0)
      row("gets a snapshot", `${Math.floor((100 * coming.bytes) / coming.fileBytes)} %`);
  }
  if (error !== null) row("why", error);
  article.title = `the other members reach it at ${raft}`;
  return article;
}

function bytes(count: number): string {
  const MiB = 1024 * 1024;
  if (count < 1024) return `${count} B`;
  return count < MiB ? `${Math.round(count / 1024)} KiB` : `${number.format(Math.round(count / MiB))} MiB`;
}

function element(tag: string, className: string, text = ""): HTMLElement {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}
