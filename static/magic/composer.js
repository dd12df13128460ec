import { count } from "./format.js";
import { Memory } from "./memory.js";

const DRAFT = "magic-draft";
/** A double click, or Enter held down, is one wish. */
const ONE_WISH_MS = 600;

/** Where the reader writes. */
export class Composer {
  #form;
  #field;
  #hint;
  #maxChars;
  #onSend;
  #memory = new Memory(() => sessionStorage);
  #sentAt = -ONE_WISH_MS;

  /**
   * @param {HTMLFormElement} form with a textarea `message` and an element `[data-part=hint]`
   * @param {{ maxChars: number, onSend: (message: string) => void }} options
   */
  constructor(form, { maxChars, onSend }) {
    this.#form = form;
    this.#field = /** @type {HTMLTextAreaElement} */ (form.elements.namedItem("message"));
    this.#hint = /** @type {HTMLElement} */ (form.querySelector("[data-part=hint]"));
    this.#maxChars = maxChars;
    this.#onSend = onSend;
    this.#field.value = this.#memory.recall(DRAFT);
    this.#field.addEventListener("input", () => this.#edited());
    this.#field.addEventListener("keydown", (event) => this.#pressed(event));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.send(this.#field.value);
    });
  }

  /** @param {string} message */
  send(message) {
    if (performance.now() - this.#sentAt < ONE_WISH_MS) return;
    const complaint = this.#complaint(message);
    this.#tell(complaint);
    this.#field.focus();
    if (complaint !== "") return;
    this.#sentAt = performance.now();
    if (message === this.#field.value) this.#clear();
    this.#onSend(message);
  }

  /** @param {string} message */
  #complaint(message) {
    if (message.trim() === "") return "Write a message first.";
    // Characters as the server counts them: an emoji is one.
    const length = message.length > this.#maxChars ? [...message].length : 0;
    if (length <= this.#maxChars) return "";
    const excess = count(length - this.#maxChars);
    return `This message is too long: the limit is ${count(this.#maxChars)} characters. Shorten it by ${excess}.`;
  }

  #clear() {
    this.#field.value = "";
    this.#memory.keep(DRAFT, "");
  }

  #edited() {
    this.#memory.keep(DRAFT, this.#field.value);
    this.#tell("");
  }

  /** @param {KeyboardEvent} event */
  #pressed(event) {
    // While an input method composes, Enter chooses a word (229 is how Safari says so).
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    if (!event.repeat) this.#form.requestSubmit();
  }

  /** @param {string} complaint */
  #tell(complaint) {
    this.#hint.textContent = complaint;
    this.#field.setAttribute("aria-invalid", String(complaint !== ""));
  }
}
