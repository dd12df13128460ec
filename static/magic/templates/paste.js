import { ApiError } from "../api.js";
import { element } from "./elements.js";

/** @typedef {import("./calls.js").Verdict} Verdict */

/** A message to paste, and what it is. */
export class Paste {
  #calls;
  #onVerdict;
  #content = element("textarea", { rows: 4, id: "paste-content", dir: "auto" });
  #button = element("button", { type: "submit", className: "plain" }, "Find a template");
  #found = element("div", { className: "found" });

  /**
   * @param {import("./calls.js").TemplateCalls} calls
   * @param {(verdict: Verdict) => void} onVerdict
   */
  constructor(calls, onVerdict) {
    this.#calls = calls;
    this.#onVerdict = onVerdict;
    this.#found.setAttribute("role", "status");
    const label = element("label", { htmlFor: this.#content.id }, "Or paste a message that wants an answer");
    const field = element("div", { className: "template-field text" }, label, this.#content);
    this.element = element("form", { noValidate: true }, field, this.#button, this.#found);
    this.element.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#judge(this.#content.value);
    });
  }

  /** @param {string} content */
  async #judge(content) {
    if (content.trim() === "") return this.#tell("Paste a message first.");
    this.#button.disabled = true;
    this.#tell("Reading …");
    try {
      const verdict = await this.#calls.triage({ content, artifact_id: `triage_${crypto.randomUUID()}` });
      this.#show(verdict);
      this.#onVerdict(verdict);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.#tell(error.message);
    } finally {
      this.#button.disabled = false;
    }
  }

  /** @param {Verdict} verdict */
  #show({ category, priority, summary, action_items, suggested_template }) {
    const items = action_items.map((item) => element("li", { dir: "auto" }, item));
    const tags = element("p", { className: "tags" }, element("span", {}, category), element("span", {}, priority));
    this.#found.replaceChildren(tags, element("p", { dir: "auto" }, summary));
    if (items.length > 0) this.#found.append(element("ul", {}, ...items));
    if (suggested_template === null) this.#found.append(element("p", { className: "help" }, "No template fits it."));
  }

  /** @param {string} sentence */
  #tell(sentence) {
    this.#found.replaceChildren(element("p", { className: "help" }, sentence));
  }
}
