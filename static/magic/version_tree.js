/**
 * @typedef {object} Turn a question with its answer
 * @property {string} stream_id
 * @property {string | null} parent_id
 */

/**
 * The versions of a conversation: each turn follows one turn, or none, and is followed by any number of versions of the
 * next. One path through them is shown.
 *
 * @template {Turn} T
 */
export class VersionTree {
  /** @type {Map<string, T>} in the order of their making */
  #turns = new Map();
  /** The version that is shown after a turn; "" is before the first.
   * @type {Map<string, string>} */
  #chosen = new Map();

  /** @param {T} turn one that is known is replaced; the newest version is the one shown */
  add(turn) {
    const isNew = !this.#turns.has(turn.stream_id);
    this.#turns.set(turn.stream_id, turn);
    if (isNew) this.#chosen.set(this.#before(turn), turn.stream_id);
  }

  /** @param {string} streamId of a turn that came to nothing */
  remove(streamId) {
    const turn = this.#turns.get(streamId);
    if (turn === undefined) return;
    this.#turns.delete(streamId);
    const newest = this.#after(this.#before(turn)).at(-1);
    if (newest === undefined) this.#chosen.delete(this.#before(turn));
    else this.#chosen.set(this.#before(turn), newest.stream_id);
  }

  /** @param {string} streamId */
  get(streamId) {
    return this.#turns.get(streamId);
  }

  get turns() {
    return [...this.#turns.values()];
  }

  /** @returns {T[]} from the first turn to the last that is shown */
  get path() {
    const path = [];
    let next = this.#shownAfter("");
    while (next !== undefined) {
      path.push(next);
      next = this.#shownAfter(next.stream_id);
    }
    return path;
  }

  /**
   * @param {string} streamId
   * @returns {T[]} all versions of this turn, itself included, the oldest first
   */
  versions(streamId) {
    const turn = this.#turns.get(streamId);
    return turn === undefined ? [] : this.#after(this.#before(turn));
  }

  /** @param {string} streamId the version to show */
  choose(streamId) {
    const turn = this.#turns.get(streamId);
    if (turn !== undefined) this.#chosen.set(this.#before(turn), streamId);
  }

  /** @param {string} parent */
  #shownAfter(parent) {
    const chosen = this.#chosen.get(parent);
    return chosen === undefined ? undefined : this.#turns.get(chosen);
  }

  /** @param {string} parent */
  #after(parent) {
    return this.turns.filter((turn) => this.#before(turn) === parent);
  }

  /**
   * A turn whose own beginning is not known, for whatever reason, stands at the beginning itself.
   *
   * @param {T} turn
   */
  #before({ parent_id: parent }) {
    return parent !== null && this.#turns.has(parent) ? parent : "";
  }
}
