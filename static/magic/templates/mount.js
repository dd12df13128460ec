import { ApiError } from "../api.js";
import { TemplateCalls } from "./calls.js";
import { element } from "./elements.js";
import { TemplateForm } from "./form.js";
import { Paste } from "./paste.js";

/** @typedef {import("./calls.js").Template} Template */

/**
 * A picker of prompt templates, a form for the chosen one, and a box for a message that wants an answer.
 *
 * @param {HTMLElement} parent
 * @param {(text: string, template: string) => void} onMessage gets the filled-in template, ready to send, and its
 *   `name@version`
 * @param {{ base?: string }} [options] `base`: where the API is
 * @returns {Promise<boolean>} whether it is there; otherwise it says why not
 */
export async function mountTemplates(parent, onMessage, { base = "/api" } = {}) {
  addStyle();
  const calls = new TemplateCalls(base);
  const root = element("div", { className: "templates" }, element("p", { className: "help" }, "Loading templates …"));
  parent.append(root);
  try {
    show(root, calls, await calls.list(), onMessage);
    return true;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    root.replaceChildren(element("p", { className: "wrong" }, `The templates can't be loaded. ${error.message}`));
    return false;
  }
}

/**
 * @param {HTMLElement} root
 * @param {TemplateCalls} calls
 * @param {Template[]} templates
 * @param {(text: string, template: string) => void} onMessage
 */
function show(root, calls, templates, onMessage) {
  const options = templates.map(({ name, title }) => new Option(title, name));
  const picker = element("select", { id: "template-picker" }, new Option("Choose one", ""), ...options);
  const place = element("div");
  const pick = (/** @type {Record<string, unknown>} */ values) => {
    const template = templates.find(({ name }) => name === picker.value);
    const form = template && new TemplateForm(template, calls, onMessage);
    place.replaceChildren(...(form ? [form.element] : []));
    form?.fill(values);
  };
  const paste = new Paste(calls, ({ suggested_template, inputs }) => {
    picker.value = suggested_template ?? "";
    pick(inputs);
  });
  picker.addEventListener("change", () => pick({}));
  const label = element("label", { htmlFor: picker.id }, "Template");
  root.replaceChildren(element("div", { className: "template-field" }, label, picker), paste.element, place);
}

function addStyle() {
  const href = new URL("./templates.css", import.meta.url).href;
  if ([...document.styleSheets].some((sheet) => sheet.href === href)) return;
  document.head.append(element("link", { rel: "stylesheet", href }));
}
