import { systemClock } from "../clock.js";
import { duration } from "../format.js";
import { Controls } from "./controls.js";
import { Figures } from "./figures.js";
import { element } from "./markup.js";
import { compare } from "./proof.js";
import { Timeline } from "./timeline.js";
import { Wire } from "./wire.js";

const REFRESH_MS = 200;

/**
 * @typedef {import("../following.js").Line} Line
 *
 * @typedef {object} LabParts
 * @property {import("../following.js").Following} following
 * @property {(streamId: string) => Promise<import("../types.js").Snapshot>} snapshot
 */

/**
 * The Network lab: breaks the connection of the newest answer on purpose, and shows how it recovers.
 *
 * @param {HTMLElement} aside is filled, and hidden until it is opened
 * @param {LabParts} parts
 */
export function mountLab(aside, parts) {
  return new Lab(aside, parts);
}

/** See `mountLab`. */
class Lab {
  #aside;
  #following;
  #snapshot;
  #wire;
  #controls;
  #figures;
  #timeline;
  #hint;
  /** @type {Line | null} */
  #line = null;
  #seen = { stalls: 0, gaps: 0, recovered: 0 };
  #timer = 0;

  /**
   * @param {HTMLElement} aside
   * @param {LabParts} parts
   */
  constructor(aside, { following, snapshot }) {
    this.#aside = aside;
    this.#following = following;
    this.#snapshot = snapshot;
    this.#controls = new Controls({ onCut: () => this.cut(), onChange: (faults) => this.#change(faults) });
    this.#figures = new Figures(() => void this.#compare());
    this.#hint = element("p", { class: "lab-hint" });
    const lists = { cells: element("div", { class: "lab-cells" }), moments: element("ol", { class: "lab-moments" }) };
    const note = element("span", { class: "lab-note" });
    this.#timeline = new Timeline({ ...lists, note });
    this.#wire = this.#newWire();
    this.#build(lists, note);
    following.addEventListener("begin", (event) => this.#begin(/** @type {CustomEvent<Line>} */ (event).detail));
    following.addEventListener("end", (event) => this.#end(/** @type {CustomEvent<Line>} */ (event).detail));
    if (following.newest) this.#begin(following.newest, "delivered");
    else this.#hint.textContent = "Ask something first. /count 200 10 leaves 20 seconds to break things.";
  }

  get isOpen() {
    return !this.#aside.hidden;
  }

  /** Puts its wire under every connection of this tab, and shows itself. */
  open() {
    if (this.isOpen) return;
    this.#arm();
    this.#show(true);
    this.#timer = window.setInterval(() => this.#refresh(), REFRESH_MS);
    this.#refresh();
    /** @type {HTMLElement | null} */ (this.#aside.querySelector("h2"))?.focus();
  }

  /** Makes the wire whole, takes it away, and hides. */
  close() {
    window.clearInterval(this.#timer);
    this.#wire.heal();
    this.#controls.reset();
    const { surroundings } = this.#following;
    delete surroundings.EventSource;
    delete surroundings.fetch;
    this.#show(false);
  }

  toggle() {
    if (this.isOpen) this.close();
    else this.open();
  }

  /** Cuts the wire of the newest answer, now or as soon as it is connected. */
  cut() {
    this.#arm();
    this.#wire.cut();
  }

  /** @param {boolean} visible */
  #show(visible) {
    this.#aside.hidden = !visible;
    this.#aside.dispatchEvent(new Event("toggle"));
  }

  /**
   * @param {{ cells: HTMLElement, moments: HTMLElement }} lists
   * @param {HTMLElement} note
   */
  #build({ cells, moments }, note) {
    const close = element("button", { type: "button", class: "lab-close", "aria-label": "Close the Network lab" }, "×");
    close.addEventListener("click", () => this.close());
    cells.setAttribute("role", "img");
    cells.setAttribute("aria-label", "Event ids in their order; the figures say the same in words");
    this.#aside.classList.add("lab");
    this.#aside.setAttribute("aria-label", "Network lab");
    this.#aside.hidden = true;
    this.#aside.replaceChildren(
      element("header", {}, element("h2", { tabindex: "-1" }, "Network lab"), close),
      element("p", { class: "lab-lead" }, "Break the connection of the newest answer. The text stays exact."),
      this.#controls.element,
      this.#hint,
      element("section", { "aria-label": "Figures" }, this.#figures.element),
      element("section", { "aria-label": "Timeline" }, element("h3", {}, "Events ", note), legend(), cells, moments),
    );
  }

  #newWire() {
    return new Wire({
      EventSource: globalThis.EventSource,
      fetch: (url, init) => globalThis.fetch(url, init),
      isHarmed: (url) => this.#line !== null && url.includes(encodeURIComponent(this.#line.connection.streamId)),
      onEvent: (id, handOver) => this.#handOver(id, handOver),
      onLost: () => this.#lost(),
      clock: systemClock,
      random: () => Math.random(),
    });
  }

  /** Answers that began without our wire are taken up again, over it. */
  #arm() {
    const { surroundings, live } = this.#following;
    if (surroundings.EventSource === this.#wire.EventSource) return;
    surroundings.EventSource = this.#wire.EventSource;
    surroundings.fetch = this.#wire.fetch;
    for (const { connection } of live) connection.reconnect();
  }

  /** @param {Partial<import("./faults.js").Faults>} faults */
  #change(faults) {
    this.#wire.set(faults);
    if (faults.stalled !== undefined) this.#timeline.tell(faults.stalled ? "Wire stalled" : "Wire flows again");
    if (faults.offline !== undefined) this.#timeline.tell(faults.offline ? "Offline" : "Online again");
    // What a browser tells its page when a network is back.
    if (faults.offline === false) window.dispatchEvent(new Event("online"));
  }

