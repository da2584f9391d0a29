// What the models of proposals-model and forwards-model have in common: a call of propose() or proposeMany() has its outcome
// when each of its entries has one, and what it is told is that.
import assert from "node:assert/strict";
import type { Proposed, RaftmarkError } from "../../src/index.js";

/** One entry of a call. */
export interface ModelItem {
  term: number;
  index: number;
  /** Empty: none yet. */
  outcome: string;
}

export class ModelCall<Item extends ModelItem> {
  readonly items: Item[] = [];
  readonly controller = new AbortController();
  /** The code of the first that was refused; empty: none was. */
  private refusal = "";
  /** What came of it in truth; empty: nothing yet. */
  told = "";

  /** `promise` is the call's. */
  hear(promise: Promise<readonly Proposed[]>): void {
    promise.then(
      (all) => {
        this.told = all.map(({ term, index, result }) => `${term}/${index} ${result}`).join(", ");
      },
      ({ code, mayCommit }: RaftmarkError) => {
        this.told = `${code} ${mayCommit}`;
      },
    );
  }

  reject(item: Item, code: RaftmarkError["code"], mayCommit: boolean): void {
    if (item.outcome !== "") return;
    item.outcome = `${code} ${mayCommit}`;
    if (this.refusal === "") this.refusal = code;
  }

  /** What is to be told; empty: nothing yet. */
  private get outcome(): string {
    const all = this.items.map(({ outcome }) => outcome);
    if (all.includes("")) return "";
    if (this.refusal === "") return all.join(", ");
    return `${this.refusal} ${all.some((outcome) => !outcome.endsWith("false"))}`;
  }

  /** It was told what the model has. Counts it in `seen` once it was told. */
  check(seen: Record<string, number>): void {
    assert.equal(this.told, this.outcome, `a call of ${this.items.length}`);
    if (this.told === "") return;
    const isPart = this.items.some(({ outcome }) => outcome.includes("/"));
    const name = this.refusal === "" ? "resolved" : `${this.refusal}${isPart ? " of some" : ""}`;
    seen[name] = (seen[name] ?? 0) + 1;
  }
}

export function isBehind(item: ModelItem, term: number, index: number): boolean {
  return item.term > term || (item.term === term && item.index > index);
}
