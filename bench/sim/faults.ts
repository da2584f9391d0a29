// What befalls a simulated world: one draw after another while there is trouble, most of it aimed at whoever leads, and
// what its operator then does about nodes that ended. Times in microseconds.
import { RaftmarkError } from "../../src/base/errors.js";
import type { SimFile } from "./disk.js";
import { settledBytes } from "./durable-view.js";
import { MemberChanges } from "./member-changes.js";
import type { Cut, Weather } from "./network.js";
import { FAIR } from "./network.js";
import { Plots } from "./plots.js";
import { ELECTION_US, HEALTHY, type SimProcess } from "./process.js";
import { FAULTS, type Fault } from "./profiles.js";
import type { Stage } from "./stage.js";

/** Where a node remembers the logs of its peers, on its disk. */
const PEER_LOGS_PATH = "data/peer-logs.json";
/** The longest that a frame is under way. */
const LATE_US = 2 * ELECTION_US;

/** What befalls a minority at most, and once. */
const RARE: readonly Fault[] = ["bitFlip", "misdirected", "wipe", "deadDisk"];

export class Faults {
  /** How many of each kind came. */
  readonly counts: Record<string, number> = {};
  /** How many were drawn, those that are left out included. */
  drawn = 0;
  private readonly world: Stage;
  private readonly plots: Plots;
  /** Each kind as often as its weight. */
  private readonly lots: { readonly fault: Fault; readonly upTo: number }[] = [];
  private sum = 0;
  /** Half of all faults are of this kind: a world with its own character finds more than an average one. */
  private favourite: Fault | null = null;
  /** Nodes whose disk has failed, or refused to open, for a reason that this world knows. */
  private readonly excused = new Set<number>();
  /** Nodes that are started with a list of members that is not theirs. */
  private readonly mistaken = new Set<number>();
  private readonly changes: MemberChanges;

  constructor(world: Stage) {
    this.world = world;
    this.plots = new Plots(world);
    this.changes = new MemberChanges(world);
    const { weights } = world.plan.profile;
    for (const fault of FAULTS) {
      if (weights[fault] === 0) continue;
      this.sum += weights[fault];
      this.lots.push({ fault, upTo: this.sum });
    }
  }

  begin(): void {
    const { world } = this;
    const { dice, network } = world;
    if (world.plan.profile.weather) network.weather = this.drawWeather();
    if (this.lots.length === 0) return;
    this.favourite = dice.pick(this.lots).fault;
    if (RARE.includes(this.favourite)) this.favourite = null;
    world.each(dice.between(2, 10) * 10_000, () => this.befall());
  }

  private befall(): void {
    const { world } = this;
    const { dice } = world;
    const lot = dice.share() * this.sum;
    const drawn = this.lots.find(({ upTo }) => lot < upTo)!.fault;
    const fault = this.favourite !== null && dice.chance(0.5) ? this.favourite : drawn;
    const at = this.drawn++;
    if (world.plan.without?.includes(fault) === true || world.plan.skip?.includes(at) === true) return;
    const leaders = world.processes.filter((process) => process.leads);
    const victim = leaders.length > 0 && dice.chance(0.7) ? dice.pick(leaders) : dice.pick(world.processes);
    const long = Math.floor(
      dice.chance(0.7) ? dice.between(0.5, 3) * ELECTION_US : dice.between(0.01, 0.5) * ELECTION_US,
    );
    this.counts[fault] = (this.counts[fault] ?? 0) + 1;
    world.trace.note(victim.id, `fault: ${fault} for ${(long / 1000).toFixed(1)} ms`);
    this.kinds[fault](victim, long);
  }

