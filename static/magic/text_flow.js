const BLOCK_CHARS = 4000;

/**
 * Grows a text on the page. What comes within one animation frame is written at once, and a long text is cut into
 * blocks at line ends, so that one more word never lays out the whole answer again. `textContent` stays the text.
 */
export class TextFlow {
  #element;
  #onFlush;
  #pending = "";
  #frame = 0;
  /** @type {Text | null} */
  #tail = null;

  /**
   * @param {HTMLElement} element
   * @param {() => void} onFlush called right after the page has grown
   */
  constructor(element, onFlush) {
    this.#element = element;
    this.#onFlush = onFlush;
  }

  /** @param {string} text */
  append(text) {
    this.#pending += text;
    this.#frame ||= requestAnimationFrame(() => this.flush());
  }

  /** @param {string} text */
  replace(text) {
    this.#element.replaceChildren();
    this.#tail = null;
    this.#pending = text;
    this.flush();
  }

  /** Writes what is pending now; a hidden tab has no animation frames. */
  flush() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    const text = this.#pending;
    this.#pending = "";
    if (text === "") return;
    this.#write(text);
    this.#onFlush();
  }

  /** @param {string} text */
  #write(text) {
    let rest = text;
    while (rest !== "") {
      const tail = (this.#tail ??= this.#newBlock());
      const cut = rest.indexOf("\n", Math.max(0, BLOCK_CHARS - tail.length)) + 1;
      const piece = cut === 0 ? rest : rest.slice(0, cut);
      tail.appendData(piece);
      rest = rest.slice(piece.length);
      if (cut > 0) this.#tail = null;
    }
  }

  #newBlock() {
    const block = document.createElement("div");
    const text = document.createTextNode("");
    block.append(text);
    this.#element.append(block);
    return text;
  }
}
