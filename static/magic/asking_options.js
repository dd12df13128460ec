const KEY = "magic-options";

/**
 * @typedef {{ system?: string, temperature?: number, max_tokens?: number }} Options
 */

/** The system prompt and the parameters that go along with every message. */
export class AskingOptions {
  #dialog;
  #form;
  #button;
  #memory;

  /**
   * @param {HTMLDialogElement} dialog with a form of `system`, `temperature` and `max_tokens`
   * @param {HTMLButtonElement} button opens it
   * @param {import("./memory.js").Memory} memory
   */
  constructor(dialog, button, memory) {
    this.#dialog = dialog;
    this.#form = /** @type {HTMLFormElement} */ (dialog.querySelector("form"));
    this.#button = button;
    this.#memory = memory;
    button.addEventListener("click", () => this.#open());
    this.#form.addEventListener("submit", ({ submitter }) => {
      if (/** @type {HTMLButtonElement | null} */ (submitter)?.value !== "cancel") this.#take();
    });
    dialog.querySelector("[data-part=reset]")?.addEventListener("click", () => {
      this.#keep({});
      this.#dialog.close();
    });
    this.#mark();
  }

  /** @returns {Options} without what was left to the model */
  get value() {
    try {
      const kept = JSON.parse(this.#memory.recall(KEY) || "{}");
      return kept !== null && typeof kept === "object" ? chosen(kept) : {};
    } catch {
      return {};
    }
  }

  #open() {
    const { system = "", temperature = "", max_tokens: most = "" } = this.value;
    this.#field("system").value = system;
    this.#field("temperature").value = String(temperature);
    this.#field("max_tokens").value = String(most);
    this.#dialog.showModal();
  }

  #take() {
    const [temperature, most] = [this.#field("temperature").value, this.#field("max_tokens").value];
    this.#keep({
      system: this.#field("system").value,
      ...(temperature !== "" && { temperature: Number(temperature) }),
      ...(most !== "" && { max_tokens: Number(most) }),
    });
  }

  /** @param {Options} options */
  #keep(options) {
    const kept = chosen(options);
    this.#memory.keep(KEY, Object.keys(kept).length === 0 ? "" : JSON.stringify(kept));
    this.#mark();
  }

  /** Shows that something is set: it changes every answer. */
  #mark() {
    const set = Object.keys(this.value).length > 0;
    this.#button.classList.toggle("is-set", set);
    this.#button.title = set ? "A system prompt or parameters are set" : "System prompt and parameters";
  }

  /** @param {string} name */
  #field(name) {
    return /** @type {HTMLInputElement | HTMLTextAreaElement} */ (this.#form.elements.namedItem(name));
  }
}

/**
 * @param {Record<string, unknown>} kept
 * @returns {Options}
 */
function chosen({ system, temperature, max_tokens: most }) {
  return {
    ...(typeof system === "string" && system.trim() !== "" && { system }),
    ...(typeof temperature === "number" && temperature >= 0 && temperature <= 2 && { temperature }),
    ...(typeof most === "number" && Number.isInteger(most) && most > 0 && most <= 1_000_000 && { max_tokens: most }),
  };
}
