import { dollars } from "./format.js";
import { Memory } from "./memory.js";

const CHOICE = "magic-model";

/** @typedef {import("./api.js").Model} Model */

/** The choice of a model, with what it costs. */
export class ModelPicker {
  #select;
  #note;
  #memory = new Memory(() => localStorage);
  /** @type {Map<string, Model>} */
  #models = new Map();

  /**
   * @param {HTMLSelectElement} select
   * @param {HTMLElement} note
   */
  constructor(select, note) {
    this.#select = select;
    this.#note = note;
    select.addEventListener("change", () => {
      this.#memory.keep(CHOICE, select.value);
      this.#describe();
    });
  }

  /** The chosen model's id; empty: the server's default. */
  get value() {
    return this.#select.value;
  }

  /**
   * @param {Model[]} models
   * @param {string} preferred the server's default
   */
  fill(models, preferred) {
    this.#models = new Map(models.map((model) => [model.id, model]));
    this.#select.replaceChildren(...models.map(({ id }) => new Option(id, id)));
    const choice = [this.#memory.recall(CHOICE), preferred].find((id) => id && this.#models.has(id));
    if (choice) this.#select.value = choice;
    this.#select.disabled = models.length === 0;
    this.#describe();
  }

  /** The list can't be had; messages go to the server's default model. */
  unknown() {
    this.#note.textContent = "The list of models can't be loaded; the server's default is used.";
  }

  #describe() {
    const model = this.#models.get(this.#select.value);
    this.#note.textContent = model ? priceOf(model) : "No model is configured.";
  }
}

/** @param {Model} model */
function priceOf({ id, prices }) {
  if (id === "demo") return "Costs are counted, nobody is charged.";
  if (prices === null) return "No price is known for this model.";
  return `${dollars(prices.input)} in, ${dollars(prices.output)} out per million tokens`;
}
