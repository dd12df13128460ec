import { systemClock } from "./clock.js";

/**
 * Notices that nothing has come for too long. It tells once, and again only after new activity.
 *
 * There is one timer, whatever comes: it looks when the time would be up, and goes on for what is left of it. A burst of
 * thousands of events a second costs a note of the time each.
 */
export class StallDetector {
  #timeoutMs;
  #clock;
  #closed = false;
  #since = 0;
  /** @type {unknown} */
  #timer = null;

  /** @type {(() => void) | null} */
  onStall;

  /**
   * @param {number} [timeoutMs]
   * @param {{ onStall?: () => void, clock?: import("./clock.js").Clock }} [options]
   */
  constructor(timeoutMs = 30_000, { onStall, clock = systemClock } = {}) {
    this.#timeoutMs = timeoutMs;
    this.#clock = clock;
    this.onStall = onStall ?? null;
    /** When something last came, in the clock's milliseconds. */
    this.lastActivity = clock.now();
    this.resetTimer();
  }

  /** Something came. */
  recordActivity() {
    this.resetTimer();
    this.lastActivity = this.#since;
  }

  /** Grants the full time from now on. */
  resetTimer() {
    this.#since = this.#clock.now();
    if (this.#timer === null && !this.#closed) this.#wait(this.#timeoutMs);
  }

  /** Stops for good. */
  close() {
    this.#closed = true;
    this.#clock.clearTimeout(this.#timer);
    this.#timer = null;
  }

  /** @param {number} ms */
  #wait(ms) {
    this.#timer = this.#clock.setTimeout(() => this.#look(), ms);
  }

  #look() {
    this.#timer = null;
    const now = this.#clock.now();
    // A clock that was set back must not have it wait for as long.
    this.#since = Math.min(this.#since, now);
    const leftMs = this.#since + this.#timeoutMs - now;
    if (leftMs > 0) this.#wait(leftMs);
    else this.onStall?.();
  }
}
