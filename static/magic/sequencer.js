import { systemClock } from "./clock.js";

const DIGITS = /^[0-9]+$/;

/**
 * A hole in the sequence that did not close.
 *
 * @typedef {object} Gap
 * @property {number} expected the event id that is missing
 * @property {number} received the id that came and could not be delivered
 * @property {number} buffered how many later events wait behind the hole
 */

/**
 * Puts events into the order of their ids and lets each through once.
 *
 * `process` answers the data that is next; whatever had waited for it is then in `flushBuffer`.
 *
 * @template T
 */
export class MessageSequencer {
  /** @type {Map<number, T>} */
  #buffer = new Map();
  #next;
  #duplicates = 0;
  #capacity;
  #gapMs;
  #clock;
  /** @type {unknown} */
  #gapTimer = null;
  #toldOf = -1;

  /** Called once for each hole that stays open for `gapMs`, or behind which more than `capacity` ids lie.
   * @type {((gap: Gap) => void) | null} */
  onGap;

  /**
   * @param {number} [first] the first event id that is wanted
   * @param {object} [options]
   * @param {number} [options.capacity] how far ahead of the next id an event may be and is still held
   * @param {number} [options.gapMs] how long a hole may stay open
   * @param {(gap: Gap) => void} [options.onGap]
   * @param {import("./clock.js").Clock} [options.clock]
   */
  constructor(first = 0, { capacity = 1000, gapMs = 5000, onGap, clock = systemClock } = {}) {
    this.#next = first;
    this.#capacity = capacity;
    this.#gapMs = gapMs;
    this.#clock = clock;
    this.onGap = onGap ?? null;
  }

  /** The event id that is next in sequence. */
  get nextId() {
    return this.#next;
  }

  /** How many events wait for one that is missing. */
  get pending() {
    return this.#buffer.size;
  }

  /** How many events are known to be missing: later ones wait for them. */
  get missing() {
    return this.#buffer.size === 0 ? 0 : Math.max(...this.#buffer.keys()) + 1 - this.#next - this.#buffer.size;
  }

  /** How many events were dropped because they had come before. */
  get duplicates() {
    return this.#duplicates;
  }

  /**
   * @param {number | string} id a string of digits too, as an EventSource's `lastEventId` is one
   * @param {T} data
   * @returns {T | null} the data if it is next in sequence; null for a duplicate, late or buffered event
   */
  process(id, data) {
    const eventId = typeof id === "number" ? id : DIGITS.test(id) ? Number(id) : NaN;
    if (!Number.isSafeInteger(eventId) || eventId < 0) return null;
    if (eventId < this.#next || this.#buffer.has(eventId)) {
      this.#duplicates += 1;
      return null;
    }
    if (eventId === this.#next) {
      this.#next += 1;
      return data;
    }
    this.#hold(eventId, data);
    return null;
  }

  /** @returns {T[]} what became deliverable, in order */
  flushBuffer() {
    /** @type {T[]} */
    const ready = [];
    while (this.#buffer.has(this.#next)) {
      ready.push(/** @type {T} */ (this.#buffer.get(this.#next)));
      this.#buffer.delete(this.#next);
      this.#next += 1;
    }
    if (ready.length > 0 || this.#buffer.size === 0) this.#watchGap();
    return ready;
  }

  /** Forgets what is buffered and stops watching for gaps. A hole that is met again is told again. */
  close() {
    this.#buffer.clear();
    this.#toldOf = -1;
    this.#watchGap();
  }

  /**
   * @param {number} eventId
   * @param {T} data
   */
  #hold(eventId, data) {
    // The window, not the buffer's size, is the bound: so the event that closes a hole is never the one turned away.
    if (eventId - this.#next > this.#capacity) {
      this.#tell(eventId);
      return;
    }
    this.#buffer.set(eventId, data);
    if (this.#gapTimer === null) this.#watchGap();
  }

  #watchGap() {
    this.#clock.clearTimeout(this.#gapTimer);
    this.#gapTimer = null;
    if (this.#buffer.size === 0) return;
    this.#gapTimer = this.#clock.setTimeout(() => {
      this.#gapTimer = null;
      this.#tell(Math.min(...this.#buffer.keys()));
    }, this.#gapMs);
  }

  /** @param {number} received */
  #tell(received) {
    if (this.#toldOf === this.#next) return;
    this.#toldOf = this.#next;
    this.onGap?.({ expected: this.#next, received, buffered: this.#buffer.size });
  }
}
