import { ConversationRow } from "./conversation_row.js";
import { dayOf } from "./days.js";

const SEARCH_MS = 250;

/**
 * @typedef {import("./conversations_api.js").Listed} Listed
 *
 * @typedef {object} Parts
 * @property {HTMLElement} list
 * @property {HTMLInputElement} search
 * @property {HTMLElement} note said where there is nothing to list
 * @property {HTMLButtonElement} more
 */

/** The history: conversations by day, searched, renamed, deleted. */
export class Sidebar {
  #parts;
  #api;
  #onForgotten;
  #onChanged;
  #current = "";
  /** @type {Map<string, Listed>} */
  #listed = new Map();
  /** @type {string | null} */
  #next = null;
  #timer = 0;
  #asked = 0;

  /**
   * @param {Parts} parts
   * @param {object} options
   * @param {import("./conversations_api.js").ConversationsApi} options.api
   * @param {(id: string) => void} options.onForgotten
   * @param {() => void} options.onChanged something was renamed or deleted here
   */
  constructor(parts, { api, onForgotten, onChanged }) {
    this.#parts = parts;
    this.#api = api;
    this.#onForgotten = onForgotten;
    this.#onChanged = onChanged;
    parts.search.addEventListener("input", () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => void this.refresh(), SEARCH_MS);
    });
    parts.more.addEventListener("click", () => void this.#load(this.#next));
  }

  /** @param {string} id of the conversation that is open; empty: none */
  setCurrent(id) {
    this.#current = id;
    for (const link of this.#parts.list.querySelectorAll("a")) {
      if (link.dataset["id"] === id) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
  }

  /** @param {string} id */
  titleOf(id) {
    return this.#listed.get(id)?.title ?? "";
  }

  /** Asks the server anew. */
  async refresh() {
    await this.#load(null);
  }

  /** @param {string | null} before null: from the beginning */
  async #load(before) {
    const asked = ++this.#asked;
    try {
      const { conversations, next } = await this.#api.list(this.#parts.search.value.trim(), before);
      if (asked !== this.#asked) return;
      const all = before === null ? conversations : [...this.#listed.values(), ...conversations];
      this.#listed = new Map(all.map((one) => [one.conversation_id, one]));
      this.#next = next;
      this.#render();
    } catch {
      if (asked === this.#asked) this.#say("The history can't be loaded now. It is safe on the server.");
    }
  }

  #render() {
    /** @type {Map<string, HTMLElement[]>} */
    const days = new Map();
    for (const one of this.#listed.values()) {
      const day = dayOf(new Date(one.updated_at), new Date());
      days.set(day, [...(days.get(day) ?? []), this.#row(one)]);
    }
    this.#parts.list.replaceChildren(...[...days].map(([day, rows]) => group(day, rows)));
    this.#parts.more.hidden = this.#next === null;
    const searching = this.#parts.search.value.trim() !== "";
    this.#say(this.#listed.size > 0 ? "" : searching ? "Nothing found." : "What you ask is kept here.");
    this.setCurrent(this.#current);
  }

  /** @param {Listed} one */
  #row(one) {
    const id = one.conversation_id;
    return new ConversationRow(one, {
      onRename: async (title) => {
        this.#listed.set(id, await this.#api.rename(id, title));
        this.#render();
        this.#onChanged();
      },
      onForget: async () => {
        await this.#api.forget(id);
        this.#listed.delete(id);
        this.#render();
        this.#onForgotten(id);
        this.#onChanged();
      },
    }).element;
  }

  /** @param {string} sentence */
  #say(sentence) {
    this.#parts.note.textContent = sentence;
    this.#parts.note.hidden = sentence === "";
  }
}

/**
 * @param {string} day
 * @param {HTMLElement[]} rows
 */
function group(day, rows) {
  const section = document.createElement("section");
  const heading = document.createElement("h2");
  heading.textContent = day;
  const list = document.createElement("ul");
  list.append(...rows);
  section.append(heading, list);
  return section;
}