  private readonly kinds: Record<Fault, (victim: SimProcess, long: number) => void> = {
    pause: (victim, long) => this.pause(victim, long),
    cut: (victim, long) => this.isolate(victim, long, this.world.dice.pick<Cut>(["lose", "break"])),
    hold: (victim, long) => this.isolate(victim, long, "hold"),
    split: (_victim, long) => this.split(long),
    slowPath: (victim, long) => this.slowPath(victim, long),
    narrowPath: (_victim, long) => this.narrowPath(long),
    reconnect: (victim) => {
      for (const { id } of this.world.others(victim)) {
        if (this.world.dice.chance(0.7)) this.world.network.reconnect(victim.id, id);
        if (this.world.dice.chance(0.7)) this.world.network.reconnect(id, victim.id);
      }
    },
    scatter: () => this.scatter(),
    turn: () => {
      this.world.network.weather = this.drawWeather();
    },
    transfer: (victim) => this.transfer(victim),
    campaign: (victim) => victim.enter("client", () => victim.node?.campaign()),
    kill: (victim, long) => this.crash(victim, false, long),
    powerLoss: (victim, long) => this.crash(victim, true, long),
    crashAtDisk: (victim) => {
      victim.opsLeft = this.world.dice.below(40);
    },
    crashInRecovery: (victim, long) => {
      this.crash(victim, this.world.dice.chance(0.5), long);
      this.world.after(long + 1, () => {
        if (victim.isUp && victim.node === null) victim.opsLeft = this.world.dice.below(60);
      });
    },
    relapse: (victim) => this.relapse(victim),
    blackout: (victim, long) => this.blackout(victim, long),
    restartStorm: (_victim, long) => this.restartStorm(long),
    close: (victim, long) => this.close(victim, long),
    clockJump: (victim) => {
      // Set back while it sleeps, a wall clock does not tell that it slept.
      if (victim.isPaused) return;
      victim.wallOffsetMs += this.world.dice.below(20_000) - 10_000;
    },
    slowDisk: (victim, long) => {
      const to = Math.floor(this.world.dice.between(0.02, 2) * ELECTION_US);
      this.troubled(victim, long, { ...HEALTHY, delay: { from: 100, to } });
    },
    hangingDisk: (victim, long) => {
      const hangsUntil = this.world.schedule.now + long;
      this.troubled(victim, long, { ...HEALTHY, hangsUntil });
    },
    failingDisk: (victim, long) => this.failing(victim, long, "EIO"),
    fullDisk: (victim, long) => this.failing(victim, long, "ENOSPC"),
    deadDisk: (victim) => this.deadDisk(victim),
    crossed: (victim, long) => this.crossed(victim, long),
    noDescriptors: (victim, long) => {
      victim.exhaustDescriptors(victim.node !== null);
      this.world.after(long, () => victim.exhaustDescriptors(false));
    },
    bitFlip: (victim, long) => this.ruin(victim, long, () => this.flipBit(victim)),
    misdirected: (victim, long) => this.ruin(victim, long, () => this.misdirect(victim)),
    wipe: (victim, long) => {
      // With a list that is not its own it would begin another group's log, and only others could tell.
      if (this.mistaken.has(victim.id) || !this.isKnownToAll(victim)) return;
      this.ruin(victim, long, () => this.wipe(victim));
    },
    otherMembers: (victim, long) => this.otherMembers(victim, long),
    otherOptions: (victim) => this.otherOptions(victim),
    abort: (victim) => this.world.abortSoon(victim),
    leadAgain: () => this.plots.leadAgain(),
    comeBack: (victim) => this.plots.comeBack(victim),
    lateAnswers: (victim) => this.plots.lateAnswers(victim),
    startAnew: (victim) => this.plots.startAnew(victim),
    aside: () => this.plots.aside(),
    transferStorm: (_victim, long) => this.plots.transferStorm(long),
    suspend: (victim, long) => this.suspend(victim, long),
    memberChange: () => this.changes.begin(),
    nap: (victim) => this.suspend(victim, this.world.dice.between(14_000, 20_000)),
  };

  // ---- network

  private drawWeather(): Weather {
    const { dice } = this.world;
    const isSlow = dice.chance(0.3);
    const delay = isSlow
      ? { from: 1_000, to: Math.floor(dice.between(5_000, 20_000)) }
      : { from: 100, to: Math.floor(dice.between(500, 4_000)) };
    return {
      delay,
      lost: dice.chance(0.5) ? dice.between(0, 0.1) : 0,
      doubled: dice.chance(0.5) ? dice.between(0, 0.3) : 0,
      damaged: dice.chance(0.3) ? dice.between(0, 0.02) : 0,
      doubleDelay: { from: 0, to: dice.below(LATE_US) },
      shuffles: dice.chance(0.3),
      bytesPerMs: dice.chance(0.2) ? dice.between(50, 2_000) : Infinity,
    };
  }

