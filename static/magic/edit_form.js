/** A question that is being put in other words. */
export class EditForm {
  #field;

  /**
   * @param {string} message
   * @param {{ onDone: (message: string | null) => void }} options told the new words, null where all stays as it was
   */
  constructor(message, { onDone }) {
    this.element = document.createElement("form");
    this.element.className = "edit";
    this.#field = document.createElement("textarea");
    this.#field.value = message;
    this.#field.rows = 3;
    this.#field.setAttribute("aria-label", "Your question");
    const row = document.createElement("div");
    row.className = "edit-row";
    row.append(button("Ask again", "submit", "strong"), button("Cancel", "button", "plain"));
    this.element.append(this.#field, row);
    row.lastElementChild?.addEventListener("click", () => onDone(null));
    this.element.addEventListener("submit", (event) => {
      event.preventDefault();
      const words = this.#field.value;
      if (words.trim() !== "") onDone(words);
    });
    this.element.addEventListener("keydown", (event) => {
      if (event.key === "Escape") {
        event.stopPropagation();
        onDone(null);
      } else if (event.key === "Enter" && !event.shiftKey && !event.isComposing && event.target === this.#field) {
        event.preventDefault();
        this.element.requestSubmit();
      }
    });
  }

  focus() {
    this.#field.focus();
    this.#field.setSelectionRange(this.#field.value.length, this.#field.value.length);
  }
}

/**
 * @param {string} label
 * @param {"submit" | "button"} type
 * @param {string} className
 */
function button(label, type, className) {
  const element = document.createElement("button");
  element.type = type;
  element.className = className;
  element.textContent = label;
  return element;
}
