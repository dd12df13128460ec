const MOST_RECOVERIES = 50;

/** What one connection has been through. */
export class Tally {
  /** Connections that came to stand. */
  opened = 0;
  /** Connections that were lost, or refused, before they stood. */
  failed = 0;
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
  /** How often it went on after a loss. */
  recovered = 0;
  /** The newest times from a loss to the next event, in milliseconds, rounded.
   * @type {number[]} */
  recoveries = [];
  /** Since when it is lost.
   * @type {number | null} */
  lostAt = null;

  /** @param {number} now */
  loses(now) {
    this.lostAt ??= now;
  }

  /** @param {number} now */
  recovers(now) {
    if (this.lostAt === null) return;
    this.recovered += 1;
    this.recoveries.push(Math.round(now - this.lostAt));
    if (this.recoveries.length > MOST_RECOVERIES) this.recoveries.shift();
    this.lostAt = null;
  }
}
