import { systemClock } from "./clock.js";

/** Notices that nothing has come for too long. It tells once, and again only after new activity. */
export class StallDetector {
  #timeoutMs;
  #clock;
  #closed = false;
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
    this.lastActivity = this.#clock.now();
    this.resetTimer();
  }

  /** Grants the full time from now on. */
  resetTimer() {
    this.#clock.clearTimeout(this.#timer);
    this.#timer = this.#closed ? null : this.#clock.setTimeout(() => this.#stalled(), this.#timeoutMs);
  }

  /** Stops for good. */
  close() {
    this.#closed = true;
    this.resetTimer();
  }

  #stalled() {
    this.#timer = null;
    this.onStall?.();
  }
}
