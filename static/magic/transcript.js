const NEAR_END_PX = 48;

/** The list of answers. Follows its end as long as the reader stays there, and never pulls a reader who left it. */
export class Transcript {
  #list;
  #latest;
  #pinned = true;
  #lastTop = 0;

  /**
   * @param {HTMLElement} list
   * @param {HTMLButtonElement} latest the "jump to the latest" button
   */
  constructor(list, latest) {
    this.#list = list;
    this.#latest = latest;
    latest.addEventListener("click", () => this.follow());
    window.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    window.addEventListener("resize", () => this.grown());
  }

  /** @param {HTMLElement} answer */
  add(answer) {
    this.#list.append(answer);
    this.grown();
  }

  /** Goes to the end and stays there. */
  follow() {
    this.#pinned = true;
    this.grown();
  }

  /** The content has grown. */
  grown() {
    if (this.#pinned) window.scrollTo({ top: document.documentElement.scrollHeight, behavior: "instant" });
    else this.#latest.hidden = this.#toEnd() < NEAR_END_PX;
  }

  /** Told by position, not by time: growth never moves the page up, a reader who leaves does. */
  #scrolled() {
    const top = window.scrollY;
    if (this.#toEnd() < NEAR_END_PX) this.#pinned = true;
    else if (top < this.#lastTop) this.#pinned = false;
    this.#lastTop = top;
    this.#latest.hidden = this.#pinned;
  }

  #toEnd() {
    return document.documentElement.scrollHeight - window.innerHeight - window.scrollY;
  }
}