  /** Cuts it off: as it sends, as it hears, or both; from all the others or some. */
  private isolate(victim: SimProcess, long: number, how: Cut): void {
    const { dice } = this.world;
    const kind = dice.below(3);
    const share = dice.chance(0.5) ? 1 : dice.between(0.3, 1);
    for (const { id } of this.world.others(victim)) {
      if (!dice.chance(share)) continue;
      if (kind !== 0) this.cut(victim.id, id, long, how);
      if (kind !== 1) this.cut(id, victim.id, long, how);
    }
  }

  private split(long: number): void {
    const { dice, processes } = this.world;
    const how = dice.pick<Cut>(["lose", "hold", "break"]);
    const side = processes.filter(() => dice.chance(0.4));
    for (const one of side) {
      for (const other of processes) {
        if (side.includes(other)) continue;
        this.cut(one.id, other.id, long, how);
        this.cut(other.id, one.id, long, how);
      }
    }
  }

  private cut(from: number, to: number, long: number, how: Cut): void {
    this.world.network.cut(from, to, how);
    this.world.after(long, () => this.world.network.mend(from, to));
  }

  private slowPath(victim: SimProcess, long: number): void {
    const { dice, network } = this.world;
    const delay = { from: 0, to: Math.floor(dice.between(10_000, LATE_US)) };
    const kind = dice.below(3);
    for (const { id } of this.world.others(victim)) {
      if (kind !== 0) network.slowDown(victim.id, id, delay);
      if (kind !== 1) network.slowDown(id, victim.id, delay);
      this.world.after(long, () => {
        network.slowDown(victim.id, id, null);
        network.slowDown(id, victim.id, null);
      });
    }
  }

  private narrowPath(long: number): void {
    const { dice, network } = this.world;
    network.weather = { ...network.weather, bytesPerMs: dice.between(2, 200) };
    this.world.after(long, () => {
      network.weather = { ...network.weather, bytesPerMs: FAIR.bytesPerMs };
    });
  }

  /**
   * For a while what a leader appends gets to one other node only, and leaders come and go: logs grow apart, and what
   * one lost another may still bring back.
   */
  private scatter(): void {
    const { world } = this;
    const { dice, schedule, network } = world;
    const end = schedule.now + dice.between(3, 10) * ELECTION_US;
    const again = (): void => {
      const isOver = schedule.now > end || !world.trouble;
      for (const process of world.processes) {
        const only = dice.pick(world.processes);
        for (const { id } of world.others(process)) {
          network.allowBulk(process.id, id, isOver || id === only.id ? Infinity : 0);
        }
        if (isOver) continue;
        if (process.leads && dice.chance(0.7)) {
          this.isolate(process, Math.floor(dice.between(0.5, 1.5) * ELECTION_US), "lose");
        } else if (dice.chance(0.4)) this.kinds.campaign(process, 0);
        world.write();
      }
      if (!isOver) world.after(dice.between(0.5, 2) * ELECTION_US, again);
    };
    again();
  }

  // ---- leaders and processes

  /** It stands still, and what others ask of it before they know lies in its sockets until it goes on. */
  private pause(victim: SimProcess, long: number): void {
    const { world } = this;
    // Perhaps with a write on its way to the disk.
    world.writeAt(victim);
    world.after(world.dice.below(1_500), () => victim.pause());
    for (let i = 0; i < 4; i++) world.readSoon(world.dice.pick(world.processes), 10_000);
    world.after(1_500 + long, () => {
      if (!victim.isPaused) return;
      victim.resume();
      for (let i = 0; i < 2; i++) world.readSoon(victim, 600);
    });
  }

  /** Its host sleeps: its monotonic clock stands still with it, and others may elect another meanwhile. */
  private suspend(victim: SimProcess, long: number): void {
    const { world } = this;
    const { dice } = world;
    victim.suspend();
    world.after(long, () => {
      if (!victim.isPaused) return;
      victim.resume();
      for (let i = 0; i < 4; i++) world.readSoon(victim, 600);
    });
    if (dice.chance(0.5) || world.processes.length < 3) return;
    // What it still believes when it wakes nobody tells it, and others campaign as soon as they may.
    const promiseUs = victim.plan.tickMs * victim.plan.electionTicks * 1000;
    this.isolate(victim, long + promiseUs, "lose");
    const heir = dice.pick(world.others(victim));
    for (const share of [0.8, 0.85, 0.9, 0.95, 1, 1.1]) {
      world.after(share * promiseUs, () => this.kinds.campaign(heir, 0));
      world.after(share * promiseUs + 6_000, () => world.writeAt(heir));
    }
  }

