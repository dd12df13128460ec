import { copy } from "./copying.js";
import { EditForm } from "./edit_form.js";
import { summaryOf } from "./facts.js";
import { TextFlow } from "./text_flow.js";

/**
 * @typedef {"sending" | "waiting" | "writing" | "reconnecting" | "done" | "cancelled" | "error"} AnswerState
 *
 * @typedef {import("./facts.js").Facts} Facts
 *
 * @typedef {object} Wishes what the view tells
 * @property {() => void} onGrow the page has changed
 * @property {() => void} onRetry
 * @property {() => void} onContinue
 * @property {() => void} onRegenerate
 * @property {(message: string) => void} onEdit the question, asked anew in other words
 * @property {(step: 1 | -1) => void} onVersion
 * @property {(state: AnswerState) => void} onState
 * @property {(facts: Facts) => void} onFacts
 */

/** @type {WeakMap<Element, AnswerView>} */
const views = new WeakMap();

/**
 * @param {Element} element of an answer
 * @returns {string} its text as the server has it, Markdown and all
 */
export function textOf(element) {
  return views.get(element)?.text ?? "";
}

/** One question and its answer on the page. Knows the DOM and nothing of the network. */
export class AnswerView {
  #part;
  #text;
  #flow;
  #wishes;
  #message;
  #frame = 0;
  /** @type {Facts | null} */
  #latestFacts = null;
  /** The end, which is shown when all of the text is. @type {AnswerState | null} */
  #ending = null;
  /** @type {AnswerState} */
  state = "sending";
  /** "Stop" was pressed. */
  isStopping = false;

  /**
   * @param {HTMLTemplateElement} template
   * @param {{ message: string, newWriter: (element: HTMLElement) => import("./text_flow.js").Writer } & Wishes} options
   */
  constructor(template, { message, newWriter, ...wishes }) {
    const root = /** @type {DocumentFragment} */ (template.content.cloneNode(true));
    const parts = new Map([...root.querySelectorAll("[data-part]")].map((part) => [part.getAttribute("data-part"), part]));
    /** @type {(name: string) => HTMLElement} */
    this.#part = (name) => /** @type {HTMLElement} */ (parts.get(name));
    this.element = this.#part("answer");
    this.#text = this.#part("text");
    this.#wishes = wishes;
    this.#message = message;
    this.#flow = new TextFlow(this.#text, () => newWriter(this.#text), () => this.#grown());
    this.#part("question").textContent = message;
    this.#listen();
    views.set(this.element, this);
  }

  get text() {
    return this.#flow.source;
  }

  /** How much text was given to this view, shown or about to be. */
  get chars() {
    return this.#flow.source.length;
  }

  get words() {
    return this.#flow.source.match(/\S+/g)?.length ?? 0;
  }

  get message() {
    return this.#message;
  }

  /** What it took, as last told. */
  get facts() {
    return this.#latestFacts;
  }

  /** @param {string} text */
  append(text) {
    this.#flow.append(text);
  }

  /** @param {string} text */
  replace(text) {
    this.#flow.replace(text);
  }

  flush() {
    this.#flow.flush();
  }

  /** Writes the whole text again, by another writer. */
  rewrite() {
    if (this.chars > 0) this.#flow.restart();
  }

  /** @param {AnswerState} state */
  setState(state) {
    const over = state === "done" || state === "cancelled" || state === "error";
    this.#ending = over ? state : null;
    if (over) this.#flow.end();
    else this.#flow.reopen();
    if (!over || this.#flow.isDrained) this.#show(state);
  }

  /** Lets the reader press "Stop" again. */
  allowStop() {
    this.isStopping = false;
    this.#wishes.onState(this.state);
  }

  /**
   * @param {string} sentence empty: no note
   * @param {boolean} [canRetry]
   * @param {boolean} [canContinue] where there is a text
   */
  setNote(sentence, canRetry = false, canContinue = false) {
    this.#part("note").textContent = sentence;
    this.#part("continue").hidden = !canContinue || this.chars === 0;
    this.#part("retry").hidden = !canRetry;
    const line = this.#part("note").parentElement;
    if (line) line.hidden = sentence === "";
    this.#wishes.onGrow();
  }

  /** @param {Facts} facts */
  setFacts(facts) {
    this.#latestFacts = facts;
    this.#frame ||= requestAnimationFrame(() => this.#paintFacts());
  }

  /**
   * @param {number} number of this version, from 1
   * @param {number} of how many
   */
  setVersion(number, of) {
    this.#part("versions").hidden = of < 2;
    this.#part("version").textContent = `${number}/${of}`;
    /** @type {HTMLButtonElement} */ (this.#part("previous")).disabled = number === 1;
    /** @type {HTMLButtonElement} */ (this.#part("next")).disabled = number === of;
  }

  /** Opens the question for other words. */
  edit() {
    const form = new EditForm(this.#message, {
      onDone: (message) => {
        form.element.remove();
        this.#part("ask").hidden = false;
        if (message === null) this.#part("edit").focus();
        else this.#wishes.onEdit(message);
      },
    });
    this.#part("ask").hidden = true;
    this.#part("ask").before(form.element);
    form.focus();
  }

  #listen() {
    const { onRetry, onContinue, onRegenerate, onVersion } = this.#wishes;
    /** @type {Record<string, (event: Event) => void>} */
    const clicks = {
      retry: onRetry,
      continue: onContinue,
      regenerate: onRegenerate,
      previous: () => onVersion(-1),
      next: () => onVersion(1),
      edit: () => this.edit(),
      copy: ({ currentTarget }) => copy(/** @type {HTMLButtonElement} */ (currentTarget), this.text),
    };
    for (const [name, act] of Object.entries(clicks)) this.#part(name).addEventListener("click", act);
    this.#text.addEventListener("click", ({ target }) => {
      if (!(target instanceof HTMLButtonElement) || target.dataset["copy"] !== "code") return;
      const code = target.closest(".code")?.querySelector("code");
      void copy(target, code?.textContent ?? "");
    });
  }

  #grown() {
    if (this.#ending !== null && this.#flow.isDrained) this.#show(this.#ending);
    this.#wishes.onGrow();
  }

  /** @param {AnswerState} state */
  #show(state) {
    if (this.element.dataset["state"] === state) return;
    const over = state === "done" || state === "cancelled" || state === "error";
    this.state = state;
    this.element.dataset["state"] = state;
    this.#text.setAttribute("aria-busy", String(!over));
    this.#part("tools").hidden = !over;
    this.#part("edit").hidden = !over;
    this.#part("copy").hidden = this.chars === 0;
    this.#wishes.onState(state);
  }

  #paintFacts() {
    this.#frame = 0;
    if (this.#latestFacts === null) return;
    this.#part("summary").textContent = summaryOf(this.#latestFacts);
    this.#wishes.onFacts(this.#latestFacts);
    this.#wishes.onGrow();
  }
}
