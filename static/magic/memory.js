/**
 * What the browser keeps for this page. A browser that refuses to keep anything must not break the page.
 */
export class Memory {
  #storage;

  /** @param {() => Storage} storage merely to name `localStorage` throws where site data are blocked */
  constructor(storage) {
    this.#storage = storage;
  }

  /**
   * @param {string} key
   * @returns {string} empty where nothing is kept
   */
  recall(key) {
    try {
      return this.#storage().getItem(key) ?? "";
    } catch {
      return "";
    }
  }

  /**
   * @param {string} key
   * @param {string} value empty: forget
   */
  keep(key, value) {
    try {
      if (value === "") this.#storage().removeItem(key);
      else this.#storage().setItem(key, value);
    } catch {
      // Full or forbidden: the page goes on without.
    }
  }
}