  /** Leadership goes on, and everybody is asked meanwhile; what the old leader would hear of it may come late. */
  private transfer(leader: SimProcess): void {
    const { world } = this;
    const { dice } = world;
    const others = world.others(leader);
    if (others.length === 0) return;
    const heir = dice.pick(others);
    leader.enter("client", () => leader.node?.transferLeadership(heir.id));
    if (dice.chance(0.5)) {
      for (const other of others) {
        const long = Math.floor(dice.between(0.1, 1) * ELECTION_US);
        if (other === heir || dice.chance(0.7)) this.cut(other.id, leader.id, long, "lose");
      }
    }
    for (let i = 0; i < 8; i++) {
      world.after(dice.below(30_000), () => world.write());
      world.readSoon(leader, 30_000);
      world.readSoon(dice.pick(world.processes), 30_000);
    }
  }

  private crash(victim: SimProcess, powerLoss: boolean, long: number): void {
    const { world } = this;
    if (!victim.isUp) return;
    world.crash(victim, powerLoss);
    world.after(world.dice.chance(0.5) ? long : 100, () => this.restart(victim));
  }

  /** It is killed and starts anew, and then its machine loses power: what it found in the page cache may be gone. */
  private relapse(victim: SimProcess): void {
    const { world } = this;
    const { dice } = world;
    for (let i = 0; i < 4; i++) world.after(dice.below(4_000), () => world.writeAt(victim, null, 3_000));
    world.after(dice.below(6_000), () => this.crash(victim, false, 100));
    world.after(dice.between(10_000, 60_000), () => this.crash(victim, true, 100));
  }

  private restart(victim: SimProcess): void {
    const { world } = this;
    if (victim.isUp || this.world.ruined.has(victim.id)) return;
    world.start(victim);
    world.readSoon(victim, 3_000);
    world.readSoon(victim, 20_000);
    if (world.dice.chance(0.5)) {
      for (const at of [2_000, 12_000, 30_000]) world.after(at, () => this.kinds.campaign(victim, 0));
    }
  }

  /** Most of the others end and are back soon, while it hears nothing of them. */
  private blackout(survivor: SimProcess, long: number): void {
    const { world } = this;
    const { dice } = world;
    if (dice.chance(0.5)) this.isolate(survivor, long, "lose");
    else this.pause(survivor, Math.floor(dice.between(0.05, 1) * ELECTION_US));
    for (const process of world.others(survivor)) {
      if (dice.chance(0.8)) this.crash(process, dice.chance(0.5), dice.below(30_000));
    }
    for (let i = 0; i < 6; i++) world.after(dice.below(ELECTION_US), () => world.write());
  }

  /** Everybody ends, again and again, some before they have opened. */
  private restartStorm(long: number): void {
    const { world } = this;
    const rounds = 1 + world.dice.below(4);
    for (let i = 0; i < rounds; i++) {
      for (const process of world.processes) {
        const at = Math.floor(((i + world.dice.share()) * long) / rounds);
        world.after(at, () => {
          if (world.trouble) this.crash(process, world.dice.chance(0.5), world.dice.below(5_000));
        });
      }
    }
  }

  /** Its operator ends it in order, with calls under way, and now and then loses patience; then it starts anew. */
  private close(victim: SimProcess, long: number): void {
    const { world } = this;
    const { dice } = world;
    for (let i = dice.below(4); i > 0; i--) world.writeAt(victim);
    if (dice.chance(0.5)) world.read(victim);
    const again = (): void => world.after(dice.chance(0.5) ? long : 100, () => this.restart(victim));
    const within = (): number | undefined => dice.pick([undefined, 0, dice.between(1, ELECTION_US / 500)]);
    world.after(dice.below(3_000), () => {
      world.close(victim, within(), again);
      if (dice.chance(0.2)) world.after(dice.below(ELECTION_US), () => world.close(victim, within(), again));
    });
  }

