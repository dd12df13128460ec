import { arrivals, NO_FAULTS } from "./faults.js";

const TYPES = ["message_chunk", "heartbeat", "done", "error"];
/** What a stalled wire holds; what is beyond it is lost, and the client's to get again. */
const MOST_HELD = 1000;

/**
 * @typedef {object} Parts
 * @property {new (url: string) => EventSource} EventSource the real one
 * @property {typeof globalThis.fetch} fetch
 * @property {(url: string) => boolean} isHarmed which streams the faults are for
 * @property {(id: number, handOver: () => void) => void} onEvent an event comes to the client now
 * @property {() => void} onLost the client is told that its connection is lost
 * @property {import("../clock.js").Clock} clock
 * @property {() => number} random
 */

/**
 * A wire with faults, to be given to a connection as its `EventSource` and `fetch`. The connection knows nothing of it:
 * what it meets is what a bad network would do to it.
 */
export class Wire {
  /** @type {import("./faults.js").Faults} */
  faults = { ...NO_FAULTS };
  #cutsNext = false;
  /** @type {Set<FaultySource>} */
  #sources = new Set();
  EventSource;
  fetch;

  /** @param {Parts} parts */
  constructor(parts) {
    const wire = this;
    this.EventSource = /** @type {new (url: string) => EventSource} */ (
      /** @type {unknown} */ (
        class extends FaultySource {
          /** @param {string} url */
          constructor(url) {
            super(url, wire, parts);
          }
        }
      )
    );
    /** @type {typeof globalThis.fetch} */
    this.fetch = (url, init) => {
      if (this.faults.offline && parts.isHarmed(String(url))) return Promise.reject(new TypeError("offline"));
      return parts.fetch(url, init);
    };
  }

  /** Ends what is connected now; where nothing is, what connects next. */
  cut() {
    const connected = this.#harmed().filter((source) => source.isOpen);
    this.#cutsNext = connected.length === 0;
    for (const source of connected) source.fail();
  }

  /** @param {Partial<import("./faults.js").Faults>} faults those that change */
  set(faults) {
    this.faults = { ...this.faults, ...faults };
    if (this.faults.offline) for (const source of this.#harmed()) source.fail();
    if (!this.faults.stalled) for (const source of this.#harmed()) source.flow();
  }

  /** Makes all whole. */
  heal() {
    this.#cutsNext = false;
    this.set(NO_FAULTS);
  }

  /** @param {FaultySource} source */
  add(source) {
    this.#sources.add(source);
  }

  /** @param {FaultySource} source */
  delete(source) {
    this.#sources.delete(source);
  }

  /** @param {FaultySource} source that just connected */
  connected(source) {
    if (!this.#cutsNext || !source.isHarmed) return;
    this.#cutsNext = false;
    source.fail();
  }

  #harmed() {
    return [...this.#sources].filter((source) => source.isHarmed);
  }
}

/** An EventSource over a wire. */
class FaultySource extends EventTarget {
  /** @type {((event: Event) => void) | null} */
  onopen = null;
  /** @type {((event: Event) => void) | null} */
  onerror = null;
  isOpen = false;
  #url;
  #wire;
  #parts;
  /** @type {EventSource | null} */
  #real = null;
  #closed = false;
  /** @type {(() => void)[]} */
  #held = [];

  /**
   * @param {string} url
   * @param {Wire} wire
   * @param {Parts} parts
   */
  constructor(url, wire, parts) {
    super();
    this.#url = url;
    this.#wire = wire;
    this.#parts = parts;
    wire.add(this);
    if (this.#faults.offline) parts.clock.setTimeout(() => this.fail(), 0);
    else this.#connect();
  }

  get isHarmed() {
    return this.#parts.isHarmed(this.#url);
  }

  /** The connection is lost. */
  fail() {
    if (this.#closed) return;
    this.close();
    if (this.isHarmed) this.#parts.onLost();
    this.onerror?.(new Event("error"));
  }

  /** What was held comes now. */
  flow() {
    for (const act of this.#held.splice(0)) act();
  }

  close() {
    this.#closed = true;
    this.isOpen = false;
    this.#held = [];
    this.#real?.close();
    this.#wire.delete(this);
  }

  get #faults() {
    return this.isHarmed ? this.#wire.faults : NO_FAULTS;
  }

  #connect() {
    const real = new this.#parts.EventSource(this.#url);
    this.#real = real;
    real.onopen = () => this.#pass(() => this.#opened());
    for (const type of TYPES) real.addEventListener(type, (event) => this.#came(/** @type {MessageEvent} */ (event)));
  }

  #opened() {
    this.isOpen = true;
    this.onopen?.(new Event("open"));
    this.#wire.connected(this);
  }

  /** @param {MessageEvent} event */
  #came(event) {
    if (typeof event.data !== "string") {
      // Closed at once, or it would try again by itself.
      this.#real?.close();
      return this.#pass(() => this.fail());
    }
    for (const ms of arrivals(this.#faults, this.#parts.random)) {
      if (ms === 0) this.#pass(() => this.#handOver(event));
      else this.#parts.clock.setTimeout(() => this.#pass(() => this.#handOver(event)), ms);
    }
  }

  /** @param {MessageEvent} event */
  #handOver({ type, data, lastEventId }) {
    const copy = new MessageEvent(type, { data, lastEventId });
    const handOver = () => void (type === "error" ? this.onerror?.(copy) : this.dispatchEvent(copy));
    if (this.isHarmed) this.#parts.onEvent(Number(lastEventId), handOver);
    else handOver();
  }

  /** @param {() => void} act what happens at the client's end, unless the wire is stalled */
  #pass(act) {
    if (this.#closed) return;
    if (!this.#faults.stalled) return act();
    if (this.#held.length < MOST_HELD) this.#held.push(act);
  }
}
