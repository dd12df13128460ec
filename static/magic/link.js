import { Source } from "./source.js";
import { StallDetector } from "./stall.js";

/** One connection, for as long as it lasts, and how long it has been silent. After `close` it tells nothing more. */
export class Link {
  #source;
  #stall;
  #closed = false;

  /**
   * @param {string} url
   * @param {import("./source.js").SourceHandlers & { onSilence: () => void }} on
   * @param {Pick<import("./types.js").Surroundings, "EventSource" | "clock">} env
   * @param {number} [stallMs]
   */
  constructor(url, { onSilence, onOpen, onMessage, ...ends }, { EventSource, clock }, stallMs) {
    this.#stall = new StallDetector(stallMs, { onStall: onSilence, clock });
    /** @type {(act: (...given: any[]) => void) => (...given: any[]) => void} */
    const unlessClosed = (act) => (...given) => void (this.#closed || act(...given));
    /** @type {(act: (...given: any[]) => void) => (...given: any[]) => void} */
    const lively = (act) =>
      unlessClosed((...given) => {
        this.#stall.recordActivity();
        act(...given);
      });
    this.#source = new Source(new EventSource(url), {
      onOpen: lively(onOpen),
      onMessage: lively(onMessage),
      onLost: unlessClosed(ends.onLost),
      onUnreadable: unlessClosed(ends.onUnreadable),
    });
  }

  /** When something last came, in the clock's milliseconds. */
  get lastActivity() {
    return this.#stall.lastActivity;
  }

  close() {
    this.#closed = true;
    this.#source.close();
    this.#stall.close();
  }
}
