const KEY = "magic-drafts";
const MOST = 30;

/** What was begun in each conversation and not sent. */
export class Drafts {
  #memory;

  /** @param {import("./memory.js").Memory} memory */
  constructor(memory) {
    this.#memory = memory;
  }

  /** @param {string} conversation */
  recall(conversation) {
    return this.#all().find(([name]) => name === conversation)?.[1] ?? "";
  }

  /**
   * @param {string} conversation
   * @param {string} text empty: forget
   */
  keep(conversation, text) {
    const others = this.#all().filter(([name]) => name !== conversation);
    const all = text === "" ? others : [/** @type {const} */ ([conversation, text]), ...others];
    this.#memory.keep(KEY, all.length === 0 ? "" : JSON.stringify(all.slice(0, MOST)));
  }

  /** @returns {(readonly [string, string])[]} the newest first */
  #all() {
    try {
      const kept = JSON.parse(this.#memory.recall(KEY) || "[]");
      return Array.isArray(kept) ? kept.filter(isDraft) : [];
    } catch {
      return [];
    }
  }
}

/** @param {unknown} value */
function isDraft(value) {
  return Array.isArray(value) && value.length === 2 && value.every((part) => typeof part === "string");
}
