/** Delays between attempts: a fixed ladder whose last step repeats, each moved a little at random. */
export class Backoff {
  #step = 0;
  #steps;
  #jitter;
  #random;

  /**
   * @param {{ steps?: readonly number[], jitter?: number, random?: () => number }} [options]
   *   `steps` in milliseconds; `jitter` is the largest deviation, as a share of the step
   */
  constructor({ steps = [1000, 2000, 4000, 5000], jitter = 0.1, random = () => Math.random() } = {}) {
    if (steps.length === 0) throw new RangeError("a backoff needs at least one step");
    this.#steps = steps;
    this.#jitter = jitter;
    this.#random = random;
  }

  /** How many delays were handed out since the last reset. */
  get attempts() {
    return this.#step;
  }

  /** @returns {number} the next delay in milliseconds */
  next() {
    const step = this.#steps[Math.min(this.#step, this.#steps.length - 1)] ?? 0;
    this.#step += 1;
    return Math.round(step * (1 + this.#jitter * (2 * this.#random() - 1)));
  }

  reset() {
    this.#step = 0;
  }
}
