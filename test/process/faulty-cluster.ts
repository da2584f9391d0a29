// A cluster of the service to which things happen: its processes are killed, stopped and started again, and each path between
// two of them, which leads through a relay, is cut. Who ends without having been killed is told.
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { freePorts } from "../../bench/harness/ports.js";
import { type PathState, Relay } from "../relay.js";
import { pause } from "./nemesis-clients.js";
import { type Peers, ServeCluster } from "./serve-cluster.js";
import { PATIENCE_MS, until } from "./support.js";

const START_ATTEMPTS_MAX = 10;
const JSON_TYPE = { "content-type": "application/json" };
const LAST_WORDS_MAX = 3000;

/** What /status tells, as far as it matters here. */
export interface Status {
  readonly id: number;
  readonly term: number;
  readonly leader: number;
  readonly commit: number;
  readonly applied: number;
  /** The newest; null: none yet. */
  readonly snapshot: { readonly index: number } | null;
  readonly members: readonly { readonly id: number; readonly role: string }[];
  /** What a leader knows of the others; whoever does not lead has none. */
  readonly progress: readonly { readonly id: number; readonly match: number }[];
  readonly isJoint: boolean;
}

/** What a machine is to a node: its addresses, and its directory. */
interface Place {
  readonly raft: string;
  readonly http: string;
  readonly dataDir: string;
}

/** As POST /members takes it. */
export interface Change {
  readonly add?: readonly {
    readonly id: number;
    readonly raft: string;
    readonly http: string;
    readonly learner: true;
  }[];
  readonly promote?: readonly number[];
  readonly remove?: readonly number[];
}

export class FaultyCluster extends ServeCluster {
  private readonly relays = new Map<string, Relay>();
  /** Who is to run now. */
  private readonly up = new Set<number>();
  private readonly stopped = new Set<number>();
  /** Whose process may end by itself: it is removed, or about to be. */
  private readonly leaving = new Set<number>();
  /** Where the members listen, and have what they have. */
  private readonly places = new Map<number, Place>();

  protected override async peersOf(id: number, peers: Peers): Promise<Peers> {
    const own: Peers = {};
    for (const [name, { raft, http }] of Object.entries(peers)) {
      const to = Number(name);
      own[to] = { raft, http };
      this.places.set(to, { raft, http, dataDir: `data-${to}` });
      if (to === id) continue;
      const relay = await Relay.listen(Number(raft.split(":")[1]));
      this.relays.set(`${id} ${to}`, relay);
      own[to] = { raft: `127.0.0.1:${relay.port}`, http };
    }
    return own;
  }

