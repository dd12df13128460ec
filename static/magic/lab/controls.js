import { element } from "./markup.js";

/** @typedef {import("./faults.js").Faults} Faults */

const SLIDERS = /** @type {const} */ ([
  { name: "delayMs", label: "Delay", most: 2000, step: 100, unit: " ms", scale: 1 },
  { name: "duplicates", label: "Repeat", most: 50, step: 5, unit: " %", scale: 100 },
  { name: "reorder", label: "Reorder", most: 50, step: 5, unit: " %", scale: 100 },
  { name: "loss", label: "Lose", most: 30, step: 5, unit: " %", scale: 100 },
]);

/** The buttons and sliders that break the wire. */
export class Controls {
  element;
  #inputs;
  #toggles;

  /** @param {{ onCut: () => void, onChange: (faults: Partial<Faults>) => void }} handlers */
  constructor({ onCut, onChange }) {
    const cut = element("button", { type: "button", class: "lab-cut" }, "Cut the wire");
    cut.addEventListener("click", onCut);
    this.#toggles = [toggle("Stall", "stalled", onChange), toggle("Go offline", "offline", onChange)];
    this.#inputs = SLIDERS.map((slider) => new Slider(slider, onChange));
    this.element = element(
      "div",
      { class: "lab-controls" },
      element("div", { class: "lab-buttons" }, cut, ...this.#toggles),
      ...this.#inputs.map((input) => input.element),
    );
  }

  /** Everything back to nothing. */
  reset() {
    for (const button of this.#toggles) button.setAttribute("aria-pressed", "false");
    for (const input of this.#inputs) input.reset();
  }
}

/** One fault that has a strength. */
class Slider {
  element;
  #input;
  #output;
  #unit;

  /**
   * @param {(typeof SLIDERS)[number]} slider
   * @param {(faults: Partial<Faults>) => void} onChange
   */
  constructor({ name, label, most, step, unit, scale }, onChange) {
    this.#unit = unit;
    const range = { type: "range", min: "0", max: String(most), step: String(step), value: "0" };
    this.#input = element("input", { ...range, "aria-label": `${label}${unit === " %" ? ", share of events" : ""}` });
    this.#output = element("output");
    this.element = element("label", { class: "lab-slider" }, element("span", {}, label), this.#input, this.#output);
    this.#input.addEventListener("input", () => {
      this.#show();
      onChange({ [name]: Number(this.#input.value) / scale });
    });
    this.#show();
  }

  reset() {
    this.#input.value = "0";
    this.#show();
  }

  #show() {
    const text = this.#input.value === "0" ? "off" : this.#input.value + this.#unit;
    this.#output.textContent = text;
    this.#input.setAttribute("aria-valuetext", text);
  }
}

/**
 * @param {string} label
 * @param {"stalled" | "offline"} name
 * @param {(faults: Partial<Faults>) => void} onChange
 */
function toggle(label, name, onChange) {
  const button = element("button", { type: "button", "aria-pressed": "false" }, label);
  button.addEventListener("click", () => {
    const pressed = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(pressed));
    onChange({ [name]: pressed });
  });
  return button;
}
