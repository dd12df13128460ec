import { count } from "./format.js";

/** A double click, or Enter held down, is one wish. */
const ONE_WISH_MS = 600;

/** Where the reader writes. */
export class Composer {
  #form;
  #field;
  #hint;
  #send;
  #stop;
  #options;
  #busy = false;
  #sentAt = -ONE_WISH_MS;
  #sent = "";
  /** What the text was made from, until it is sent, emptied or replaced: a template's `name@version`. */
  #template = "";

  /**
   * @param {HTMLFormElement} form with a textarea `message`, and `[data-part]`s hint, send and stop
   * @param {object} options
   * @param {number} options.maxChars
   * @param {(message: string, template: string) => void} options.onSend `template`: empty for none
   * @param {() => void} options.onStop
   * @param {(text: string) => void} options.onDraft told each change of what is written and not sent
   * @param {() => void} options.onUp the arrow key in an empty field
   */
  constructor(form, options) {
    /** @type {(name: string) => HTMLElement} */
    const part = (name) => /** @type {HTMLElement} */ (form.querySelector(`[data-part=${name}]`));
    this.#form = form;
    this.#field = /** @type {HTMLTextAreaElement} */ (form.elements.namedItem("message"));
    this.#hint = part("hint");
    this.#send = /** @type {HTMLButtonElement} */ (part("send"));
    this.#stop = /** @type {HTMLButtonElement} */ (part("stop"));
    this.#options = options;
    this.#field.addEventListener("input", () => this.#edited());
    this.#field.addEventListener("keydown", (event) => this.#pressed(event));
    this.#stop.addEventListener("click", () => this.stop());
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.send(this.#field.value);
    });
  }

  /** @param {string} message */
  send(message) {
    if (performance.now() - this.#sentAt < ONE_WISH_MS && ["", this.#sent].includes(message)) return;
    const complaint = this.#complaint(message);
    this.#tell(complaint);
    this.#field.focus();
    if (complaint !== "") return;
    this.#sentAt = performance.now();
    this.#sent = message;
    const isOwn = message === this.#field.value;
    const template = isOwn ? this.#template : "";
    if (isOwn) this.fill("");
    this.#options.onDraft(this.#field.value);
    this.#options.onSend(message, template);
  }

  stop() {
    // The second click of a double click on "Send" lands here.
    if (!this.#busy || this.#stop.disabled || performance.now() - this.#sentAt < ONE_WISH_MS) return;
    this.#options.onStop();
    this.#field.focus();
  }

  /** @param {boolean} busy whether an answer is being written, which has to end before the next can be asked for */
  setBusy(busy) {
    if (!busy && this.#busy) this.#tell("");
    const focused = document.activeElement === this.#stop || document.activeElement === this.#send;
    this.#busy = busy;
    this.#send.hidden = busy;
    this.#stop.hidden = !busy;
    if (focused) this.#field.focus();
  }

  /** @param {boolean} allowed whether there is something to stop: the server has to know of it, and it is asked once */
  allowStop(allowed) {
    this.#stop.disabled = !allowed;
  }

  /**
   * @param {string} text
   * @param {string} [template] what it was made from, as `name@version`
   */
  fill(text, template = "") {
    this.#field.value = text;
    this.#template = template;
    this.#tell("");
    this.#size();
  }

  focus() {
    this.#field.focus();
  }

  /** @param {string} message */
  #complaint(message) {
    if (message.trim() === "") return "Write a message first.";
    if (this.#busy) return "The answer is still being written. Wait for its end, or stop it with Esc.";
    // Characters as the server counts them: an emoji is one.
    const length = message.length > this.#options.maxChars ? [...message].length : 0;
    if (length <= this.#options.maxChars) return "";
    const excess = count(length - this.#options.maxChars);
    return `This message is too long: the limit is ${count(this.#options.maxChars)} characters. Shorten it by ${excess}.`;
  }

  #edited() {
    if (this.#field.value === "") this.#template = "";
    this.#options.onDraft(this.#field.value);
    this.#tell("");
    this.#size();
  }

  /** For browsers without `field-sizing`. */
  #size() {
    if (CSS.supports("field-sizing", "content")) return;
    this.#field.rows = Math.min(10, this.#field.value.split("\n").length);
  }

  /** @param {KeyboardEvent} event */
  #pressed(event) {
    if (event.key === "ArrowUp" && this.#field.value === "") {
      event.preventDefault();
      return this.#options.onUp();
    }
    // While an input method composes, Enter chooses a word (229 is how Safari says so).
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    if (!event.repeat) this.#form.requestSubmit();
  }

  /** @param {string} complaint */
  #tell(complaint) {
    if (this.#hint.textContent !== complaint) this.#hint.textContent = complaint;
    this.#field.setAttribute("aria-invalid", String(complaint !== ""));
  }
}
