/** @typedef {import("./following.js").Line} Line */

/** What is counted, by the name under which it is reported. */
const COUNTS = /** @type {const} */ ({
  reconnects: "reconnects",
  duplicates_dropped: "duplicates",
  stalls: "stalls",
  gaps: "gaps",
  fresh_copies: "freshCopies",
  connections_opened: "opened",
  connections_failed: "failed",
});

/**
 * Tells the server what this tab saw of its connections: counts and times, no text and no names. It does so at the end
 * of each answer and when the page is left, and each time only what is new.
 */
export class Telemetry {
  #url;
  #following;
  #send;
  /** What was told of each line.
   * @type {WeakMap<Line, { counts: Record<string, number>, recovered: number }>} */
  #told = new WeakMap();

  /**
   * @param {string} url
   * @param {import("./following.js").Following} following
   * @param {(url: string, body: string) => unknown} [send]
   */
  constructor(url, following, send = (url, body) => navigator.sendBeacon(url, body)) {
    this.#url = url;
    this.#following = following;
    this.#send = send;
  }

  /** @param {EventTarget} page tells when it is left */
  start(page = window) {
    this.#following.addEventListener("end", (event) => this.#report(/** @type {CustomEvent<Line>} */ (event).detail));
    page.addEventListener("pagehide", () => this.#following.live.forEach((line) => this.#report(line)));
  }

  /** @param {Line} line */
  #report(line) {
    const { tally } = line.connection;
    const told = this.#told.get(line) ?? { counts: {}, recovered: 0 };
    const counts = Object.fromEntries(Object.entries(COUNTS).map(([name, counted]) => [name, tally[counted]]));
    const news = Object.entries(counts).map(([name, count]) => [name, count - (told.counts[name] ?? 0)]);
    const fresh = tally.recovered - told.recovered;
    if (news.every(([, count]) => count === 0) && fresh === 0) return;
    this.#told.set(line, { counts, recovered: tally.recovered });
    const times = fresh === 0 ? [] : tally.recoveries.slice(-fresh);
    this.#send(this.#url, JSON.stringify({ ...Object.fromEntries(news), time_to_recover_ms: times }));
  }
}