  /** Its address may be taken for a moment: by a connection of some other process. */
  override async startNode(id: number): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        await super.startNode(id);
        this.up.add(id);
        return;
      } catch (error) {
        const isTaken = /RAFT_ADDRESS_IN_USE|listens there already/.test((error as Error).message);
        if (!isTaken || attempt === START_ATTEMPTS_MAX) throw error;
        await pause(100);
      }
    }
  }

  isUp(id: number): boolean {
    return this.up.has(id);
  }

  /** kill -9. */
  async kill(id: number): Promise<void> {
    if (!this.up.delete(id)) return;
    this.stopped.delete(id);
    const node = this.node(id);
    node.child.kill("SIGKILL");
    await node.end(PATIENCE_MS);
  }

  /** SIGSTOP: it stands still, and its connections stay open. */
  stopNode(id: number): void {
    this.node(id).child.kill("SIGSTOP");
    this.stopped.add(id);
  }

  /** SIGCONT. */
  goOn(id: number): void {
    this.node(id).child.kill("SIGCONT");
    this.stopped.delete(id);
  }

  /** What `to` sends to `from` goes over this path, and little else: it is the one that `from` dials. */
  setPath(from: number, to: number, state: PathState): void {
    this.relays.get(`${from} ${to}`)!.set(state);
  }

  /** Neither hears the other. */
  setBothWays(one: number, other: number, state: PathState): void {
    this.setPath(one, other, state);
    this.setPath(other, one, state);
  }

  /** Every path open, every process running. */
  async heal(): Promise<void> {
    for (const relay of this.relays.values()) relay.set("open");
    for (const id of this.stopped) this.goOn(id);
    for (const id of this.ids) if (!this.up.has(id)) await this.startNode(id);
  }

  /** Throws if a process is gone that nobody killed, with what it said. */
  checkRunning(): void {
    for (const id of this.up) {
      if (this.leaving.has(id)) continue;
      const { child, stderr } = this.node(id);
      if (child.exitCode === null && child.signalCode === null) continue;
      throw new Error(
        `node ${id} ended by itself (${child.exitCode ?? child.signalCode}):\n${stderr.slice(-LAST_WORDS_MAX)}`,
      );
    }
  }

  /** Resolves when `condition` holds; throws when a process ends by itself meanwhile. */
  async until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
    await until(what, PATIENCE_MS, () => {
      this.checkRunning();
      return condition();
    });
  }

  /** Of those that answer. */
  async statuses(): Promise<Status[]> {
    const asked = [...this.up].filter((id) => !this.stopped.has(id));
    const answers = await Promise.all(asked.map((id) => this.tried(id, "GET", "/status")));
    return answers.flatMap((answer) => (answer?.status === 200 ? [answer.json as Status] : []));
  }

  /** Resolves with who leads: who says so itself, in the highest term that anybody knows. */
  override async leader(): Promise<number> {
    let leader = 0;
    await this.until("a leader", async () => {
      const all = await this.statuses();
      const newest = Math.max(...all.map(({ term }) => term));
      leader = all.find(({ id, term, leader: known }) => term === newest && known === id)?.id ?? 0;
      return leader !== 0;
    });
    return leader;
  }

  /** Starts node `id`, with an empty directory: at a place of its own, or at that of `former`, whose process is gone. */
  async join(id: number, former: number | null = null): Promise<void> {
    let place = former === null ? null : this.places.get(former)!;
    if (place === null) {
      const [raft, http] = (await freePorts(2)).map((port) => `127.0.0.1:${port}`);
      place = { raft, http, dataDir: `data-${id}` };
    }
    await rm(join(this.dir, place.dataDir), { recursive: true, force: true });
    this.places.set(id, place);
    const ids = [...this.ids.filter((other) => other !== former), id];
    const peers = Object.fromEntries(
      ids.map((each) => {
        const { raft, http } = this.places.get(each)!;
        return [each, { raft, http }];
      }),
    );
    this.configure(id, peers, place.dataDir, { initialClusterState: "existing" });
    await this.startNode(id);
  }

  /** What a change says of it. */
  memberOf(id: number): { id: number; raft: string; http: string } {
    const { raft, http } = this.places.get(id)!;
    return { id, raft, http };
  }

  /** Asks whoever leads, until its members are as the change has them. */
  async changeMembers(change: Change): Promise<void> {
    for (const id of change.remove ?? []) this.leaving.add(id);
    let said = "";
    await this.until(`the change ${JSON.stringify(change)} to be made`, async () => {
      const leader = await this.leader();
      const own = (await this.statuses()).find(({ id }) => id === leader);
      if (own !== undefined && isMade(change, own)) return true;
      const answer = await this.tried(leader, "POST", "/members", JSON.stringify(change), JSON_TYPE);
      if (answer?.text !== said) said = answer?.text ?? "";
      if (answer !== null && ![200, 409, 503, 504].includes(answer.status))
        throw new Error(`a change of members was answered with ${answer.status}: ${answer.text}`);
      return false;
    }).catch((error: Error) => {
      throw new Error(`${error.message}; it was said last: ${said}`);
    });
    const gone = change.remove ?? [];
    this.ids = [...this.ids, ...(change.add ?? []).map(({ id }) => id)].filter((id) => !gone.includes(id));
  }

  /** Resolves with the exit code of a node that was removed; null: it was killed before. */
  async farewell(id: number): Promise<number | null> {
    if (!this.up.delete(id)) return null;
    return this.node(id).end(PATIENCE_MS);
  }

  /** Resolves when `id` has applied what the others have now, while they go on. */
  async caughtUp(id: number): Promise<void> {
    const goal = Math.max(...(await this.statuses()).map(({ commit }) => commit));
    await this.until(`node ${id} to apply ${goal}`, async () => {
      const own = (await this.statuses()).find((status) => status.id === id);
      return own !== undefined && own.applied >= goal;
    });
  }

  /** What each last said, for who looks for what went wrong. */
  get lastWords(): string {
    return this.ids.map((id) => `node ${id}:\n${this.node(id).stderr.slice(-LAST_WORDS_MAX)}`).join("\n");
  }

  async end(): Promise<void> {
    await Promise.all([...this.up].map((id) => this.kill(id)));
    await Promise.all([...this.relays.values()].map((relay) => relay.close()));
  }
}

function isMade({ add = [], promote = [], remove = [] }: Change, { members, isJoint }: Status): boolean {
  const roles = new Map(members.map(({ id, role }) => [id, role]));
  return (
    !isJoint &&
    add.every(({ id }) => roles.has(id)) &&
    promote.every((id) => roles.get(id) === "voter") &&
    remove.every((id) => !roles.has(id))
  );
}
