// A crash leaves any prefix of the records of one write: entries without the hard state that raises their term, a vote
// without the entries behind it. A node that is opened on it knows what they prove and no more: its term, its vote and its
// commit index are what a reader of its own makes of them, and it goes on from there.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { type TestContext, test } from "node:test";
import {
  EMPTY_HARD_STATE,
  Entry,
  EntryNormal,
  type HardState,
  Message,
  type MessageType,
  MsgApp,
  MsgAppResp,
  MsgVote,
  MsgVoteResp,
} from "../../src/raft/index.js";
import { openWal, readWal, type Wal } from "../../src/wal/index.js";
import { lastNonZero } from "../../src/wal/recover/torn.js";
import { until } from "../process/support.js";
import { tempDir } from "../temp-dir.js";
import { durable, meta, options, WRITERS } from "../wal/helpers.js";
import { openNode, WAIT_MS } from "./nodes.js";
import { StubLink } from "./stub-link.js";

/** TORN_STEP=1 cuts behind every byte. */
const STEP = Number(process.env["TORN_STEP"] ?? Infinity);

const state = (term: number, vote: number, commit: number): HardState => ({ term, vote, commit });
const entries = (term: number, ...indexes: number[]): Entry[] =>
  indexes.map((index) => new Entry(EntryNormal, term, index, Buffer.from(`${index} of ${term}`)));

/** Behind entries 1 to 4 of term 1, of which 2 are known to be committed, and a vote for node 2 in term 2. */
const WRITES: [what: string, write: (wal: Wal) => unknown][] = [
  ["entries of a new leader", (wal) => wal.append(state(3, 0, 4), entries(3, 5, 6))],
  ["others in the place of some", (wal) => wal.append(state(3, 0, 3), entries(3, 3, 4, 5))],
  ["a vote", (wal) => wal.append(state(7, 3, 2), [])],
  [
    "a vote, and what its leader sends",
    (wal) => {
      wal.append(state(3, 3, 2), []);
      wal.append(state(3, 3, 5), entries(3, 5, 6));
    },
  ],
  [
    "a leader's entries, and older ones in their place of the next",
    (wal) => {
      wal.append(state(4, 0, 2), entries(4, 4, 5));
      wal.append(state(5, 3, 2), [...entries(3, 4), ...entries(5, 5, 6)]);
    },
  ],
  [
    "a snapshot ahead of the log, and what is behind it",
    async (wal) => {
      await wal.saveSnapshot(meta(20, 5, [1, 2, 3]), Buffer.from("state"));
      wal.append(state(6, 0, 21), entries(6, 21, 22));
    },
  ],
];

for (const writer of WRITERS)
  for (const [what, write] of WRITES)
    test(`${writer}: ${what}, cut anywhere`, async (t) => {
      const { dir, segment, from } = await settled(t);
      const wal = await openWal(options(path.join(dir, "1"), { writer }));
      await write(wal);
      await durable(wal, wal.append(null, []));
      await wal.close();
      const written = fs.readFileSync(segment);
      const to = lastNonZero(written, 0);
      assert.ok(to > from, "nothing was written");
      for (const end of cuts(path.dirname(segment), from, to)) {
        const copy = tempDir(t);
        fs.cpSync(dir, copy, { recursive: true });
        fs.writeFileSync(
          path.join(copy, path.relative(dir, segment)),
          written.fill(0, end === to ? to : end),
        );
        await goesOn(t, copy, writer, `${what}: ${end - from} of ${to - from} bytes`);
        fs.rmSync(copy, { recursive: true });
      }
    });

/** From the last on: before each record and in the middle of it, or as STEP says, and behind all. */
function cuts(walDir: string, from: number, to: number): number[] {
  const ends = new Set([to]);
  for (const { offset } of readWal(walDir)) if (offset >= from) ends.add(offset).add(offset + 12);
  for (let end = from; end < to; end += STEP) ends.add(end);
  return [...ends].sort((a, b) => b - a);
}

