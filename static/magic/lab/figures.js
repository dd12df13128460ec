import { count, duration } from "../format.js";
import { element } from "./markup.js";

const STATES = /** @type {Record<string, string>} */ ({
  idle: "not begun",
  starting: "sending",
  polling: "waiting for a place; the server is asked each second",
  connecting: "connecting",
  open: "connected",
  asking: "lost; asking the server",
  waiting: "lost; waiting for the next attempt",
  suspended: "asleep",
  closed: "over",
});

const NAMES = /** @type {const} */ ({
  state: "Connection",
  last: "Last event",
  missing: "Gaps now",
  duplicates: "Duplicates dropped",
  reconnects: "Reconnects",
  recovery: "Time to recover",
});

/** What the connection says of itself, and whether the text here is the text on the server. */
export class Figures {
  element;
  #values;
  #proof;

  /** @param {() => void} onCompare */
  constructor(onCompare) {
    this.#values = /** @type {Record<keyof typeof NAMES, HTMLElement>} */ (
      Object.fromEntries(Object.keys(NAMES).map((name) => [name, element("dd", { "data-figure": name }, "–")]))
    );
    const rows = Object.entries(NAMES).flatMap(([name, label]) => [
      element("dt", {}, label),
      this.#values[/** @type {keyof typeof NAMES} */ (name)],
    ]);
    const compare = element("button", { type: "button" }, "Compare with the server");
    compare.addEventListener("click", onCompare);
    this.#proof = element("div", { class: "lab-proof", role: "status" });
    this.element = element("div", {}, element("dl", { class: "lab-figures" }, ...rows), compare, this.#proof);
  }

  /** @param {import("../connection.js").ResilientSSEConnection} connection */
  show(connection) {
    const { tally, missing, lastEventId, state } = connection;
    const longest = Math.max(0, ...tally.recoveries);
    const latest = tally.recoveries.at(-1);
    this.#put("state", STATES[state] ?? state);
    this.#put("last", lastEventId < 0 ? "none yet" : String(lastEventId));
    this.#put("missing", count(missing));
    this.#put("duplicates", count(tally.duplicates));
    this.#put("reconnects", count(tally.reconnects));
    this.#put("recovery", latest === undefined ? "–" : `${duration(latest)} (longest ${duration(longest)})`);
    this.#values.missing.classList.toggle("lab-alarm", missing > 0);
  }

  clearProof() {
    this.#proof.replaceChildren();
    delete this.#proof.dataset["same"];
  }

  /** @param {string} sentence */
  proofFails(sentence) {
    this.clearProof();
    this.#proof.textContent = sentence;
  }

  /** @param {import("./proof.js").Proof} proof */
  showProof({ same, whole, chars, here, there }) {
    const extent = whole ? `all ${count(chars)} characters` : `the first ${count(chars)} characters, as far as both go`;
    const verdict = same ? `Identical: ${extent}.` : `Different within ${extent}.`;
    this.#proof.dataset["same"] = String(same);
    this.#proof.replaceChildren(element("p", {}, verdict), hashes("Here", here), hashes("Server", there));
  }

  /**
   * @param {keyof typeof NAMES} name
   * @param {string} text
   */
  #put(name, text) {
    if (this.#values[name].textContent !== text) this.#values[name].textContent = text;
  }
}

/**
 * @param {string} label
 * @param {string | null} hash
 */
function hashes(label, hash) {
  const text = hash ?? "SHA-256 needs a page over HTTPS or from this machine";
  return element("p", { class: "lab-hash" }, element("span", {}, label), " ", element("code", {}, text));
}
