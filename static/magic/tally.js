const MOST_RECOVERIES = 50;

/** What one connection has been through. */
export class Tally {
  /** How often the connection was taken up again. */
  reconnects = 0;
  /** Events that came more than once and were dropped. */
  duplicates = 0;
  /** Silences that were given up. */
  stalls = 0;
  /** Holes that did not close by themselves. */
  gaps = 0;
  /** Copies that were thrown away for the snapshot. */
  freshCopies = 0;
  /** The newest times from a loss to the next event, in milliseconds, rounded.
   * @type {number[]} */
  recoveries = [];
  /** @type {number | null} */
  #lostAt = null;

  /** @param {number} now */
  lost(now) {
    this.#lostAt ??= now;
  }

  /** @param {number} now */
  recovered(now) {
    if (this.#lostAt === null) return;
    this.recoveries.push(Math.round(now - this.#lostAt));
    if (this.recoveries.length > MOST_RECOVERIES) this.recoveries.shift();
    this.#lostAt = null;
  }
}