  // ---- disks

  private troubled(victim: SimProcess, long: number, trouble: SimProcess["trouble"]): void {
    if (victim.isLame) return;
    victim.trouble = trouble;
    this.world.after(long, () => {
      if (victim.trouble === trouble) victim.trouble = HEALTHY;
    });
  }

  private failing(victim: SimProcess, long: number, code: "EIO" | "ENOSPC"): void {
    this.excused.add(victim.id);
    const failing = this.world.dice.chance(0.5) ? 1 : this.world.dice.between(0.01, 0.3);
    this.troubled(victim, long, { ...HEALTHY, failing, code });
  }

  /** It answers nothing any more, from now on to the end. */
  private deadDisk(victim: SimProcess): void {
    const { world } = this;
    if (!this.mayRuin(victim) || victim.node === null) return;
    world.ruined.add(victim.id);
    victim.trouble = { ...HEALTHY, hangsUntil: Infinity };
    world.lame(victim);
    // A disk that is asked nothing is not silent.
    for (let i = 0; i < 10; i++) world.after((i * ELECTION_US) / 2, () => world.poke(victim));
  }

  /** When all else is to heal: the disk of whoever leads may die, and the others have to go on. */
  lastAct(): void {
    const { world } = this;
    if (world.plan.profile.weights.deadDisk === 0 || !world.dice.chance(0.1)) return;
    const leader = world.processes.find(({ leads }) => leads);
    if (leader !== undefined) this.kinds.deadDisk(leader, 0);
  }

  /** Its disk is in trouble, and meanwhile others end and come back. */
  private crossed(victim: SimProcess, long: number): void {
    const { world } = this;
    const { dice } = world;
    this.kinds[dice.pick<Fault>(["slowDisk", "hangingDisk", "failingDisk", "fullDisk"])](victim, long);
    for (const other of world.others(victim)) {
      if (dice.chance(0.4)) world.after(dice.below(long), () => this.crash(other, dice.chance(0.5), 5_000));
    }
  }

  private mayRuin(victim: SimProcess): boolean {
    const { ruined, processes } = this.world;
    return !ruined.has(victim.id) && 2 * (ruined.size + 1) < processes.length;
  }

  /** Its machine goes off, and is another when it comes back. At most a minority of members is so hit. */
  private ruin(victim: SimProcess, long: number, how: () => void): void {
    const { world } = this;
    if (!this.mayRuin(victim)) return;
    world.ruined.add(victim.id);
    if (victim.isUp) world.crash(victim, true);
    how();
    world.after(long, () => world.start(victim));
  }

  private segmentOf(victim: SimProcess): [path: string, file: SimFile] | null {
    const segments = victim.disk
      .files()
      .filter(([path, file]) => path.endsWith(".wal") && file.durableSize > 0);
    return segments.length === 0 ? null : this.world.dice.pick(segments);
  }

  /** A bit of its log changes where it lies. */
  private flipBit(victim: SimProcess): void {
    const { dice, trace } = this.world;
    const [path, file] = this.segmentOf(victim) ?? [];
    if (file === undefined) return;
    const bit = dice.below(file.durableSize * 8);
    trace.note(victim.id, `bit ${bit & 7} of byte ${bit >> 3} of ${path} flips`);
    file.flipBit(bit);
  }

  /** A sector of its log, with a write behind it, was written to another place, and the disk said that it was there. */
  private misdirect(victim: SimProcess): void {
    const { dice, trace } = this.world;
    const [path, file] = this.segmentOf(victim) ?? [];
    if (file === undefined) return;
    const sectors = file.writtenSectors(settledBytes(file));
    if (sectors.length < 2) return;
    const from = dice.pick(sectors);
    const to = dice.pick(sectors.filter((sector) => sector !== from));
    trace.note(victim.id, `sector ${from} of ${path} was written to ${to}`);
    file.misdirect(from, to);
  }

  /** Whether all others remember its log on their platters: only then do they know another when they see it. */
  private isKnownToAll(victim: SimProcess): boolean {
    const textOf = (process: SimProcess): string | null => process.disk.durableText(PEER_LOGS_PATH);
    const own = textOf(victim);
    if (own === null) return false;
    const { own: id } = JSON.parse(own) as { own: string };
    return this.world.others(victim).every((other) => {
      const text = textOf(other);
      return text !== null && (JSON.parse(text) as { peers: Record<string, string> }).peers[victim.id] === id;
    });
  }

