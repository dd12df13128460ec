const MOST_CELLS = 600;
const MOST_MOMENTS = 50;

/** @typedef {"delivered" | "waiting" | "missing" | "copied"} CellState */

/**
 * The events of a stream as they came: a cell for each event id, in its order, and what happened, the newest first.
 */
export class Timeline {
  #cells;
  #moments;
  #note;
  /** @type {Map<number, { element: HTMLElement, state: CellState, repeats: number }>} */
  #byId = new Map();
  #first = 0;
  #highest = -1;
  /** The last event that was delivered, as far as was seen here. */
  delivered = -1;

  /**
   * @param {{ cells: HTMLElement, moments: HTMLElement, note: HTMLElement }} parts
   */
  constructor({ cells, moments, note }) {
    this.#cells = cells;
    this.#moments = moments;
    this.#note = note;
  }

  /**
   * Begins anew.
   *
   * @param {number} lastEventId what is there already
   * @param {"copied" | "delivered"} state and how it came
   */
  begin(lastEventId, state) {
    this.#byId.clear();
    this.#cells.replaceChildren();
    this.#moments.replaceChildren();
    this.#note.textContent = "";
    this.#first = 0;
    this.#highest = this.delivered = -1;
    this.copied(lastEventId, state);
  }

  /**
   * An event came.
   *
   * @param {number} id
   * @param {number} before the last event that was delivered before it came
   * @param {number} after the same, now
   */
  came(id, before, after) {
    if (id < this.#first) return;
    for (let missing = this.#highest + 1; missing < id; missing += 1) this.#set(missing, "missing");
    this.#highest = Math.max(this.#highest, id);
    const cell = this.#byId.get(id);
    if (id <= before || cell?.state === "waiting") this.#repeat(id);
    else this.#set(id, after >= id ? "delivered" : "waiting");
    for (let ready = Math.max(before + 1, this.#first); ready <= after; ready += 1) this.#set(ready, "delivered");
    this.delivered = after;
  }

  /**
   * The client went on from the server's copy.
   *
   * @param {number} lastEventId
   * @param {CellState} [how]
   */
  copied(lastEventId, how = "copied") {
    for (const [id, { state }] of this.#byId) {
      if (id > lastEventId) this.#remove(id);
      else if (state !== "delivered") this.#set(id, how);
    }
    const skipped = lastEventId - MOST_CELLS + 1;
    if (skipped > this.#highest + 1) this.#skipTo(skipped);
    for (let id = Math.max(this.#highest + 1, skipped); id <= lastEventId; id += 1) this.#set(id, how);
    this.#highest = this.delivered = lastEventId;
  }

  /** @param {string} sentence */
  tell(sentence) {
    const moment = document.createElement("li");
    const time = document.createElement("time");
    time.textContent = new Date().toLocaleTimeString("en-GB");
    moment.append(time, ` ${sentence}`);
    this.#moments.prepend(moment);
    if (this.#moments.childElementCount > MOST_MOMENTS) this.#moments.lastElementChild?.remove();
  }

  /** Marks where the wire broke. */
  mark() {
    this.#byId.get(this.#highest)?.element.classList.add("broke");
  }

  /**
   * @param {number} id
   * @param {CellState} state
   */
  #set(id, state) {
    let cell = this.#byId.get(id);
    if (!cell) {
      cell = { element: document.createElement("i"), state, repeats: 0 };
      this.#byId.set(id, cell);
      // Cells are made in the order of their ids: whoever comes early has made those before it.
      this.#cells.append(cell.element);
      if (this.#byId.size > MOST_CELLS) this.#skipTo(/** @type {number} */ (this.#byId.keys().next().value) + 1);
    }
    cell.state = state;
    cell.element.dataset["state"] = state;
    cell.element.title = `${id}: ${state}${cell.repeats ? `, came ${cell.repeats + 1} times` : ""}`;
  }

  /** @param {number} id */
  #repeat(id) {
    const cell = this.#byId.get(id);
    if (!cell) return;
    cell.repeats += 1;
    cell.element.classList.add("repeated");
    this.#set(id, cell.state);
  }

  /** @param {number} first the first event that is still shown */
  #skipTo(first) {
    for (const id of this.#byId.keys()) {
      if (id >= first) break;
      this.#remove(id);
    }
    this.#first = first;
    this.#note.textContent = `… ${first} earlier`;
  }

  /** @param {number} id */
  #remove(id) {
    this.#byId.get(id)?.element.remove();
    this.#byId.delete(id);
  }
}
