// A shorter schedule that fails at the same checker: faults are left out, by kind and then in ever smaller lots, members
// and events too, for as long as the world still fails. Another world each time: what is left out changes what is drawn
// after it. So it is a search, and what it finds is shorter, not shortest.
import type { SimPlan } from "./run-sim.js";
import type { Outcome } from "./world.js";

export interface Shrunk {
  readonly plan: SimPlan;
  readonly outcome: Outcome;
  /** Worlds that it took. */
  readonly worlds: number;
}

/** What it runs a world with. */
type Run = (plan: SimPlan) => Promise<Outcome>;

/** A fault counts as so many events: fewer of them are easier to follow. */
const EVENTS_PER_FAULT = 300;

/** `outcome` is what `plan` came to, and has a violation. Takes `worldsMax` worlds, or one more. */
export async function shrink(plan: SimPlan, outcome: Outcome, run: Run, worldsMax: number): Promise<Shrunk> {
  return await new Shrinking(plan, outcome, run, worldsMax).all();
}

class Shrinking {
  private plan: SimPlan;
  private outcome: Outcome;
  private readonly run: Run;
  private readonly checker: string;
  private worldsLeft: number;
  private readonly worldsMax: number;

  constructor(plan: SimPlan, outcome: Outcome, run: Run, worldsMax: number) {
    this.plan = plan;
    this.outcome = outcome;
    this.run = run;
    this.checker = outcome.violation!.checker;
    this.worldsMax = worldsMax;
    this.worldsLeft = worldsMax;
  }

  async all(): Promise<Shrunk> {
    let size: number;
    do {
      size = sizeOf(this.outcome);
      await this.leaveOutKinds();
      await this.leaveOutMembers();
      await this.leaveOutFaults();
    } while (sizeOf(this.outcome) < size && this.worldsLeft > 0);
    // Where it fails before the faults end, they may as well end then.
    this.worldsLeft++;
    await this.accept({ ...this.plan, steps: Math.min(this.plan.steps, this.outcome.events) });
    const { plan, outcome, worldsMax, worldsLeft } = this;
    return { plan, outcome, worlds: worldsMax - worldsLeft };
  }

  /** Whether it fails in the same way, and sooner or with less. */
  private async accept(plan: SimPlan): Promise<boolean> {
    if (this.worldsLeft <= 0) return false;
    this.worldsLeft--;
    const outcome = await this.run(plan);
    if (outcome.violation?.checker !== this.checker || sizeOf(outcome) > sizeOf(this.outcome)) return false;
    this.plan = plan;
    this.outcome = outcome;
    return true;
  }

  private async leaveOutKinds(): Promise<void> {
    for (const kind of Object.keys(this.outcome.faults)) {
      await this.accept({ ...this.plan, without: [...(this.plan.without ?? []), kind] });
    }
  }

  private async leaveOutMembers(): Promise<void> {
    for (let nodes = 1; nodes < this.outcome.nodes; nodes++) {
      if (await this.accept({ ...this.plan, nodes })) return;
    }
  }

  /** By halves, quarters, and so on, of those that came. */
  private async leaveOutFaults(): Promise<void> {
    for (let lot = Math.ceil(this.outcome.drawn / 2); lot >= 1; lot = Math.floor(lot / 2)) {
      for (let from = 0; from < this.outcome.drawn; from += lot) {
        const skip = new Set(this.plan.skip);
        const before = skip.size;
        for (let at = from; at < from + lot; at++) skip.add(at);
        if (skip.size === before) continue;
        await this.accept({ ...this.plan, skip: [...skip].sort((a, b) => a - b) });
        if (this.worldsLeft <= 0) return;
      }
    }
  }
}

function sizeOf({ events, faults }: Outcome): number {
  const count = Object.values(faults).reduce((sum, each) => sum + each, 0);
  return events + EVENTS_PER_FAULT * count;
}
