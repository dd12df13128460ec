const KEY = "magic-side";
const PHONE = "(max-width: 50rem)";

/** The column with the history: beside the conversation where there is room, over it on a phone. */
export class SidebarDrawer {
  #side;
  #button;
  #memory;

  /**
   * @param {HTMLElement} side
   * @param {HTMLButtonElement} button opens and closes it
   * @param {import("./memory.js").Memory} memory
   */
  constructor(side, button, memory) {
    this.#side = side;
    this.#button = button;
    this.#memory = memory;
    this.#set(!this.#onPhone && memory.recall(KEY) !== "closed");
    button.addEventListener("click", () => this.#toggle());
    matchMedia(PHONE).addEventListener("change", () => this.#set(!this.#onPhone && memory.recall(KEY) !== "closed"));
    document.addEventListener("pointerdown", ({ target }) => {
      const outside = target instanceof Node && !side.contains(target) && !button.contains(target);
      if (outside && document.querySelector("dialog[open]") === null) this.closeOnPhone();
    });
    side.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || event.defaultPrevented || !this.#onPhone) return;
      event.preventDefault();
      this.closeOnPhone();
      button.focus();
    });
  }

  /** What was wanted from it is done. */
  closeOnPhone() {
    if (this.#onPhone) this.#set(false);
  }

  /** Opens it, to search. */
  search() {
    this.#set(true);
    const field = this.#side.querySelector("input");
    field?.focus();
    field?.select();
  }

  get #onPhone() {
    return matchMedia(PHONE).matches;
  }

  #toggle() {
    const open = this.#side.hidden === true;
    if (!this.#onPhone) this.#memory.keep(KEY, open ? "" : "closed");
    this.#set(open);
    if (open && this.#onPhone) this.#side.querySelector("button")?.focus();
  }

  /** @param {boolean} open */
  #set(open) {
    this.#side.hidden = !open;
    this.#button.setAttribute("aria-expanded", String(open));
    document.body.classList.toggle("side-is-open", open);
  }
}
