/** A browser allows six connections to a server that speaks HTTP/1.1: these leave room for the calls of every tab. */
const PLACES = 4;

const CHANNEL = "magic-places";

/**
 * The connections that all tabs of an origin share. A place is a Web Lock, so it comes free however its tab ends.
 */
export class Places {
  #locks;
  #names;
  #channel;

  /**
   * @param {Pick<LockManager, "request">} [locks]
   * @param {number} [count]
   * @param {(EventTarget & { postMessage: (message: unknown) => void }) | null} [channel] to the other tabs
   */
  constructor(locks = navigator.locks, count = PLACES, channel = null) {
    this.#locks = locks;
    this.#channel = channel;
    this.#names = Array.from({ length: count }, (_, number) => `magic-stream-${number}`);
  }

  /** The places of this browser; null where it can't share any: then every stream has a connection. */
  static ofBrowser() {
    const { navigator, BroadcastChannel } = globalThis;
    return navigator?.locks ? new Places(navigator.locks, PLACES, new BroadcastChannel(CHANNEL)) : null;
  }

  /** Asks the tabs that nobody looks at for a place. */
  ask() {
    this.#channel?.postMessage("wanted");
  }

  /**
   * @param {() => void} listener told when another tab asks
   * @param {AbortSignal} signal ends it
   */
  onAsked(listener, signal) {
    this.#channel?.addEventListener("message", listener, { signal });
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

/**
 * One stream's place: sought, held, left. Without `places` it is always held.
 *
 * Who looks at a page that waits goes before who doesn't: the page asks, and a hidden one gives its place up. It then
 * waits as the others do, and follows by the snapshot.
 */
export class Seat {
  #places;
  #isSeen;
  #on;
  /** @type {AbortController | null} */
  #seeking = null;
  /** @type {(() => void) | null} */
  #leave = null;

  /**
   * @param {import("./types.js").Options["places"]} places
   * @param {() => boolean} isSeen whether somebody looks at the page
   * @param {{ onTaken: () => void, onGivenUp: () => void }} on
   */
  constructor(places, isSeen, on) {
    this.#places = places ?? null;
    this.#isSeen = isSeen;
    this.#on = on;
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
      this.#take(leave);
    });
  }

  /** Still waits: asks the others, if somebody looks. */
  press() {
    if (this.#seeking !== null && this.#isSeen()) this.#places?.ask?.();
  }

  leave() {
    this.#seeking?.abort();
    this.#seeking = null;
    this.#leave?.();
    this.#leave = null;
  }

  /** @param {() => void} giveBack */
  #take(giveBack) {
    const held = new AbortController();
    this.#leave = () => {
      held.abort();
      giveBack();
    };
    this.#places?.onAsked?.(() => {
      if (this.#isSeen()) return;
      this.leave();
      this.#on.onGivenUp();
    }, held.signal);
    this.#on.onTaken();
  }
}
