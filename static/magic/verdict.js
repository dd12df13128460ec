import { isLive } from "./api.js";

/** Longer than this no start waits by itself: its reader is told instead. */
const LONGEST_START_WAIT_MS = 30_000;

/** Decides what to do about a lost connection once the server has said what is true. Remembers how it came to that. */
export class Verdict {
  /** What we had when a snapshot said that the stream is closed and has more.
   * @type {number | null} */
  #closedAt = null;
  /** Behind which event the last hole was. @type {number | null} */
  #holeBehind = null;
  #stuck = false;

  /**
   * @param {number | null} holeBehind the event after which one is missing, or can't be read; null for a loss without
   */
  lost(holeBehind) {
    this.#stuck = holeBehind !== null && holeBehind === this.#holeBehind;
    this.#holeBehind = holeBehind ?? this.#holeBehind;
  }

  /**
   * To go on from where we stand, to go on from the snapshot, or to end with it.
   *
   * @param {import("./api.js").Snapshot} snapshot
   * @param {number} lastEventId the last event that was delivered; -1 for none
   * @returns {"resume" | "fresh" | "end"}
   */
  on(snapshot, lastEventId) {
    const closed = !isLive(snapshot);
    // A closed log that was asked for its last events and gave none has none to give.
    const gaveNothing = this.#closedAt === lastEventId;
    this.#closedAt = closed ? lastEventId : null;
    if (!closed) return snapshot.last_event_id < lastEventId || this.#stuck ? "fresh" : "resume";
    const over = snapshot.last_event_id <= lastEventId || Boolean(snapshot.pruned_at);
    return over || gaveNothing || this.#stuck ? "end" : "resume";
  }
}

/**
 * Whether a start that failed is sent again, under the same id: nobody knows whether it arrived, or the server said
 * that it will have room soon.
 *
 * @param {import("./api.js").ApiError} error
 */
export function mayStartLater(error) {
  const soon = error.retryAfterMs !== null && error.retryAfterMs <= LONGEST_START_WAIT_MS;
  return error.unknown || ((error.status === 429 || error.status === 503) && soon);
}
