import { partsOf, speedOf } from "./facts.js";
import { dollars } from "./format.js";

/** A speed over less is a guess. */
const LEAST_MS = 500;

/**
 * @typedef {import("./facts.js").Facts} Facts
 * @typedef {{ cost: number | null, estimated: boolean, unknown: boolean }} Total
 */

/** What the answer at the end, its conversation and the day took: always in sight. */
export class CostPill {
  #list;
  #totals;
  #now;
  #frame = 0;
  /** @type {Facts | null} */
  #facts = null;
  /** @type {{ at: number, tokens: number } | null} */
  #start = null;
  /** @type {Record<string, Total | null>} */
  #sums = { "This chat": null, Today: null };

  /**
   * @param {HTMLElement} list
   * @param {HTMLElement} totals
   * @param {() => number} [now] milliseconds
   */
  constructor(list, totals, now = () => performance.now()) {
    this.#list = list;
    this.#totals = totals;
    this.#now = now;
  }

  /** @param {Facts | null} facts of the answer at the end; null: there is none */
  show(facts) {
    this.#time(facts);
    this.#facts = facts;
    this.#schedule();
  }

  /**
   * @param {"This chat" | "Today"} what
   * @param {Total | null} total
   */
  setTotal(what, total) {
    this.#sums[what] = total;
    this.#schedule();
  }

  /** @param {Facts | null} facts */
  #time(facts) {
    if (facts === null || !facts.live || facts.tokensOut === null) this.#start = null;
    else if (this.#start === null || facts.tokensOut < this.#start.tokens) {
      this.#start = { at: this.#now(), tokens: facts.tokensOut };
    }
  }

  #speed() {
    if (this.#facts === null) return null;
    if (!this.#facts.live) return speedOf(this.#facts);
    if (this.#start === null || this.#facts.tokensOut === null) return null;
    const elapsed = this.#now() - this.#start.at;
    return elapsed < LEAST_MS ? null : ((this.#facts.tokensOut - this.#start.tokens) * 1000) / elapsed;
  }

  #schedule() {
    this.#frame ||= requestAnimationFrame(() => this.#paint());
  }

  #paint() {
    this.#frame = 0;
    const parts = this.#facts === null ? [] : partsOf(this.#facts, this.#speed());
    setItems(this.#list, parts);
    const sums = Object.entries(this.#sums).map(([what, total]) => (total === null ? "" : `${what} ${sumOf(total)}`));
    setItems(this.#totals, sums.filter((sum) => sum !== ""));
  }
}

/** @param {Total} total */
function sumOf({ cost, estimated, unknown }) {
  if (cost === null) return unknown ? "unknown" : "$0";
  return (estimated ? "~" : "") + dollars(cost) + (unknown ? " + unknown" : "");
}

/**
 * @param {Pick<import("./api.js").Snapshot, "total_cost" | "cost_state">[]} snapshots
 * @returns {Total}
 */
export function totalOf(snapshots) {
  const known = snapshots.filter(({ total_cost: cost }) => cost !== null);
  return {
    cost: known.length === 0 ? null : known.reduce((sum, { total_cost: cost }) => sum + (cost ?? 0), 0),
    estimated: snapshots.some(({ cost_state: state }) => state === "estimated"),
    unknown: snapshots.some(({ cost_state: state }) => state === "unknown"),
  };
}

/**
 * @param {HTMLElement} list
 * @param {string[]} texts
 */
function setItems(list, texts) {
  const items = [...list.children];
  texts.forEach((text, index) => {
    const item = items[index] ?? list.appendChild(document.createElement("li"));
    if (item.textContent !== text) item.textContent = text;
  });
  items.slice(texts.length).forEach((item) => item.remove());
}
