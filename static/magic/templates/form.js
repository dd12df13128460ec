import { ApiError } from "../api.js";
import { count } from "../format.js";
import { element } from "./elements.js";
import { Field } from "./field.js";

/** @typedef {import("./calls.js").Template} Template */

/** A template's inputs to fill in, and the prompt that they make. */
export class TemplateForm {
  #template;
  #calls;
  #fields;
  #status = element("p", { className: "help" });
  #preview = element("pre", { className: "preview", hidden: true, tabIndex: 0 });

  /**
   * @param {Template} template
   * @param {import("./calls.js").TemplateCalls} calls
   * @param {(text: string, template: string) => void} onMessage
   */
  constructor(template, calls, onMessage) {
    this.#template = template;
    this.#calls = calls;
    this.#fields = template.inputs.map((input) => new Field(input));
    this.#status.setAttribute("role", "status");
    this.#preview.setAttribute("aria-label", "The prompt");
    const use = element("button", { type: "submit", className: "strong" }, "Use it");
    const look = element("button", { type: "button", className: "plain" }, "Preview");
    const row = element("div", { className: "template-row" }, use, look);
    const about = element("p", { className: "help" }, template.description);
    const fields = this.#fields.map((field) => field.element);
    this.element = element("form", { noValidate: true }, about, ...fields, row, this.#status, this.#preview);
    look.addEventListener("click", () => void this.#render());
    this.element.addEventListener("submit", async (event) => {
      event.preventDefault();
      const rendered = await this.#render();
      if (rendered !== null) onMessage(rendered.prompt, `${template.name}@${rendered.version}`);
    });
  }

  /** @param {Record<string, unknown>} values by input id; the others stay */
  fill(values) {
    for (const field of this.#fields) if (field.id in values) field.value = values[field.id];
    this.#fields[0]?.focus();
  }

  async #render() {
    const values = Object.fromEntries(this.#fields.map((field) => [field.id, field.value]));
    this.#status.textContent = "Filling in …";
    try {
      const rendered = await this.#calls.render(this.#template.name, values);
      this.#complain([]);
      this.#status.textContent = `About ${count(rendered.estimated_tokens)} tokens.`;
      this.#preview.textContent = rendered.prompt;
      this.#preview.hidden = false;
      return rendered;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.#complain(error.errors);
      this.#status.textContent = this.#sentence(error);
      return null;
    }
  }

  /** @param {import("../api.js").BadParameter[]} errors */
  #complain(errors) {
    const reasons = new Map(errors.map(({ name, reason }) => [name, reason]));
    for (const field of this.#fields) field.complain(reasons.get(field.id) ?? "");
    this.#fields.find((field) => reasons.has(field.id))?.focus();
  }

  /** @param {ApiError} error */
  #sentence(error) {
    const known = error.errors.filter(({ name }) => this.#fields.some((field) => field.id === name));
    return error.errors.length > 0 && known.length === error.errors.length ? "" : error.message;
  }
}