  /** Its directory is empty when it starts again. */
  private wipe(victim: SimProcess): void {
    this.world.trace.note(victim.id, "has lost everything in its directory");
    victim.disk.wipe();
    victim.isWiped = true;
    this.world.lame(victim);
  }

  // ---- what an operator does

  /** It is started with another list of members than its log has: it goes on with the log's. */
  private otherMembers(victim: SimProcess, long: number): void {
    const { world } = this;
    const { plan } = victim;
    if (!victim.hasOpened || world.ruined.has(victim.id) || world.processes.length < 2) return;
    if (this.mistaken.has(victim.id)) return;
    const others = plan.voters.filter((voter) => voter !== victim.id);
    const left = world.dice.pick(others);
    const voters = world.dice.chance(0.5) ? [victim.id] : plan.voters.filter((voter) => voter !== left);
    if (victim.isUp) world.crash(victim, false);
    this.mistaken.add(victim.id);
    victim.plan = { ...plan, voters };
    world.start(victim);
    world.after(Math.min(long, ELECTION_US), () => {
      victim.plan = { ...victim.plan, voters: plan.voters };
      this.mistaken.delete(victim.id);
      if (victim.isUp) world.crash(victim, false);
      this.restart(victim);
    });
  }

  /** It is started with other options, as long after it ended as docs/operate.md wants for leases. */
  private otherOptions(victim: SimProcess): void {
    const { world } = this;
    const { dice } = world;
    const { plan } = victim;
    if (world.ruined.has(victim.id) || !victim.isUp || this.mistaken.has(victim.id)) return;
    world.crash(victim, dice.chance(0.3));
    const { life } = victim;
    const promised = plan.electionTicks * plan.tickMs * 1000;
    world.after(1.1 * promised + dice.below(20_000), () => {
      if (victim.isUp || victim.life !== life) return;
      victim.plan = {
        ...victim.plan,
        tickMs: dice.pick([5, 10, 10, 15]),
        electionTicks: dice.pick([6, 10, 15]),
        storageWrites: dice.pick(["async", "sync"] as const),
        durability: dice.pick(["o_direct", "fdatasync"] as const),
        writer: dice.pick(["inline-js", "inline-wasm"] as const),
        segmentBytes: dice.pick([8 << 10, 16 << 10, 64 << 10]),
        logCacheBytes: dice.pick([1 << 10, 16 << 10, 1 << 20]),
        maxInflightMsgs: dice.pick([1, 4, 256]),
      };
      this.restart(victim);
    });
  }

  /** It did not open, or fenced itself: a surprise, unless its disk is to blame; then it is started again later. */
  failed(process: SimProcess, error: RaftmarkError): void {
    const { world } = this;
    const isDisk =
      error.code === "WAL_IO" || error.code === "WAL_NO_SPACE" || error.code === "WAL_NOT_WRITABLE";
    const isExcused = isDisk && this.excused.has(process.id);
    // Whatever its disk has, it says so: an invariant that broke, or any other exception, is a bug.
    const isRuined = world.ruined.has(process.id) && error instanceof RaftmarkError;
    if (!isExcused && !isRuined) {
      const cause = error.cause instanceof Error ? `\n${error.cause.stack}` : "";
      world.checker.fail("fault", `node ${process.id} failed: ${error.code} ${error.message}${cause}`);
      return;
    }
    const { life } = process;
    const isMachine = world.dice.chance(0.5);
    world.after(world.dice.below(2 * ELECTION_US), () => {
      if (process.life !== life) return;
      // A failed sync leaves the page cache untrue: only the machine's restart reads the platter.
      world.crash(process, isMachine || error.code === "WAL_IO");
      this.restart(process);
    });
  }

  /** It ended at an operation on its disk. */
  ended(process: SimProcess): void {
    const { world } = this;
    world.crash(process, world.dice.chance(0.5));
    world.after(world.dice.chance(0.5) ? 100 : world.dice.below(ELECTION_US), () => this.restart(process));
  }
}