/** The directory of a stopped node, its newest segment and where that ends. */
async function settled(t: TestContext): Promise<{ dir: string; segment: string; from: number }> {
  const dir = tempDir(t);
  const { node } = await openNode(t, dir, 1, 3, { link: new StubLink(), tickMs: WAIT_MS });
  await node.close();
  const wal = await openWal(options(path.join(dir, "1")));
  await durable(wal, wal.append(state(2, 2, 2), entries(1, 1, 2, 3, 4)));
  await wal.close();
  const walDir = path.join(dir, "1", "wal");
  const names = fs.readdirSync(walDir).filter((name) => name.endsWith(".wal"));
  assert.equal(names.length, 1);
  const segment = path.join(walDir, names[0]!);
  return { dir, segment, from: lastNonZero(fs.readFileSync(segment), 0) };
}

/** What the log in `dir` says, by a reader that is not the one of opening. */
function read(dir: string): { hardState: HardState; log: Entry[]; snapshot: number } {
  let hardState = EMPTY_HARD_STATE;
  let snapshot = { index: 0, term: 0 };
  const log: Entry[] = [];
  for (const record of readWal(dir)) {
    if (record.type === "state") ({ hardState } = record);
    if (record.type === "snapshot") snapshot = record;
    if (record.type !== "entry") continue;
    const at = log.findIndex(({ index }) => index >= record.entry.index);
    if (at >= 0) log.length = at;
    log.push(record.entry);
  }
  const behind = log.filter(({ index }) => index > snapshot.index);
  const { term, vote, commit } = hardState;
  const proved = Math.max(term, behind.at(-1)?.term ?? 0, snapshot.term);
  hardState = {
    term: proved,
    vote: proved > term ? 0 : vote,
    commit: Math.max(commit, snapshot.index),
  };
  return { hardState, log: behind, snapshot: snapshot.index };
}

/** Opened as a node, it is what it should be, votes for nobody else than it did, and takes what a leader sends. */
async function goesOn(t: TestContext, dir: string, writer: (typeof WRITERS)[number], what: string) {
  const { hardState, log, snapshot } = read(path.join(dir, "1", "wal"));
  const { term, vote, commit } = hardState;
  const lastIndex = log.at(-1)?.index ?? snapshot;
  const link = new StubLink();
  const { node, machine } = await openNode(t, dir, 1, 3, { link, tickMs: WAIT_MS, writer });
  const found = node.status();
  assert.deepEqual([found.term, found.commit, found.lastIndex], [term, commit, lastIndex], what);
  const says = async (type: MessageType, from: number, fields: Partial<Message>, answer: MessageType) => {
    const before = link.sent.length;
    const message = Object.assign(new Message(type), { from, to: 1, ...fields });
    link.handler!.onMessages(0, from, [message]);
    const isAnswer = (m: Message): boolean => m.type === answer && m.to === from;
    await until(what, 10_000, () => link.sent.slice(before).some(isAnswer));
    return link.sent.slice(before).find(isAnswer)!;
  };
  // Whose log is as long as one of a candidate in that term can be.
  const asks = { term, index: lastIndex + 9, logTerm: term - 1 };
  const lastTerm = log.at(-1)?.term ?? 5;
  for (const candidate of [3, 2]) {
    const { reject } = await says(MsgVote, candidate, asks, MsgVoteResp);
    const isGranted = (vote || 3) === candidate && asks.logTerm >= lastTerm;
    assert.equal(reject, !isGranted, `${what}: votes for ${candidate}`);
  }
  const next = entries(term + 1, lastIndex + 1);
  const append = { term: term + 1, index: lastIndex, logTerm: lastTerm, entries: next };
  const answer = await says(MsgApp, 2, { ...append, commit: lastIndex + 1 }, MsgAppResp);
  assert.deepEqual([answer.reject, answer.index], [false, lastIndex + 1], what);
  await until(what, WAIT_MS, () => node.status().applied === lastIndex + 1);
  const texts = [...log, ...next].map(({ data }) => Buffer.from(data).toString());
  assert.deepEqual(machine.log, texts, what);
  await node.close();
}
