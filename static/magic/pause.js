import { Backoff } from "./backoff.js";

const LONGEST_WAIT_MS = 3_600_000;

/** The time before the next attempt: one at a time. */
export class Pause {
  #backoff;
  #clock;
  /** @type {unknown} */
  #timer = null;
  /** Until when the server wants to be left alone. */
  #notBefore = 0;

  /**
   * @param {import("./types.js").Options["retry"]} retry
   * @param {Pick<import("./types.js").Surroundings, "clock" | "random">} env
   */
  constructor(retry, { clock, random }) {
    this.#backoff = new Backoff({ ...retry, random });
    this.#clock = clock;
  }

  /** How many attempts were waited for since the last success. */
  get attempts() {
    return this.#backoff.attempts;
  }

  /** Whether the next attempt may be made now, if there is a reason. */
  get mayBeCut() {
    return this.#clock.now() >= this.#notBefore;
  }

  /**
   * Waits longer after each failure, and no less than the server asked for.
   *
   * @param {number} demandedMs
   * @param {() => void} then
   * @returns {number} for how long
   */
  afterFailure(demandedMs, then) {
    const leastMs = Math.min(demandedMs, LONGEST_WAIT_MS);
    const delayMs = Math.max(this.#backoff.next(), leastMs);
    this.#notBefore = this.#clock.now() + leastMs;
    this.after(delayMs, then);
    return delayMs;
  }

  /**
   * @param {number} delayMs
   * @param {() => void} then
   */
  after(delayMs, then) {
    this.stop();
    this.#timer = this.#clock.setTimeout(then, delayMs);
  }

  /** It worked: the next failure is the first. */
  succeeded() {
    this.#backoff.reset();
  }

  /** Nothing is waited for. */
  stop() {
    this.#clock.clearTimeout(this.#timer);
    this.#timer = null;
  }
}
