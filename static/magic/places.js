/** A browser allows six connections to a server that speaks HTTP/1.1: these leave room for the calls of every tab. */
const PLACES = 4;

/**
 * The connections that all tabs of an origin share. A place is a Web Lock, so it comes free however its tab ends.
 */
export class Places {
  #locks;
  #names;

  /**
   * @param {Pick<LockManager, "request">} [locks]
   * @param {number} [count]
   */
  constructor(locks = navigator.locks, count = PLACES) {
    this.#locks = locks;
    this.#names = Array.from({ length: count }, (_, number) => `magic-stream-${number}`);
  }

  /** The places of this browser; null where it can't share any: then every stream has a connection. */
  static ofBrowser() {
    return globalThis.navigator?.locks ? new Places() : null;
  }

  /**
   * Waits for a place, in the order of asking.
   *
   * @param {AbortSignal} signal gives up waiting; then the promise stays open
   * @returns {Promise<() => void>} gives the place back
   */
  take(signal) {
    return new Promise((resolve) => {
      const found = new AbortController();
      const waits = AbortSignal.any([signal, found.signal]);
      const hold = () => {
        // Two places may come free at once: the second is left at once, and so is one that nobody wants any more.
        if (waits.aborted) return undefined;
        found.abort();
        return new Promise((/** @type {(value?: unknown) => void} */ leave) => resolve(() => leave()));
      };
      for (const name of this.#names) this.#locks.request(name, { signal: waits }, hold).catch(() => {});
    });
  }
}

/** One stream's place: sought, held, left. Without `places` it is always held. */
export class Seat {
  #places;
  #onTaken;
  /** @type {AbortController | null} */
  #seeking = null;
  /** @type {(() => void) | null} */
  #leave = null;

  /**
   * @param {Pick<Places, "take"> | null} places
   * @param {() => void} onTaken
   */
  constructor(places, onTaken) {
    this.#places = places;
    this.#onTaken = onTaken;
  }

  get held() {
    return this.#places === null || this.#leave !== null;
  }

  seek() {
    if (this.held || this.#seeking !== null) return;
    const seeking = new AbortController();
    this.#seeking = seeking;
    void this.#places?.take(seeking.signal).then((leave) => {
      if (this.#seeking !== seeking) return leave();
      this.#seeking = null;
      this.#leave = leave;
      this.#onTaken();
    });
  }

  leave() {
    this.#seeking?.abort();
    this.#seeking = null;
    this.#leave?.();
    this.#leave = null;
  }
}
