/**
 * @typedef {object} WakeupHandlers
 * @property {() => void} onNetwork there is a network again
 * @property {() => void} onVisible the reader looks at the page
 * @property {() => void} onHide the page is left, perhaps into the back/forward cache
 * @property {(fromCache: boolean) => void} onReturn the page is shown, perhaps out of that cache
 */

/** What a page tells of itself, for as long as someone wants to know. */
export class Wakeups {
  #window;
  #document;
  #handlers;

  /**
   * @param {EventTarget | null} window
   * @param {(EventTarget & { visibilityState: string }) | null} document
   * @param {WakeupHandlers} handlers
   */
  constructor(window, document, handlers) {
    this.#window = window;
    this.#document = document;
    this.#handlers = handlers;
  }

  start() {
    this.#listen("addEventListener");
  }

  stop() {
    this.#listen("removeEventListener");
  }

  /** @param {"addEventListener" | "removeEventListener"} verb */
  #listen(verb) {
    this.#window?.[verb]("online", this.#onOnline);
    this.#window?.[verb]("pagehide", this.#onPageHide);
    this.#window?.[verb]("pageshow", this.#onPageShow);
    this.#document?.[verb]("visibilitychange", this.#onVisibility);
  }

  #onOnline = () => this.#handlers.onNetwork();

  #onPageHide = () => this.#handlers.onHide();

  /** @param {Event} event */
  #onPageShow = (event) => this.#handlers.onReturn(/** @type {PageTransitionEvent} */ (event).persisted === true);

  #onVisibility = () => {
    if (this.#document?.visibilityState !== "hidden") this.#handlers.onVisible();
  };
}
