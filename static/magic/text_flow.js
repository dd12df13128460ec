/** A frame has 16 ms; what the writing leaves of it is for layout and paint. */
const BUDGET_MS = 6;
const SLICE = 2048;
/** A hidden tab has no animation frames. */
const HIDDEN_MS = 250;

/**
 * @typedef {object} Writer
 * @property {(text: string) => void} write
 * @property {() => void} end nothing more comes
 */

/**
 * Grows an answer on the page: what comes within one animation frame is written at once, and what is too much for one
 * frame is spread over several. Keeps the text as it came.
 */
export class TextFlow {
  #element;
  #newWriter;
  #onFlush;
  /** @type {Writer | null} */
  #writer = null;
  #source = "";
  #written = 0;
  #over = false;
  #cancel = () => {};
  #scheduled = false;

  /**
   * @param {HTMLElement} element
   * @param {() => Writer} newWriter for an empty element
   * @param {() => void} onFlush called right after the page has grown, and when all is written
   */
  constructor(element, newWriter, onFlush) {
    this.#element = element;
    this.#newWriter = newWriter;
    this.#onFlush = onFlush;
  }

  /** The text as the server has it, shown or about to be. */
  get source() {
    return this.#source;
  }

  /** Whether all of it is on the page. */
  get isDrained() {
    return this.#written === this.#source.length && (this.#writer === null || !this.#over);
  }

  /** @param {string} text */
  append(text) {
    this.#source += text;
    this.#schedule();
  }

  /** @param {string} text in place of all that is there */
  replace(text) {
    if (text === this.#source) return;
    this.#source = text;
    this.restart();
  }

  /** Writes everything again, by a new writer. */
  restart() {
    this.#element.replaceChildren();
    this.#writer = null;
    this.#written = 0;
    this.flush();
  }

  /** The text is complete. */
  end() {
    this.#over = true;
    this.flush();
  }

  /** There is more to come: what went on is one text with it. */
  reopen() {
    if (!this.#over) return;
    this.#over = false;
    this.restart();
  }

  /** Writes now what fits into a frame. */
  flush() {
    this.#cancel();
    this.#scheduled = false;
    const deadline = performance.now() + BUDGET_MS;
    while (this.#written < this.#source.length && performance.now() < deadline) {
      const piece = this.#source.slice(this.#written, this.#written + SLICE);
      (this.#writer ??= this.#newWriter()).write(piece);
      this.#written += piece.length;
    }
    if (this.#written < this.#source.length) this.#schedule();
    else if (this.#over) this.#finish();
    this.#onFlush();
  }

  #finish() {
    this.#writer?.end();
    this.#writer = null;
  }

  #schedule() {
    if (this.#scheduled) return;
    this.#scheduled = true;
    if (document.hidden) {
      const timer = setTimeout(() => this.flush(), HIDDEN_MS);
      this.#cancel = () => clearTimeout(timer);
    } else {
      const frame = requestAnimationFrame(() => this.flush());
      this.#cancel = () => cancelAnimationFrame(frame);
    }
  }
}
