import { count, dollars, duration } from "./format.js";
import { TextFlow } from "./text_flow.js";

/**
 * @typedef {"sending" | "waiting" | "writing" | "reconnecting" | "done" | "cancelled" | "error"} AnswerState
 *
 * @typedef {object} Facts
 * @property {string} model
 * @property {number | null} tokensIn
 * @property {number | null} tokensOut
 * @property {number | null} cost USD; null while unknown
 * @property {boolean} estimated
 * @property {number | null} firstTokenMs
 * @property {number | null} latencyMs
 * @property {number | null} reconnects null where this page did not follow the answer
 * @property {boolean} live
 */

/** One question and its answer on the page. Knows the DOM and nothing of the network. */
export class AnswerView {
  #text;
  #flow;
  #note;
  #facts;
  #stop;
  #retry;
  #onGrow;
  #chars = 0;
  #frame = 0;
  /** @type {Facts | null} */
  #latestFacts = null;

  /**
   * @param {HTMLTemplateElement} template
   * @param {{ message: string, onGrow: () => void, onStop: () => void, onRetry: () => void }} options
   */
  constructor(template, { message, onGrow, onStop, onRetry }) {
    const root = /** @type {DocumentFragment} */ (template.content.cloneNode(true));
    /** @type {(name: string) => HTMLElement} */
    const part = (name) => /** @type {HTMLElement} */ (root.querySelector(`[data-part="${name}"]`));
    this.element = part("answer");
    this.#text = part("text");
    this.#note = part("note");
    this.#facts = part("facts");
    this.#stop = /** @type {HTMLButtonElement} */ (part("stop"));
    this.#retry = part("retry");
    this.#onGrow = onGrow;
    this.#flow = new TextFlow(this.#text, onGrow);
    part("question").textContent = message;
    this.#stop.addEventListener("click", () => {
      this.#stop.disabled = true;
      onStop();
    });
    this.#retry.addEventListener("click", onRetry);
  }

  /** How much text was given to this view, shown or about to be. */
  get chars() {
    return this.#chars;
  }

  get words() {
    return this.#text.textContent?.match(/\S+/g)?.length ?? 0;
  }

  /** @param {string} text */
  append(text) {
    this.#chars += text.length;
    this.#flow.append(text);
  }

  /** @param {string} text */
  replace(text) {
    this.#chars = text.length;
    this.#flow.replace(text);
  }

  flush() {
    this.#flow.flush();
  }

  /** @param {AnswerState} state */
  setState(state) {
    if (this.element.dataset["state"] === state) return;
    const over = state === "done" || state === "cancelled" || state === "error";
    this.element.dataset["state"] = state;
    this.#text.setAttribute("aria-busy", String(!over));
    this.#stop.hidden = over || state === "sending";
  }

  /** Lets the reader press "Stop" again. */
  allowStop() {
    this.#stop.disabled = false;
  }

  /**
   * @param {string} sentence empty: no note
   * @param {boolean} [canRetry]
   */
  setNote(sentence, canRetry = false) {
    this.#note.textContent = sentence;
    this.#retry.hidden = !canRetry;
    const line = this.#note.parentElement;
    if (line) line.hidden = sentence === "";
    this.#onGrow();
  }

  /** @param {Facts} facts */
  setFacts(facts) {
    this.#latestFacts = facts;
    this.#frame ||= requestAnimationFrame(() => this.#paintFacts());
  }

  #paintFacts() {
    this.#frame = 0;
    if (this.#latestFacts) this.#facts.replaceChildren(...sentencesOf(this.#latestFacts).map(item));
    this.#onGrow();
  }
}

/** @param {Facts} facts */
function sentencesOf(facts) {
  return [
    facts.model,
    facts.tokensIn === null ? "" : `${count(facts.tokensIn)} tokens in`,
    facts.tokensOut === null ? "" : `${count(facts.tokensOut)} ${facts.tokensIn === null ? "tokens out" : "out"}`,
    costOf(facts),
    facts.firstTokenMs === null ? "" : `first token ${duration(facts.firstTokenMs)}`,
    facts.latencyMs === null ? "" : `total ${duration(facts.latencyMs)}`,
    facts.reconnects === null ? "" : `${facts.reconnects} ${facts.reconnects === 1 ? "reconnect" : "reconnects"}`,
  ].filter((sentence) => sentence !== "");
}

/** @param {Facts} facts */
function costOf({ cost, estimated, live }) {
  if (cost === null) return live ? "" : "cost unknown";
  return (estimated ? "~" : "") + dollars(cost);
}

/** @param {string} sentence */
function item(sentence) {
  const element = document.createElement("li");
  element.textContent = sentence;
  return element;
}
