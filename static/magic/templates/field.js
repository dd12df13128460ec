import { element } from "./elements.js";

/** @typedef {import("./calls.js").Input} Input */
/** @typedef {HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement} Control */

const KINDS = { int: "number", float: "number", date: "date", email: "email", url: "url", bool: "checkbox" };
let made = 0;

/** One typed input of a template, with its label, its help, and what is wrong with it. */
export class Field {
  #input;
  #error = element("p", { className: "wrong", hidden: true });
  /** @type {Control[]} */
  #controls;

  /** @param {Input} input */
  constructor(input) {
    this.#input = input;
    const id = `template-field-${(made += 1)}`;
    this.#error.id = `${id}-error`;
    this.#controls = controlsOf(input, id);
    for (const control of this.#controls) {
      control.setAttribute("aria-describedby", this.#error.id);
      control.addEventListener("input", () => this.complain(""));
    }
    this.element = this.#wrapped(id);
    this.value = input.default;
  }

  get id() {
    return this.#input.id;
  }

  /** As the API takes it; what is empty is so on purpose. */
  get value() {
    const [first] = this.#controls;
    if (this.#input.type === "multi-enum") return this.#checked();
    if (first instanceof HTMLInputElement && first.type === "checkbox") return first.checked;
    return first?.value ?? "";
  }

  set value(/** @type {unknown} */ value) {
    for (const control of this.#controls) {
      if (!(control instanceof HTMLInputElement && control.type === "checkbox")) control.value = String(value ?? "");
      else control.checked = Array.isArray(value) ? value.includes(control.value) : value === true;
    }
  }

  /** @param {string} reason empty: nothing is wrong */
  complain(reason) {
    this.#error.textContent = reason === "" ? "" : `${this.#input.label} ${reason}.`;
    this.#error.hidden = reason === "";
    for (const control of this.#controls) control.setAttribute("aria-invalid", String(reason !== ""));
  }

  focus() {
    this.#controls[0]?.focus();
  }

  #checked() {
    return this.#controls.filter((each) => each instanceof HTMLInputElement && each.checked).map(({ value }) => value);
  }

  /** @param {string} id */
  #wrapped(id) {
    const { label, required, help, type } = this.#input;
    const name = required ? label : `${label} (optional)`;
    const notes = [...(help === "" ? [] : [element("p", { className: "help" }, help)]), this.#error];
    if (type === "multi-enum") {
      const choices = this.#controls.map((each) => element("label", {}, each, ` ${each.value}`));
      const group = element("div", { className: "choices" }, ...choices);
      return element("fieldset", { className: "template-field" }, element("legend", {}, name), group, ...notes);
    }
    const [control] = /** @type {[Control]} */ (this.#controls);
    const title = element("label", { htmlFor: id }, type === "bool" ? label : name);
    const parts = type === "bool" ? [control, " ", title] : [title, control];
    return element("div", { className: `template-field ${type}` }, ...parts, ...notes);
  }
}

/**
 * @param {Input} input
 * @param {string} id
 * @returns {Control[]}
 */
function controlsOf(input, id) {
  const choices = input.enum ?? [];
  if (input.type === "multi-enum") return choices.map((value) => element("input", { type: "checkbox", value }));
  if (input.type === "enum") {
    const empty = input.required ? [] : [new Option("", "")];
    return [element("select", { id }, ...empty, ...choices.map((choice) => new Option(choice, choice)))];
  }
  if (input.type === "text") return [element("textarea", { id, rows: 4, dir: "auto" })];
  const control = element("input", { id, type: KINDS[/** @type {keyof KINDS} */ (input.type)] ?? "text", dir: "auto" });
  const { min, max } = input.validators;
  if (min !== undefined) control.min = String(min);
  if (max !== undefined) control.max = String(max);
  if (input.type === "float") control.step = "any";
  return [control];
}
