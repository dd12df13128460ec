import { ApiError } from "./api.js";
import { addressOf } from "./addresses.js";
import { confirmed } from "./confirmation.js";

const LONGEST_TITLE = 200;

/** A conversation in the list: a link to it, and what can be done with it. */
export class ConversationRow {
  #listed;
  #options;
  #link;
  #buttons;
  #note;

  /**
   * @param {import("./conversations_api.js").Listed} listed
   * @param {{ onRename: (title: string) => Promise<void>, onForget: () => Promise<void> }} options
   */
  constructor(listed, options) {
    this.#listed = listed;
    this.#options = options;
    this.element = document.createElement("li");
    this.#link = document.createElement("a");
    this.#link.href = addressOf(listed.conversation_id);
    this.#link.dataset["id"] = listed.conversation_id;
    this.#link.textContent = this.#title;
    this.#link.title = this.#title;
    this.#link.dir = "auto";
    this.#buttons = document.createElement("span");
    this.#buttons.className = "row-acts";
    this.#buttons.append(
      this.#button("Rename", () => this.#rename()),
      this.#button("Delete", () => this.#forget()),
    );
    this.#note = document.createElement("p");
    this.#note.setAttribute("role", "alert");
    this.#note.hidden = true;
    this.element.append(this.#link, this.#buttons, this.#note);
  }

  get #title() {
    return this.#listed.title || "Without a title";
  }

  /**
   * @param {string} label
   * @param {() => void} act
   */
  #button(label, act) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = `quiet icon-${label.toLowerCase()}`;
    button.title = label;
    button.addEventListener("click", act);
    const words = document.createElement("span");
    words.className = "unseen";
    words.textContent = `${label}: ${this.#title}`;
    button.append(words);
    return button;
  }

  #rename() {
    const field = document.createElement("input");
    field.value = this.#listed.title;
    field.maxLength = LONGEST_TITLE;
    field.setAttribute("aria-label", "New title");
    let over = false;
    const end = (/** @type {boolean} */ keep) => {
      if (over) return;
      over = true;
      const title = field.value.trim();
      field.replaceWith(this.#link);
      this.#buttons.hidden = false;
      this.#link.focus();
      if (keep && title !== "" && title !== this.#listed.title) void this.#try(() => this.#options.onRename(title));
    };
    field.addEventListener("keydown", (event) => {
      if (event.isComposing || !["Enter", "Escape"].includes(event.key)) return;
      event.preventDefault();
      event.stopPropagation();
      end(event.key === "Enter");
    });
    field.addEventListener("blur", () => end(true));
    this.#link.replaceWith(field);
    this.#buttons.hidden = true;
    field.select();
  }

  async #forget() {
    const sure = await confirmed({
      question: "Delete this conversation?",
      detail: `“${this.#title}” and its answers are removed for good. What they cost stays on record.`,
      yes: "Delete",
    });
    if (sure) await this.#try(this.#options.onForget);
  }

  /** @param {() => Promise<void>} work */
  async #try(work) {
    this.#note.hidden = true;
    try {
      await work();
    } catch (error) {
      this.#note.hidden = false;
      this.#note.textContent = error instanceof ApiError ? error.message : "That did not work. Try again.";
    }
  }
}