  /**
   * @param {Line} line
   * @param {"copied" | "delivered"} [before] what became of the events that it has already
   */
  #begin(line, before = "copied") {
    this.#line = line;
    this.#seen = { ...line.connection.tally };
    this.#hint.textContent = "";
    this.#figures.clearProof();
    this.#timeline.begin(line.connection.lastEventId, before);
    this.#refresh();
  }

  /** @param {Line} line */
  #end(line) {
    if (line !== this.#line) return;
    this.#refresh();
    this.#timeline.tell("The stream is closed");
    void this.#compare();
  }

  /**
   * @param {number} id
   * @param {() => void} handOver
   */
  #handOver(id, handOver) {
    const connection = this.#line?.connection;
    if (!connection) return handOver();
    this.#follow(connection);
    const before = connection.lastEventId;
    handOver();
    this.#timeline.came(id, before, connection.lastEventId);
    this.#follow(connection);
  }

  /**
   * What happened without an event of ours.
   *
   * @param {Line["connection"]} connection
   */
  #follow({ tally, lastEventId }) {
    const { delivered } = this.#timeline;
    if (tally.stalls > this.#seen.stalls) this.#timeline.tell("Nothing came for too long: the connection is given up");
    if (tally.gaps > this.#seen.gaps) this.#timeline.tell(`Event ${delivered + 1} did not come: asked for again`);
    if (lastEventId !== delivered) {
      this.#timeline.copied(lastEventId);
      this.#timeline.tell(`Went on from the server's copy, which reaches to event ${lastEventId}`);
    }
    if (tally.recovered > this.#seen.recovered) {
      this.#timeline.tell(`Recovered after ${duration(tally.recoveries.at(-1) ?? 0)}, at event ${lastEventId}`);
    }
    this.#seen = { ...tally };
  }

  #lost() {
    this.#timeline.mark();
    this.#timeline.tell(`The connection is lost after event ${this.#line?.connection.lastEventId ?? -1}`);
  }

  #refresh() {
    const connection = this.#line?.connection;
    if (!connection) return;
    this.#follow(connection);
    this.#figures.show(connection);
  }

  async #compare() {
    const line = this.#line;
    if (!line) return;
    try {
      const { text } = await this.#snapshot(line.connection.streamId);
      const proof = await compare(line.text(), text);
      if (line === this.#line) this.#figures.showProof(proof);
    } catch {
      if (line === this.#line) this.#figures.proofFails("The server can't be reached. Try again when it is back.");
    }
  }
}

function legend() {
  const states = [
    ["delivered", "", "delivered"],
    ["delivered", "repeated", "came again"],
    ["waiting", "", "early"],
    ["missing", "", "missing"],
    ["copied", "", "from the copy"],
  ];
  const keys = states.map(([state = "", marks = "", text = ""]) =>
    element("li", {}, element("i", { "data-state": state, class: marks }), ` ${text}`),
  );
  return element("ul", { class: "lab-legend", "aria-hidden": "true" }, ...keys);
}
