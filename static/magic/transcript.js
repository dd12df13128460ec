/** Rounding; the end is where no more can be scrolled. */
const AT_END_PX = 2;

/** The list of answers. Follows its end as long as the reader stays there, and never pulls a reader who left it. */
export class Transcript {
  #list;
  #latest;
  #earlier;
  #pinned = true;
  #lastTop = 0;

  /**
   * @param {HTMLElement} list
   * @param {HTMLButtonElement} latest the "jump to the latest" button
   * @param {HTMLElement} earlier the "show earlier" button
   */
  constructor(list, latest, earlier) {
    this.#list = list;
    this.#latest = latest;
    this.#earlier = earlier;
    latest.addEventListener("click", () => this.follow());
    window.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    window.addEventListener("resize", () => this.grown());
    window.addEventListener("wheel", ({ deltaY }) => deltaY < 0 && this.#leave(), { passive: true });
    // Also what grows by itself: what comes into sight, a font that arrives.
    new ResizeObserver(() => this.grown()).observe(list);
  }

  /**
   * @param {HTMLElement[]} answers all that are to be there
   * @param {{ earlier: boolean }} more whether there are earlier ones
   */
  show(answers, { earlier }) {
    const same = answers.length === this.#list.children.length && answers.every((one, at) => one === this.#list.children[at]);
    if (!same) this.#list.replaceChildren(...answers);
    this.#earlier.hidden = !earlier;
    this.grown();
  }

  /** Goes to the end and stays there. */
  follow() {
    this.#pinned = true;
    this.grown();
  }

  /** The content has grown. */
  grown() {
    if (this.#pinned) {
      window.scrollTo({ top: document.documentElement.scrollHeight, behavior: "instant" });
      this.#lastTop = window.scrollY;
    }
    this.#showButton();
  }

  /** The reader turns the wheel up, which may move less than the page grows meanwhile. */
  #leave() {
    if (window.scrollY > 0) this.#pinned = false;
  }

  /** Told by position, not by time: growth never moves the page up, a reader who leaves does. */
  #scrolled() {
    const top = window.scrollY;
    if (this.#toEnd() <= AT_END_PX) this.#pinned = true;
    else if (top < this.#lastTop) this.#pinned = false;
    this.#lastTop = top;
    this.#showButton();
  }

  #showButton() {
    this.#latest.hidden = this.#pinned || this.#toEnd() <= AT_END_PX;
  }

  #toEnd() {
    return document.documentElement.scrollHeight - window.innerHeight - window.scrollY;
  }
}
